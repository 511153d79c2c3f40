"""Compiled code is cached where it can be, and its absence is noticed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from accel import api
from accel.arch.load import dump_machine
from accel.arch.spec import Machine
from accel.sim import jit


def test_first_run_compiles_and_the_second_does_not(tmp_path: Path) -> None:
    code = (
        "from accel.sim.warm_up import is_compiled, warm_up\n"
        "print(is_compiled()); warm_up(); print(is_compiled())\n"
        "from accel.sim import array_kernels as k\n"
        "print(sum(k.step_operand_stays.stats.cache_misses.values()))"
    )
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    outputs = [
        subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True, timeout=120
        ).stdout.split()
        for _ in range(2)
    ]
    assert outputs == [["False", "True", "1"], ["True", "True", "0"]]


def test_what_times_a_dram_is_compiled_ahead_of_the_clock(tmp_path: Path) -> None:
    """The clock finds all of it, for the types that it has."""
    arch = tmp_path / "device.yaml"
    fields = api.load_arch("edge-32x32").to_file() | {"dram": {"device": {"preset": "ddr4-3200-x16"}}}
    arch.write_text(dump_machine(Machine.model_validate(fields)))
    code = (
        "from accel import api\n"
        "from accel.sim import dram_kernels, warm_up\n"
        "print(warm_up.is_dram_compiled()); warm_up.warm_up_dram(); print(warm_up.is_dram_compiled())\n"
        f"api.estimate(api.load_network('digits-resnet8'), api.load_arch({str(arch)!r}))\n"
        "print({len(kernel.signatures) for kernel in warm_up._DRAM_KERNELS})\n"
    )
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    ran = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True, timeout=120
    )
    assert ran.stdout.split() == ["False", "True", "{1}"]


def test_a_source_that_was_only_touched_is_compiled_already() -> None:
    """As after a checkout: newer than its machine code, and the same. It is not announced a second time."""
    from accel.sim import warm_up

    warm_up.warm_up()
    kernel = warm_up._KERNELS[0]
    for index in warm_up._indices(kernel):
        os.utime(index, (0, 0))
    assert not warm_up.is_compiled()
    warm_up.warm_up()
    assert warm_up.is_compiled()


def test_where_nothing_can_be_cached_code_still_compiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """numba refuses ``cache=True`` when it finds no directory to write to."""
    numba_njit: Any = jit.njit

    def no_locator(*args: Any, cache: bool = False, **options: Any) -> Any:
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return numba_njit(*args, **options)

    monkeypatch.setattr(jit, "njit", no_locator)

    @jit.compiled
    def twice(x: int) -> int:
        return 2 * x

    assert twice(21) == 42
