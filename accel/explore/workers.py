"""Jobs in this process, or in several at a time."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from typing import Any, ParamSpec, Protocol, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Submit(Protocol):
    """Has a job done, now or later."""

    def __call__(self, function: Callable[P, T], /, *arguments: P.args, **named: P.kwargs) -> Future[T]:
        """A function of a module with what it takes, all of which another process can read."""


@contextmanager
def workers(processes: int) -> Iterator[Submit]:
    """Runs jobs in this process or in several; what has not begun when an error or a key ends the work never does."""
    if processes < 2:
        yield _now
        return
    with ProcessPoolExecutor(processes, get_context("spawn"), _ignore_interrupts) as pool:
        try:
            yield pool.submit
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _now(function: Callable[..., Any], /, *arguments: Any, **named: Any) -> Future[Any]:
    future: Future[Any] = Future()
    future.set_result(function(*arguments, **named))
    return future


def _ignore_interrupts() -> None:
    """A key that ends the work is for the process that leads it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
