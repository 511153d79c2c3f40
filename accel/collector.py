"""Python's garbage collector, kept from searching for garbage where there is none."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_collection() -> Iterator[None]:
    """Do not collect meanwhile: for short work that makes many objects, all of which it keeps.

    The collector walks through everything that is alive whenever a quarter more of it is there, and so through every
    program being written several times; that takes a quarter of an estimate's time.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
