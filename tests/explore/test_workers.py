"""Jobs on several processes: the same results, one sentence for what goes wrong, and nothing left behind."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from accel.errors import AccelError
from accel.explore import workers
from accel.explore.workers import each


def square(number: int) -> tuple[int, int]:
    time.sleep(0.1)
    return number**2, os.getpid()


def dies_elsewhere(number: int) -> int:
    if multiprocessing.parent_process() is not None:
        os._exit(1)
    return number


def fails_elsewhere(number: int) -> int:
    if multiprocessing.parent_process() is not None:
        raise AccelError(f"{number} is too many", "net:conv", "take less")
    time.sleep(0.05)
    return number


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "WORTH_SECONDS", 0.0)


def test_what_is_done_quickly_is_done_here() -> None:
    told: list[tuple[int, int]] = []
    found = each(square, [(number,) for number in range(3)], 4, lambda *what: told.append(what))
    assert found == [(0, os.getpid()), (1, os.getpid()), (4, os.getpid())]
    assert told == [(0, 1), (1, 2), (2, 3)]
    assert each(square, [], 4) == []


@pytest.mark.usefixtures("eager")
def test_others_help_with_the_rest() -> None:
    told: list[tuple[int, int]] = []
    found = each(square, [(number,) for number in range(24)], 3, lambda *what: told.append(what))
    assert [result for result, _ in found] == [number**2 for number in range(24)]
    assert 1 < len({process for _, process in found}) <= 3
    assert sorted(number for number, _ in told) == list(range(24))
    assert [done for _, done in told] == list(range(1, 25))
    assert multiprocessing.active_children() == []


@pytest.mark.usefixtures("eager")
def test_one_process_is_this_one() -> None:
    assert {process for _, process in each(square, [(number,) for number in range(4)], 1)} == {os.getpid()}
    assert {process for _, process in each(square, [(1,), (2,)], 8)} == {os.getpid()}  # A last job is for nobody else.


@pytest.mark.usefixtures("eager")
def test_a_mistake_that_another_process_finds_is_the_same_sentence() -> None:
    """Of the two jobs that it was given, whichever is heard of first."""
    with pytest.raises(AccelError) as error:
        each(fails_elsewhere, [(number,) for number in range(200)], 2)
    assert str(error.value) in {f"net:conv: {number} is too many; take less" for number in (1, 2)}
    assert multiprocessing.active_children() == []


@pytest.mark.usefixtures("eager")
def test_a_process_that_dies_is_one_sentence() -> None:
    with pytest.raises(AccelError, match=r"was ended by something else, perhaps for want of memory; .* --processes 1$"):
        each(dies_elsewhere, [(number,) for number in range(4)], 2)
    assert multiprocessing.active_children() == []


@pytest.mark.usefixtures("eager")
def test_what_ends_the_work_ends_the_helpers_at_once() -> None:
    def interrupted(number: int, done: int) -> None:
        if done == 6:
            raise KeyboardInterrupt

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        each(time.sleep, [(0.01,), (60.0,), (60.0,), *[(0.3,)] * 20], 2, interrupted)
    assert time.monotonic() - began < 30
    assert multiprocessing.active_children() == []


LEADER = """\
import sys, time
from accel.explore import workers

def job(number):
    time.sleep(0.2)

if __name__ == "__main__":
    workers.WORTH_SECONDS = 0.0
    try:
        workers.each(job, [(number,) for number in range(600)], 3, lambda number, done: print(done, flush=True))
    except KeyboardInterrupt:
        sys.exit(130)
"""


@pytest.mark.parametrize(("jobs_done", "number"), [(1, signal.SIGINT), (20, signal.SIGINT), (20, signal.SIGKILL)])
def test_a_key_or_the_leaders_death_leaves_nothing_behind(jobs_done, number, tmp_path: Path) -> None:
    """A key is heard by all, also by helpers that have hardly begun; nobody is told of the leader's death."""
    script = tmp_path / "leader.py"
    script.write_text(LEADER)
    leader = subprocess.Popen(
        [sys.executable, script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert leader.stdout is not None
    for _ in range(jobs_done):
        leader.stdout.readline()
    time.sleep(0.05)
    if number == signal.SIGINT:
        os.killpg(leader.pid, number)
    else:
        leader.kill()
    # Pipes are read to their ends: the helpers have them, too.
    _, errors = leader.communicate(timeout=30)
    assert "Traceback" not in errors
    assert leader.returncode == (130 if number == signal.SIGINT else -number)
