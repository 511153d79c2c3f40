"""Where RTL and simulator part: both waveforms around the place, and the first register that differs."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from pathlib import Path

from accel.errors import AccelError
from accel.rtl.build import compile_model, model_of
from accel.rtl.replay import replay
from accel.rtl.stimulus import Int64Array, Stimulus
from accel.rtl.vcd import read_vcd
from accel.rtl.waves import stepped_layer, write_waves

_MOST_CYCLES = 400
_MARGIN_CYCLES = 4


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What a look at the registers says."""

    text: str
    waveforms: tuple[str, ...]
    """The RTL's and the simulator's, signals under the same names; a cycle is two units of the former's time, one
    nanosecond of the latter's."""


def diagnose(stimulus: Stimulus, expected: Int64Array, fold: int, cycle: int, folder: Path, name: str) -> Diagnosis:
    """Run a layer again on RTL that writes waveforms, and compare it with the simulated registers.

    Parameters
    ----------
    expected
        The simulator's stamps.
    fold, cycle
        Where the two were seen to differ.
    folder, name
        The waveforms are ``folder/name-rtl.vcd`` and ``folder/name-simulator.vcd``; earlier ones are replaced.
    """
    window = _window(expected, fold, cycle)
    paths = (folder / f"{name}-rtl.vcd", folder / f"{name}-simulator.vcd")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        executable = compile_model(model_of(stimulus.design, trace=True))
        replay(executable, stimulus, (paths[0], *window))
        write_waves(paths[1], stepped_layer(stimulus.design, stimulus.tiles), window, overwrite=True)
    except (AccelError, OSError) as error:
        return Diagnosis(f"no waveforms: {error}", ())
    return Diagnosis(_first_difference(*paths, window), tuple(map(str, paths)))


def _window(expected: Int64Array, fold: int, cycle: int) -> tuple[int, int]:
    """From the fold's first operand to the cycle in question, or the last part of it."""
    begin = min(int(expected[fold, 0]), cycle)
    last = cycle + _MARGIN_CYCLES
    return max(0, begin - _MARGIN_CYCLES, last - _MOST_CYCLES), last


def _first_difference(rtl: Path, simulator: Path, window: tuple[int, int]) -> str:
    """The earliest value that differs in any signal that both waveforms have."""
    hardware, simulated = read_vcd(rtl), read_vcd(simulator)
    common = sorted(hardware.keys() & simulated.keys())
    for cycle in range(*window):
        for signal in common:
            # The RTL's inputs are in place in the second half of a cycle.
            left = _value_at(hardware[signal], 2 * cycle + 1)
            right = _value_at(simulated[signal], cycle)
            if left is not None and right is not None and left != right:
                return (
                    f"in cycle {cycle}, {signal} is {left} in the RTL and {right} in the simulator, the first of "
                    f"{len(common)} registers and wires in cycles {window[0]} to {window[1] - 1} to differ"
                )
    return (
        f"none of {len(common)} registers and wires of the array differs in cycles {window[0]} to {window[1] - 1}: "
        "look behind it, at the accumulators"
    )


def _value_at(changes: list[tuple[int, int]], time: int) -> int | None:
    index = bisect_right(changes, time, key=lambda change: change[0])
    return changes[index - 1][1] if index else None
