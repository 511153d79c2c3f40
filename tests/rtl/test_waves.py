"""Waveforms: files that viewers read, and the simulated array's registers beside those of its RTL, signal by signal."""

from __future__ import annotations

import errno
import random
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.compile import compile_graph, fit_to_machine
from accel.errors import AccelError
from accel.mapping.select import array_layers
from accel.numerics.qtype import QType
from accel.rtl.build import compile_model, model_of
from accel.rtl.design import Design, design_of
from accel.rtl.fst import FstWriter
from accel.rtl.record import LayerRecord, Recorder
from accel.rtl.replay import expected_stamps, replay
from accel.rtl.stimulus import Tile, rows_needed, stimulus_of
from accel.rtl.vcd import VcdWriter
from accel.rtl.waveform import lane_type
from accel.rtl.waves import ROOT, WaveRecorder, Waves, parse_cycles, stepped_layer, write_waves
from accel.sim.registers import Family
from accel.sim.registers.families import down, in_each, single, to_the_right
from accel.sim.simulate import Simulator
from tests.machines import machine
from tests.networks import Builder
from tests.rtl.tools import needs_verilator
from tests.rtl.wave_files import Wave, read_fst, read_vcd, read_with_wellen

SLOW = {
    "multiplier_latency_cycles": 2,
    "accumulate_latency_cycles": 2,
    "vertical_hop_latency_cycles": 2,
    "horizontal_hop_latency_cycles": 3,
    "input_latency_cycles": 2,
    "output_latency_cycles": 1,
}
SIDE_BY_SIDE = "groups side by side"
ARRAYS: dict[str, dict[str, Any]] = {
    "weights stay": {"rows": 3, "columns": 2},
    "weights stay, slow, narrow sums": {
        "rows": 5,
        "columns": 2,
        "weight": "int4",
        "activation": "uint5",
        "accumulator_bits": 12,
        "array": SLOW,
        "pe": {"partial_sum_bits": 10},
    },
    "weights stay, no overlap": {"rows": 3, "columns": 3, "overlap": "none", "array": SLOW, "overflow": "saturate"},
    "activations stay, short folds": {
        "rows": 6,
        "columns": 1,
        "dataflow": "input_stationary",
        "activation": "int16",
        "weight": "uint2",
        "array": {"short_folds": "serialized"},
        "accumulator_bits": 19,
        "pe": {"partial_sum_bits": 19},
    },
    "results go down": {"rows": 3, "columns": 2, "dataflow": "output_stationary", "array": SLOW},
    "results go right, preloaded": {
        "rows": 2,
        "columns": 3,
        "dataflow": "output_stationary",
        "array": SLOW | {"shift_out": "right", "accumulator_preload": True},
        "accumulator_bits": 18,
        "pe": {"partial_sum_bits": 16},
    },
    "results stay, on a bus": {
        "dataflow": "output_stationary",
        "rows": 2,
        "columns": 2,
        "array": {"shift_out": "none"},
    },
    "XNOR gates, slow": {
        "rows": 3,
        "columns": 2,
        "weight": "bipolar",
        "activation": "bipolar",
        "accumulator_bits": 8,
        "array": SLOW,
        "pe": {"multiplier": "xnor"},
    },
    "results go down, no overlap": {
        "rows": 3,
        "columns": 2,
        "dataflow": "output_stationary",
        "overlap": "none",
        "weight": "uint8",
        "activation": "uint8",
        "accumulator_bits": 20,
        "overflow": "saturate",
        "pe": {"partial_sum_bits": 18},
    },
    "results go right, no overlap, slow": {
        "rows": 2,
        "columns": 2,
        "dataflow": "output_stationary",
        "overlap": "none",
        "array": SLOW | {"shift_out": "right", "accumulator_preload": True},
    },
}


def operands(rng: np.random.Generator, qtype: QType, shape: tuple[int, int]) -> np.ndarray:
    """Extremes are drawn often, so that narrow sums overflow."""
    values = rng.integers(qtype.min, qtype.max, shape, endpoint=True)
    return np.where(rng.random(shape) < 0.6, rng.choice([qtype.min, qtype.max], shape), values)


