"""``accel synth``: a table, a record, and sentences."""

from __future__ import annotations

import json

from accel import api
from accel.arch.load import dump_machine
from tests.machines import machine
from tests.rtl.tools import needs_synthesis


@needs_synthesis
def test_table_and_json(accel, tmp_path) -> None:
    tiny = machine(weight="int2", activation="int2", accumulator_bits=8)
    path = tmp_path / "tiny.yaml"
    path.write_text(dump_machine(tiny))
    ran = accel("synth", path)
    assert (ran.code, ran.err) == (0, "")
    assert "requantizer lane" in ran.out
    record = json.loads(accel("synth", path, "--json").out)
    assert record["machine"] == tiny.name
    assert record == json.loads(api.synthesize(tiny).to_json())


def test_without_yosys_a_sentence(accel, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    ran = accel("synth", "edge-32x32")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == (
        "error: yosys is not installed, or not on PATH; install it from the system's packages: apt-get install yosys\n"
    )


def test_an_unknown_machine(accel) -> None:
    ran = accel("synth", "edge-32x33")
    assert ran.code == 2
    assert "did you mean 'edge-32x32'?" in ran.err
