"""Rows of a tensor that passes from one layer to the next through a window on chip.

Rows are counted through all images, one behind the other, and a tile holds rows of one image.
"""

from __future__ import annotations

from collections.abc import Mapping

from accel.flow.ir import Access, FlowOp, Range


def rows_of(access: Access, ranges: Mapping[str, Range]) -> Range:
    """The rows of a tensor that a tile touches."""
    (image, _), _, (low, high), _ = access.region(ranges)
    height = access.shape[2]
    return image * height + low, image * height + high


def row_loop(op: FlowOp) -> str:
    """The loop over a nest's output rows."""
    return "oh" if op.on_array else "h"


def reads_of(op: FlowOp, tensor: str) -> Access:
    """How a nest reads one of its operands."""
    return next(read for read in op.reads if read.tensor == tensor)


def rows_needed(maker: FlowOp, reader: FlowOp, maker_rows: int, reader_rows: int) -> int:
    """Rows that a window holds at least, so that every tile of the reader finds all of its rows at a time.

    Parameters
    ----------
    maker_rows, reader_rows
        Output rows of a tile of each layer. Tiles of a divisor of these never need more.

    Examples
    --------
    Tiles of 4 and 2 rows, and a 3x3 window around each pixel: output rows 2 and 3 read rows 1 to 4, and with row 4 the
    maker makes all up to row 7; from row 1 on these are 7.
    """
    source = reads_of(reader, maker.write.tensor)
    ends = [rows_of(maker.write, ranges)[1] for ranges in _row_tiles(maker, maker_rows)]
    needed = 0
    for ranges in _row_tiles(reader, reader_rows):
        low, high = rows_of(source, ranges)
        needed = max(needed, min((end for end in ends if end >= high), default=0) - low)
    return needed


def _row_tiles(op: FlowOp, rows: int) -> list[dict[str, Range]]:
    """Of one image."""
    name = row_loop(op)
    size = op.sizes[name]
    starts = range(0, size, rows)
    return [op.whole | {"b": (0, 1), name: (start, min(start + rows, size))} for start in starts]
