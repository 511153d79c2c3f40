import csv
import dataclasses
import io
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accel.report.csv import layers_csv, occupancy_csv
from accel.report.timeline import spans
from accel.result import Actions, Cycles, Energy

from .synthetic import digits, estimate, resnet50, without_layers


def read(result):
    return list(csv.DictReader(io.StringIO(layers_csv(result), newline="")))


def test_every_field_reads_back_exactly():
    result = resnet50()
    rows = read(result)
    assert len(rows) == len(result.layers)
    for number, (row, layer) in enumerate(zip(rows, result.layers, strict=True), start=1):
        assert int(row["number"]) == number
        for name in ("name", "op", "unit", "shape", "mapping"):
            assert row[name] == getattr(layer, name)
        assert int(row["macs"]) == layer.macs
        assert float(row["utilization"]) == layer.utilization
        for prefix, record in (("cycles", layer.cycles), ("actions", layer.actions)):
            for field in dataclasses.fields(record):
                assert int(row[f"{prefix}_{field.name}"]) == getattr(record, field.name)
        assert int(row["cycles_total"]) == layer.cycles.total
        for field in dataclasses.fields(layer.energy):
            assert float(row[f"energy_{field.name}"]) == getattr(layer.energy, field.name)
        assert float(row["energy_total_pj"]) == layer.energy.total_pj
        if layer.error:
            assert float(row["error_sqnr_db"]) == layer.error.sqnr_db
            assert float(row["error_mean_lsb"]) == layer.error.mean_lsb
        if layer.activity:
            assert int(row["activity_sum_bits_possible"]) == layer.activity.sum_bits_possible
            assert float(row["activity_energy_registers_pj"]) == layer.activity.energy.registers_pj
        if layer.accumulator:
            assert int(row["accumulator_bits_used"]) == layer.accumulator.bits_used


def test_rows_add_up_to_the_totals():
    result = resnet50()
    rows = read(result)
    assert sum(int(row["cycles_total"]) for row in rows) == result.latency_cycles
    assert sum(int(row["macs"]) for row in rows) == result.macs == 4_089_184_256  # counted from ResNet-50 v1.5's shapes
    assert sum(float(row["energy_total_pj"]) for row in rows) == result.energy_pj
    causes = [f"cycles_{field.name}" for field in dataclasses.fields(Cycles)]
    parts = [f"energy_{field.name}" for field in dataclasses.fields(Energy)]
    for row in rows:
        assert sum(int(row[cause]) for cause in causes) == int(row["cycles_total"])
        assert sum(float(row[part]) for part in parts) == float(row["energy_total_pj"])


def test_columns_are_the_same_for_every_result():
    headers = {
        layers_csv(result).splitlines()[0] for result in (digits(), estimate(digits()), without_layers(digits()))
    }
    (header,) = headers
    names = header.split(",")
    assert len(set(names)) == len(names)
    assert names[:6] == ["number", "name", "op", "unit", "shape", "mapping"]
    # number and 7 fields; 6 causes, actions, 8 energies and the two sums; 3 peaks, 6 of the critical path, 3 units;
    # 3 + 6 + (8 + 1) + 4 of data.
    assert len(names) == 8 + 7 + len(dataclasses.fields(Actions)) + 9 + 3 + 6 + 3 + 3 + 15 + 4


def test_what_was_not_asked_for_is_empty():
    for row in read(estimate(digits())):
        empty = {name for name, cell in row.items() if cell == ""}
        asked_for = ("accumulator_bits", "accumulator_overflows", "activity_", "error_")
        assert empty - {"mapping"} == {name for name in row if name.startswith(asked_for)}


def test_no_layers_is_a_header():
    assert layers_csv(without_layers(digits())).count("\n") == 1


@pytest.mark.parametrize("name", ['a,"b"', "line\nbreak", "µ; ünïcode", "'", " spaces "])
def test_any_name_survives(name):
    layer = dataclasses.replace(digits().layers[0], name=name)
    (row,) = read(dataclasses.replace(digits(), layers=(layer,)))
    assert row["name"] == name


@given(st.floats(allow_nan=False))
def test_any_float_survives(value):
    layer = digits().layers[0]
    error = dataclasses.replace(layer.error, sqnr_db=value)
    (row,) = read(dataclasses.replace(digits(), layers=(dataclasses.replace(layer, error=error),)))
    assert float(row["error_sqnr_db"]) == value
    assert math.copysign(1, float(row["error_sqnr_db"])) == math.copysign(1, value)


def test_buffers_over_time_by_hand():
    """Layers of 20 and 10 cycles: what happens at 20 is in the second one, at the very end in the last there is."""
    first, second = digits().layers[:2]
    layers = (
        dataclasses.replace(first, cycles=Cycles(compute=20)),
        dataclasses.replace(second, cycles=Cycles(compute=10)),
    )
    steps = {"weight": ((0, 16), (19, 32), (20, 8), (30, 0)), "accumulator": ((5, 1), (25, 0))}
    result = dataclasses.replace(digits(), layers=layers, occupancy=steps)
    assert occupancy_csv(result).splitlines() == [
        "buffer,cycle,layer,taken_bytes",
        "weight,0,1,16",
        "weight,19,1,32",
        "weight,20,2,8",
        "weight,30,2,0",
        "accumulator,5,1,1",
        "accumulator,25,2,0",
    ]


def test_buffers_over_time_where_layers_take_turns():
    """The first for 8 cycles, the second for 4, the first again for 12, the second for 6."""
    first, second = digits().layers[:2]
    layers = (
        dataclasses.replace(first, cycles=Cycles(compute=20)),
        dataclasses.replace(second, cycles=Cycles(compute=10)),
    )
    steps = {"weight": ((0, 16), (8, 32), (12, 8), (24, 1), (30, 0))}
    turns = ((8, 0), (12, 1), (24, 0), (30, 1))
    result = dataclasses.replace(digits(), layers=layers, occupancy=steps, turns=turns)
    assert [line.split(",")[1:3] for line in occupancy_csv(result).splitlines()[1:]] == [
        ["0", "1"],
        ["8", "2"],
        ["12", "1"],
        ["24", "2"],
        ["30", "2"],
    ]
    assert spans(result) == [(30, [1, 2])]
    assert spans(dataclasses.replace(result, turns=())) == [(20, [1]), (30, [2])]
