"""One job after the other, or several at a time on processes of their own where that pays."""

from __future__ import annotations

import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from time import monotonic
from typing import Any, TypeVar

from accel.errors import AccelError

T = TypeVar("T")

WORTH_SECONDS = 2.0
"""Others help with what would take longer than that: a process that starts imports for about a second."""


def each(
    function: Callable[..., T],
    jobs: Sequence[tuple[Any, ...]],
    processes: int = 1,
    done: Callable[[int, int], None] | None = None,
) -> list[T]:
    """``[function(*job) for job in jobs]``, by this process and, if much is left after the first jobs, by others.

    Parameters
    ----------
    function
        Of a module: other processes import it, and read what it takes and makes.
    processes
        How many work at a time, this one included. What comes out does not depend on it.
    done
        Told which job is done, and how many are.

    Raises
    ------
    AccelError
        A process has died. What a job raises ends all of them, as does a key; no process is left behind.
    """
    found: dict[int, T] = {}

    def keep(number: int, result: T) -> None:
        found[number] = result
        if done is not None:
            done(number, len(found))

    began = monotonic()
    for number, job in enumerate(jobs):
        left = len(jobs) - number
        if number and (monotonic() - began) / number * left > WORTH_SECONDS and (helpers := min(processes, left) - 1):
            _together(function, dict(enumerate(jobs[number:], number)), helpers, keep)
            break
        keep(number, function(*job))
    return [found[number] for number in range(len(jobs))]


def _together(
    function: Callable[..., T], jobs: dict[int, tuple[Any, ...]], helpers: int, keep: Callable[[int, T], None]
) -> None:
    """Helpers take the first jobs, two at a time so that none waits for this process, which takes the last ones."""
    left, waiting = deque(jobs), dict[Future[T], int]()
    with _helpers(helpers) as pool:
        while left or waiting:
            while left and len(waiting) < 2 * helpers:
                number = left.popleft()
                with _unheard_interrupts():
                    waiting[pool.submit(function, *jobs[number])] = number
            if left:
                number = left.pop()
                keep(number, function(*jobs[number]))
            for future in wait(waiting, timeout=0 if left else None, return_when=FIRST_COMPLETED).done:
                keep(waiting.pop(future), future.result())


@contextmanager
def _helpers(number: int) -> Iterator[ProcessPoolExecutor]:
    """So many other processes; what they are doing when an error or a key ends the work, they drop at once."""
    context = get_context("spawn")
    reader, writer = context.Pipe(duplex=False)
    with reader, writer, ProcessPoolExecutor(number, context, _end_with, (reader,)) as pool:
        try:
            yield pool
        except BaseException as error:
            writer.close()
            pool.shutdown()
            if isinstance(error, BrokenProcessPool):
                what = "a process that did a part of the work was ended by something else, perhaps for want of memory"
                raise AccelError(what, hint="one process needs the least: --processes 1") from None
            raise


def _end_with(leader: Connection) -> None:
    """End this process when the leader closes its end of a pipe, or has no end any more because it was killed."""

    def listen() -> None:
        with suppress(EOFError, OSError):
            leader.recv()
        os._exit(1)

    threading.Thread(target=listen, daemon=True).start()


@contextmanager
def _unheard_interrupts() -> Iterator[None]:
    """Processes that are started here never hear the key that ends the work; the leader hears it afterwards."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