def some_tiles(rng: np.random.Generator, design: Design) -> list[Tile]:
    """Tiles of several folds, with waits between them and ports that hold the last operand back."""
    pe, overlapped = design.machine.pe, design.machine.array.overlap != "none"
    tiles, now = [], 0
    for _ in range(3):
        k, pixels, channels = rng.integers(1, 12), *rng.integers(1, 8, 2)
        now += int(rng.choice([0, 4, 30]))
        ready = now + int(rng.choice([1, 6, 20]))
        groups = tuple(
            (operands(rng, pe.activation, (k, pixels)), operands(rng, pe.weight, (k, channels)))
            for _ in range(rng.integers(1, 3))
        )
        stretch = int(rng.choice([0, 2, 5]))
        tiles.append(Tile(groups, True, 0, now if overlapped else ready, ready, stretch))
        now = ready
    return tiles


@needs_verilator
@pytest.mark.parametrize("name", ARRAYS)
def test_every_signal_is_the_hardwares(name: str, tmp_path: Path) -> None:
    given = {"dataflow": "weight_stationary"} | ARRAYS[name]
    rng = np.random.default_rng(sum(map(ord, name)))
    arch = machine(**given)
    plain = design_of(arch, given["dataflow"])
    tiles = some_tiles(rng, plain)
    rows = 0
    for tile in tiles:
        groups, pixels, _, channels = tile.shape
        rows = max(rows, rows_needed(plain, groups, pixels, channels))
    design = design_of(arch, given["dataflow"], accumulator_rows=rows)
    layer = stepped_layer(design, tiles)
    window = (0, layer.last_cycle + 1)
    executable = compile_model(model_of(design, trace=True))
    replay(executable, stimulus_of(design, tiles), (tmp_path / "rtl.vcd", *window))
    write_waves(tmp_path / "simulated.fst", layer, window)
    hardware, simulated = read_vcd(tmp_path / "rtl.vcd"), read_fst(tmp_path / "simulated.fst")
    assert differences(hardware, simulated, range(*window)) == []
    # From the middle on it shows the same.
    window = (layer.last_cycle * 2 // 3, layer.last_cycle)
    write_waves(tmp_path / "later.fst", layer, window)
    assert differences(hardware, read_fst(tmp_path / "later.fst"), range(*window)) == []
    # Shown are all PEs, and something happens in them.
    names = {
        f"{ROOT}.array.g_row[{r}].g_column[{c}].pe.product"
        for r in range(given["rows"])
        for c in range(given["columns"])
    }
    assert names <= simulated.keys()
    assert all(len(simulated[product].changes) > 3 for product in names)
    overflows = [wave for signal, wave in simulated.items() if signal.endswith(".pe.overflow")]
    assert any(len(wave.changes) > 1 for wave in overflows) == ("partial_sum_bits" in given.get("pe", {}))


def differences(hardware: dict[str, Wave], simulated: dict[str, Wave], cycles: range) -> list[str]:
    """Signals that the hardware does not have, or that differ; the first cycle of each, and both values.

    In the hardware's dump a cycle lasts two units, and its values are settled in the second.
    """
    found = []
    for name, wave in simulated.items():
        if name == f"{ROOT}.cycle":
            continue
        if name not in hardware or hardware[name].width != wave.width:
            found.append(f"{name}: not in the hardware, or of another width")
            continue
        theirs = hardware[name].over(range(2 * cycles.start + 1, 2 * cycles.stop + 1, 2))
        ours = wave.over(cycles)
        found += [f"{name}, cycle {c}: {a} {b}" for c, a, b in zip(cycles, theirs, ours, strict=True) if a != b][:1]
    return found


def test_a_difference_is_found() -> None:
    good, bad = Wave(2, [(0, "00"), (9, "01")]), Wave(2, [(0, "00"), (4, "11")])
    hardware = {f"{ROOT}.a": good, f"{ROOT}.b": good}
    assert differences(hardware, {f"{ROOT}.a": bad}, range(7)) == [f"{ROOT}.a, cycle 4: 01 11"]
    assert len(differences(hardware, {f"{ROOT}.c": good, f"{ROOT}.b": Wave(3, [])}, range(7))) == 2


@pytest.mark.parametrize("name", [*ARRAYS, SIDE_BY_SIDE])
def test_a_programs_waits(name: str) -> None:
    """What is planned from a program's clock is what a recorded run does, and its folds come when the law says."""
    rng = random.Random(name)
    fields_of = ARRAYS.get(name, {"rows": 18, "columns": 2})
    shape = {key: fields_of[key] for key in ("rows", "columns", "dataflow", "overlap", "array") if key in fields_of}
    for _ in range(3):
        arch = machine(
            **shape,
            buffers=rng.choice([(512, 1024, 1024), (2048, 4096, 4096)]),
            double_buffered=rng.random() < 0.6,
            bandwidth=rng.choice(["8 B/cycle", "2 B/cycle", "64 B/cycle"]),
            width=rng.choice(["64 B/cycle", "4 B/cycle", "2 B/cycle"]),
        )
        builder = Builder(rng.randrange(1 << 30))
        builder.conv(builder.conv(builder.input(1, 4, 6, 5), 6, strides=(2, 1)), 6, groups=rng.choice([1, 2, 6]))
        graph = fit_to_machine(builder.graph(), arch)
        simulator = Simulator(compile_graph(graph, arch), arch)
        source = graph.tensors[graph.inputs[0]]
        image = np.random.default_rng(rng.randrange(1 << 30)).integers(-128, 128, source.shape).astype(np.int8)
        positions = array_layers(simulator.program)
        records: list[LayerRecord] = []
        recorder = Recorder(simulator, positions, records.append)
        simulator.run({graph.inputs[0]: image}, observer=recorder)
        recorder.close()
        for record in records:
            planned = WaveRecorder(simulator, Waves(Path("unwritten.fst"), record.position + 1)).layer
            mapping = simulator.program.layers[record.position].mapping
            design = design_of(arch, mapping.dataflow)
            layer = stepped_layer(design, record.tiles)
            for field in fields(layer.times):
                assert getattr(planned.times, field.name).tolist() == getattr(layer.times, field.name).tolist()
            places = stimulus_of(design, record.tiles).places
            stamps = expected_stamps(design, record.tiles, places, record.begins)
            assert layer.times.begins.tolist() == stamps[:, 0].tolist()
            # In the cycle after the one at whose end it is out, a result is seen in its register.
            assert (layer.times.outs - 1).tolist() == stamps[:, 2].tolist()


@st.composite
def families(draw: st.DrawFn) -> list[Family]:
    """Families of every shape; names do not meet."""
    bits = st.integers(1, 64)
    made: list[Family] = []
    for number in range(draw(st.integers(1, 5))):
        rows, columns, name = draw(st.integers(1, 3)), draw(st.integers(1, 3)), f"s{number}"
        kind = draw(st.sampled_from([single, in_each, to_the_right, down]))
        if kind is single:
            made.append(single(name, draw(bits), draw(st.integers(1, 9))))
        elif kind is in_each:
            made.append(in_each(rows, columns, (name, f"pe.{name}"), draw(bits), draw(st.integers(1, 3))))
        else:
            made.append(kind(rows, columns, name, draw(bits)))
    return made


@settings(max_examples=60, deadline=None)
@given(families(), st.integers(1, 40), st.integers(0, 10**12), st.integers(0, 2**32), st.sampled_from([0.02, 0.5, 1]))
def test_files_hold_what_was_written(
    tmp_path_factory: Any, some: list[Family], cycles: int, start: int, seed: int, busy: float
) -> None:
    rng = np.random.default_rng(seed)
    values = []
    for family in some:
        shape = (cycles, family.count, family.lanes)
        drawn = rng.integers(-(1 << 63), (1 << 63) - 1, shape) >> (64 - family.bits)
        # A signal keeps its value until it is drawn to change.
        latest = np.where(rng.random(shape) < busy, np.arange(cycles)[:, None, None], 0)
        kept = np.take_along_axis(drawn, np.maximum.accumulate(latest, axis=0), axis=0)
        values.append(kept.astype(lane_type(family.bits)))
    cuts = sorted({0, *rng.integers(0, cycles, 3).tolist()})
    folder = tmp_path_factory.mktemp("waves")
    for kind in (FstWriter, VcdWriter):
        with (folder / kind.__name__).open("wb") as file:
            writer = kind(file, some, "top.inner")
            for low, high in zip(cuts, [*cuts[1:], cycles], strict=True):
                end = start + cycles if high == cycles else None
                writer.write(start + low, [shown[low:high] for shown in values], end)
            writer.close()
    times = range(start, start + cycles)
    expected = {}
    for family, shown in zip(some, values, strict=True):
        for number in range(family.count):
            text = [digits(lanes, family.bits) for lanes in shown[:, number].tolist()]
            expected |= {f"top.inner.{name}": text for name in family.names(number)}
    vcd = read_vcd(folder / "VcdWriter")
    assert {name: wave.over(times) for name, wave in vcd.items()} == expected
    # Nothing is written twice.
    assert all(a[1] != b[1] for wave in vcd.values() for a, b in zip(wave.changes, wave.changes[1:], strict=False))
    assert (folder / "VcdWriter").read_text().endswith(f"#{start + cycles}\n")
    assert {name: wave.over(times) for name, wave in read_fst(folder / "FstWriter").items()} == expected


def digits(lanes: list[int], bits: int) -> str:
    return "".join(format(lane & ((1 << bits) - 1), f"0{bits}b") for lane in reversed(lanes))


@pytest.fixture
def layer() -> Any:
    design = design_of(machine(rows=3, columns=2), "weight_stationary")
    return stepped_layer(design, some_tiles(np.random.default_rng(3), design))


def test_surfer_reads_the_same(layer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FstWriter, "block_bytes", 4000)  # several blocks
    write_waves(tmp_path / "w.fst", layer, (5, 45), origin=5)
    times = range(40)
    by_gtkwave = {name: wave.over(times) for name, wave in read_fst(tmp_path / "w.fst").items()}
    assert read_with_wellen(tmp_path / "w.fst", times) == by_gtkwave
    assert by_gtkwave[f"{ROOT}.cycle"] == [format(time, "032b") for time in times]


def test_the_same_bytes_every_time(layer: Any, tmp_path: Path) -> None:
    for name in ("a", "b"):
        for suffix in (".fst", ".vcd"):
            write_waves(tmp_path / f"{name}{suffix}", layer, (0, 30))
    assert (tmp_path / "a.fst").read_bytes() == (tmp_path / "b.fst").read_bytes()
    assert (tmp_path / "a.vcd").read_bytes() == (tmp_path / "b.vcd").read_bytes()


@pytest.mark.parametrize("suffix", [".fst", ".vcd"])
def test_nothing_is_half_written(suffix: str, layer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / f"w{suffix}"
    kind = {".fst": FstWriter, ".vcd": VcdWriter}[suffix]
    monkeypatch.setattr(kind, "block_bytes", 4000)
    honest = kind.put

    def full(writer: Any, first_cycle: int, *rest: Any) -> None:
        honest(writer, first_cycle, *rest)
        if first_cycle > 10:
            raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(kind, "put", full)
        with pytest.raises(AccelError, match=r"the waveform cannot be written here \(No space left on device\)"):
            write_waves(path, layer, (0, 40))
        assert list(tmp_path.iterdir()) == []
        path.write_text("earlier")
        with pytest.raises(AccelError, match="cannot be written"):
            write_waves(path, layer, (0, 40), overwrite=True)
        assert path.read_text() == "earlier"
        patch.setattr(kind, "put", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            write_waves(path, layer, (0, 40), overwrite=True)
        assert [file.name for file in tmp_path.iterdir()] == [path.name]
    write_waves(path, layer, (0, 40), overwrite=True)
    assert path.stat().st_size > 1000


@pytest.mark.parametrize(
    "text", ["", ":", "7", "1:", ":1", "a:b", "-1:4", "1:2:3", "0x1:4", "1.5:4", "٣:9", "0:" + "9" * 30]
)
def test_ranges_that_are_none(text: str) -> None:
    with pytest.raises(AccelError, match="is no range of cycles; write FROM:TO, such as 0:400"):
        parse_cycles(text)


def test_ranges() -> None:
    assert parse_cycles("0:400") == (0, 400)
    assert parse_cycles(" 7 : 8 ") == (7, 8)
    for text in ("4:4", "5:4"):
        with pytest.raises(AccelError, match=f"the range of cycles {text} is empty"):
            parse_cycles(text)
