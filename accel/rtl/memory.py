"""Whether the memory there is will do to compile an array, asked before minutes go into it.

What Verilator 5.006 and g++ 12 took at most, in MB, for 32-bit sums (peaks of their resident memory):

    PEs                               256    1024    2304    4096   16384
    Verilator, operands stay           86     298     652    1146
    Verilator, results stay           101     358     790            5125
    Verilator, with waveforms         144     543    1157
    one compiler                      253     310     331     354     720
    one compiler, with waveforms      584     587

Verilator holds the whole array at once and grows with it, evenly; a compiler sees one piece of it, and of the rest the
names.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from accel.errors import AccelError

_MB = 1_000_000
# The table's slopes and a fifth more, for deeper pipelines and wider sums.
_VERILATOR_BYTES_PER_ELEMENT = 420_000
_TRACED_VERILATOR_BYTES_PER_ELEMENT = 640_000
_COMPILER_BYTES = 300 * _MB
_TRACED_COMPILER_BYTES = 700 * _MB
_COMPILER_BYTES_PER_ELEMENT = 40_000


def check_memory(elements: int, traced: bool = False) -> None:
    """Refuse an array that cannot be compiled in the memory there is.

    Parameters
    ----------
    elements
        Processing elements.
    traced
        Whether the array can write waveforms.

    Raises
    ------
    AccelError
        How much memory it would need, how much there is, and what to do.
    """
    slope = _TRACED_VERILATOR_BYTES_PER_ELEMENT if traced else _VERILATOR_BYTES_PER_ELEMENT
    needed = max(elements * slope, _compiler_bytes(elements, traced))
    available = available_bytes()
    if needed <= available:
        return
    beside_names = (available - _compiler_bytes(0, traced)) // _COMPILER_BYTES_PER_ELEMENT
    fitting = min(available // slope, beside_names)
    smaller = f", or give the array fewer rows or columns: about {fitting:,} PEs fit" if fitting > 0 else ""
    raise AccelError(
        f"to compile the RTL of an array of {elements:,} PEs takes about {needed / 1e9:.1f} GB of memory, and "
        f"{available / 1e9:.1f} GB are available",
        hint=f"free some{smaller}",
    )


def compilers_at_once(elements: int, traced: bool = False) -> int:
    """How many compilers may run side by side: one for each core, as far as the memory goes."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores, available_bytes() // _compiler_bytes(elements, traced)))


def available_bytes() -> int:
    """Memory that can be had without swapping; what a container may use, if that is less."""
    return min([_of_computer(), *_of_containers()])


def _compiler_bytes(elements: int, traced: bool) -> int:
    return (_TRACED_COMPILER_BYTES if traced else _COMPILER_BYTES) + elements * _COMPILER_BYTES_PER_ELEMENT


def _of_computer() -> int:
    with suppress(OSError, StopIteration, ValueError):
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    # Systems that are not Linux say how much they have, not how much is free.
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _of_containers(groups: Path = Path("/sys/fs/cgroup")) -> Iterator[int]:
    """What is left of the limit, under either version of Linux's control groups."""
    for folder, limit, used in (
        (groups, "memory.max", "anon"),
        (groups / "memory", "memory.limit_in_bytes", "rss"),
    ):
        with suppress(OSError, KeyError, ValueError):  # Not this version, or no limit.
            amount = int((folder / limit).read_text())
            entries = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
            yield max(0, amount - int(entries[used]))
