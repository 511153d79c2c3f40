"""Hardware that is wrong on purpose."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from accel.rtl.sources import modules
from tests.rtl.faults import Fault


@pytest.fixture
def put_in(monkeypatch: pytest.MonkeyPatch) -> Callable[[Fault], None]:
    """Puts a fault into the hardware, for all who ask for the modules; what it replaces has to be there."""

    def put(fault: Fault) -> None:
        text = modules()[fault.module]
        assert text.count(fault.text) == 1, fault
        monkeypatch.setitem(modules(), fault.module, text.replace(fault.text, fault.instead))

    return put
