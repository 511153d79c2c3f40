"""How much memory a compilation needs and how much there is."""

from __future__ import annotations

from pathlib import Path

import pytest

from accel.errors import AccelError
from accel.rtl import memory

# Peaks of resident memory in MB, Verilator 5.006 and g++ 12.2, arrays of N x N PEs with int8 operands, 32-bit sums.
MEASURED = [
    (16, False, (86, 101), 253),
    (32, False, (298, 358), 310),
    (48, False, (652, 790), 331),
    (64, False, (1146,), 354),
    (128, False, (5125,), 720),
    (16, True, (144,), 584),
    (32, True, (524, 543), 587),
    (48, True, (1157,), 600),
]


@pytest.mark.parametrize(("side", "traced", "verilator", "compiler"), MEASURED)
def test_what_was_measured_is_allowed_for(
    side: int, traced: bool, verilator: tuple[int, ...], compiler: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    peak = max(*verilator, compiler) * 1_000_000
    monkeypatch.setattr(memory, "available_bytes", lambda: peak)
    with pytest.raises(AccelError):
        memory.check_memory(side * side, traced)
    monkeypatch.setattr(memory, "available_bytes", lambda: peak * 8 // 5)
    memory.check_memory(side * side, traced)


def test_as_many_compilers_as_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    """One takes 300 MB and 40 kB for each of 2,500 PEs: 400 MB."""
    monkeypatch.setattr(memory.os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    for available, jobs in ((100, 1), (799, 1), (800, 2), (2_900, 7), (9_999, 8)):
        monkeypatch.setattr(memory, "available_bytes", lambda amount=available: amount * 1_000_000)
        assert memory.compilers_at_once(2_500) == jobs


def test_no_array_fits_where_no_compiler_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available_bytes", lambda: 100_000_000)
    with pytest.raises(AccelError) as error:
        memory.check_memory(4)
    assert str(error.value) == (
        "to compile the RTL of an array of 4 PEs takes about 0.3 GB of memory, and 0.1 GB are available; free some"
    )


def test_this_computer_has_some() -> None:
    assert 50_000_000 < memory.available_bytes() < 1 << 50


CONTAINERS = {
    "version 2": ("memory.max", "memory.stat", "anon 300\nfile 5000\n"),
    "version 1": ("memory/memory.limit_in_bytes", "memory/memory.stat", "cache 5000\nrss 300\n"),
}


@pytest.mark.parametrize("version", CONTAINERS)
def test_a_container_has_less(version: str, tmp_path: Path) -> None:
    """Pages of files do not count: the system drops them when memory is wanted."""
    limit, stat, content = CONTAINERS[version]
    (tmp_path / limit).parent.mkdir(exist_ok=True)
    (tmp_path / limit).write_text("1000\n")
    (tmp_path / stat).write_text(content)
    assert list(memory._of_containers(tmp_path)) == [700]


def test_a_container_without_a_limit(tmp_path: Path) -> None:
    assert list(memory._of_containers(tmp_path)) == []
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.stat").write_text("anon 300\n")
    assert list(memory._of_containers(tmp_path)) == []
