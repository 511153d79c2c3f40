"""Compile ahead of the work, so that a long first call can be announced instead of looking like a hang."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from accel.arch.dram import DramDevice
from accel.arch.timing import ArrayTiming
from accel.sim import array_kernels, dram_kernels, im2col
from accel.sim.array import Sums, compute_tile, moving_layout
from accel.sim.dram import Dram

_KERNELS: tuple[Any, ...] = (
    array_kernels.step_operand_stays,
    array_kernels.step_result_stays,
    im2col.read_lines_of_pixels,
)
_DRAM_KERNELS: tuple[Any, ...] = (
    dram_kernels.serve,
    dram_kernels.advance,
    dram_kernels.tick_of,
    dram_kernels.cycle_of,
)


def is_compiled() -> bool:
    """Whether the disk holds machine code of the array's kernels, not older than their source.

    True does not promise every operand type; a type that is new to this machine still compiles for a second or two.
    """
    return all(_is_on_disk(kernel) for kernel in _KERNELS)


def is_dram_compiled() -> bool:
    """The same of the kernels that time a DRAM device."""
    return all(_is_on_disk(kernel) for kernel in _DRAM_KERNELS)


def _is_on_disk(kernel: Any) -> bool:
    source = Path(kernel.py_func.__code__.co_filename)
    return any(index.stat().st_mtime >= source.stat().st_mtime for index in _indices(kernel))


def _indices(kernel: Any) -> list[Path]:
    """The files in which numba notes what it has compiled of a kernel."""
    folder = kernel.stats.cache_path
    stem = Path(kernel.py_func.__code__.co_filename).stem
    return [] if folder is None else list(Path(folder).glob(f"{stem}.{kernel.py_func.__name__}-*.nbi"))


def warm_up() -> None:
    """Compile the kernels for int8 operands and 32-bit sums that need no watching, or load them from disk."""
    image = np.zeros((1, 1, 2, 2), np.int8)
    window = im2col.Window((1, 1), (1, 1), (1, 1), (0, 0), (2, 2), 0)
    weights = np.zeros((1, 1), np.int8)
    sums = np.zeros((4, 1), np.int32)
    for dataflow in ("weight_stationary", "output_stationary"):
        timing = ArrayTiming(dataflow, 1, 1, True, False, 1, 1, 1, "none", 1)
        lines = im2col.image_lines(image, window, (0, 1), moving_layout(timing, 4, 1, 1), dataflow)
        compute_tile(timing, Sums(32, 32, "wrap"), lines, weights, sums, first=True, safe=True)
    _touch(_KERNELS)


def warm_up_dram() -> None:
    """Compile the kernels that time a DRAM device, or load them from disk."""
    dram = Dram(DramDevice.named("lpddr4-3200"), outstanding=1, clock_hz=1e9)
    dram.serve([(0, 64)])
    dram.advance(1)
    _touch(_DRAM_KERNELS)


def _touch(kernels: tuple[Any, ...]) -> None:
    """numba goes by a source's content, and we by times: a source that was only touched is not compiled again."""
    with suppress(OSError):
        for index in (index for kernel in kernels for index in _indices(kernel)):
            index.touch()
