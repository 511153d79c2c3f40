"""One way to compile: cached on disk, without the interpreter's lock, without checks on indices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from numba import njit

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """Compile ``function`` when it is first called with each set of types.

    Machine code is kept beside the source, in the user's cache directory if that is read-only, or in
    ``NUMBA_CACHE_DIR``. Where nothing can be written, every process compiles anew.
    """
    jit: Any = njit
    options = {"nogil": True, "boundscheck": False, "error_model": "numpy"}
    try:
        return jit(cache=True, **options)(function)  # type: ignore[no-any-return]
    except RuntimeError:
        return jit(**options)(function)  # type: ignore[no-any-return]
