"""Marks for tests that need a program which may not be there."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from accel.arch.load import load_arch
from accel.arch.spec import PeSpec
from accel.errors import AccelError
from accel.gallery import machines
from accel.rtl.toolchain import find_compiler, find_iverilog, find_verilator, find_yosys
from accel.rtl.yosys import find_library


def _needs(*finders: Callable[[], object]) -> pytest.MarkDecorator:
    """Skip with the sentence that says how to get what is missing; where everything has to run, fail with it."""
    if os.environ.get("ACCEL_TESTS_SKIP_NOTHING"):
        finders = ()
    for find in finders:
        try:
            find()
        except AccelError as error:
            return pytest.mark.skipif(True, reason=str(error))
    return pytest.mark.skipif(False, reason="")


needs_verilator = _needs(find_verilator, find_compiler)
needs_iverilog = _needs(find_iverilog)
needs_yosys = _needs(find_yosys)
needs_synthesis = _needs(find_yosys, find_library)


def covered_machines() -> list[Path]:
    """Of the gallery, those whose PEs the RTL has."""

    def covered(pe: PeSpec) -> bool:
        return pe.multiplier == "parallel" and pe.products == 1 and not pe.split_operands

    return [path for path in machines() if covered(load_arch(path).pe)]
