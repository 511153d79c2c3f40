"""The command line in this process: arguments in; exit code, standard output and standard error out."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import NamedTuple

import pytest
from hypothesis import settings

from accel.cli import main
from accel.sim.warm_up import warm_up, warm_up_dram

# A test that takes long on a busy machine is not wrong.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")


class Ran(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture(scope="session")
def compiled() -> None:
    """Kernels on disk, so that no command has to say that it compiles them."""
    warm_up()
    warm_up_dram()


@pytest.fixture
def accel(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], compiled: None) -> Callable[..., Ran]:
    """Call it with the command line's words."""

    def call(*words: object) -> Ran:
        monkeypatch.setattr(sys, "argv", ["accel", *map(str, words)])
        try:
            main()
            code = 0
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 0 if stop.code is None else 1
        captured = capsys.readouterr()
        return Ran(code, captured.out, captured.err)

    return call
