"""The address generator: an image, as the operands that the array takes.

Output pixel m (over batch, oh, ow) and reduction position k (over kh, kw, c, channels innermost) meet in one element
of the image, or in padding. The image stays as it is in its buffer; only the order in which it is read is made here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from accel.flow.ir import Range
from accel.sim.array import LineLayout
from accel.sim.jit import compiled

IntArray = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Window:
    """How a convolution's window moves over a part of an image; (rows, columns) everywhere."""

    kernel: tuple[int, int]
    strides: tuple[int, int]
    dilations: tuple[int, int]
    corner: tuple[int, int]
    """Where the window of the first output begins, counted from the part's first element; negative in padding."""
    outputs: tuple[int, int]
    padding: int
    """What is read outside the part: the zero point."""

    @property
    def _geometry(self) -> tuple[int, ...]:
        return (*self.kernel, *self.strides, *self.dilations, *self.corner, *self.outputs, self.padding)


def image_matrix(image: IntArray, window: Window, k: Range) -> IntArray:
    """Rows ``k`` of the im2col matrix.

    Parameters
    ----------
    image
        (batch, channels, rows, columns), any strides.
    k
        Half-open range of reduction positions.

    Returns
    -------
    IntArray
        (k, pixels) of the image's type.

    Examples
    --------
    >>> window = Window((1, 2), (1, 1), (1, 1), (0, -1), (1, 3), padding=9)
    >>> image_matrix(np.array([[[[1, 2, 3]]]]), window, (0, 2)).tolist()
    [[9, 1, 2], [1, 2, 3]]
    """
    pixels = len(image) * window.outputs[0] * window.outputs[1]
    matrix = np.empty((k[1] - k[0], pixels), image.dtype)
    read_lines_of_pixels(image, window._geometry, k, _Place(0, pixels, len(matrix), 0, 1), matrix.reshape(-1))
    return matrix


def image_lines(image: IntArray, window: Window, k: Range, layout: LineLayout, dataflow: str) -> IntArray:
    """The delay lines of the activations.

    Parameters
    ----------
    image, window, k
        As for ``image_matrix``.
    layout
        Weight stationary: k lines of pixels. Output stationary: pixel lines of k.
    dataflow
        ``weight_stationary`` or ``output_stationary``.

    Returns
    -------
    IntArray
        ``layout.fill(matrix)`` of ``image_matrix``, or of its transpose where outputs stay.
    """
    weights_stay = dataflow == "weight_stationary"
    if layout.column_step > 1 or layout.products > 1:
        matrix = image_matrix(image, window, k)
        return layout.fill(matrix if weights_stay else matrix.T)
    lines = np.zeros(layout.shape, image.dtype)
    read = read_lines_of_pixels if weights_stay else read_lines_of_window
    place = _Place(layout.last, layout.length - layout.row_step, layout.array_rows, layout.period, -1)
    read(image, window._geometry, k, place, lines.reshape(-1))
    return lines


class _Place(NamedTuple):
    """Element e of line l lies at origin + l % rows * pitch + direction * (l // rows * period + e)."""

    origin: int
    pitch: int
    rows: int
    period: int
    direction: int


@compiled
def read_lines_of_pixels(
    image: IntArray, window: tuple[int, ...], k: Range, place: _Place, out: IntArray
) -> None:  # pragma: no cover
    """Line l is reduction position k[0] + l, its elements the output pixels."""
    _, kernel_columns, row_stride, column_stride, row_dilation, column_dilation, top, left, outs, width, padding = (
        window
    )
    batch, channels, rows, columns = image.shape
    for line in range(k[1] - k[0]):
        c = (k[0] + line) % channels
        window_row, window_column = divmod((k[0] + line) // channels, kernel_columns)
        at = place.origin + line % place.rows * place.pitch + place.direction * (line // place.rows * place.period)
        start = left + window_column * column_dilation
        # Outputs low .. high - 1 of a row read the image, the others padding.
        low = min(max(0, (column_stride - 1 - start) // column_stride), width)
        high = max(low, min(width, (columns - 1 - start) // column_stride + 1))
        for b in range(batch):
            for oh in range(outs):
                row = top + window_row * row_dilation + oh * row_stride
                if row < 0 or row >= rows:
                    for ow in range(width):
                        out[at + place.direction * ow] = padding
                else:
                    for ow in range(low):
                        out[at + place.direction * ow] = padding
                    for ow in range(low, high):
                        out[at + place.direction * ow] = image[b, c, row, start + ow * column_stride]
                    for ow in range(high, width):
                        out[at + place.direction * ow] = padding
                at += place.direction * width


@compiled
def read_lines_of_window(
    image: IntArray, window: tuple[int, ...], k: Range, place: _Place, out: IntArray
) -> None:  # pragma: no cover
    """Line l is an output pixel, its elements the reduction positions from k[0] on."""
    _, kernel_columns, row_stride, column_stride, row_dilation, column_dilation, top, left, outs, width, padding = (
        window
    )
    batch, channels, rows, columns = image.shape
    for b in range(batch):
        for oh in range(outs):
            first_line = (b * outs + oh) * width
            for element in range(k[1] - k[0]):
                c = (k[0] + element) % channels
                window_row, window_column = divmod((k[0] + element) // channels, kernel_columns)
                row = top + window_row * row_dilation + oh * row_stride
                start = left + window_column * column_dilation
                inside = 0 <= row < rows
                r = first_line % place.rows
                at = place.origin + r * place.pitch
                at += place.direction * (first_line // place.rows * place.period + element)
                for ow in range(width):
                    column = start + ow * column_stride
                    out[at] = image[b, c, row, column] if inside and 0 <= column < columns else padding
                    r += 1
                    at += place.pitch
                    if r == place.rows:
                        r = 0
                        at += place.direction * place.period - place.rows * place.pitch
