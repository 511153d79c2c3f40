"""Every option reaches what it is for."""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import time

import numpy as np
import pytest

from accel import api, networks
from accel.arch.load import dump_machine
from accel.arch.spec import Machine
from accel.gallery import workloads_dir
from accel.result import Result
from accel.sim import warm_up

DIGITS = workloads_dir() / "digits_resnet8"
INT8 = DIGITS / "int8.onnx"
WORDS = (INT8, "--arch", "edge-32x32")


@pytest.fixture
def files(tmp_path):
    with np.load(DIGITS / "images.npz") as data:
        np.save(tmp_path / "x.npy", data["images"][:3])
        np.save(tmp_path / "y.npy", (data["labels"][:3] + 1) % 10)
    return tmp_path


def result(ran) -> Result:
    assert ran.code == 0
    return Result.from_json(ran.out)


def test_run_without_and_with_its_options(accel, files) -> None:
    plain = result(accel("run", *WORDS, "--input", files / "x.npy", "--json"))
    assert plain.accuracy is None
    assert not any(layer.error or layer.activity for layer in plain.layers)
    labelled = result(accel("run", *WORDS, "--input", files / "x.npy", "--labels", files / "y.npy", "--json"))
    assert (labelled.accuracy.images, labelled.accuracy.integer_top1) == (3, 0.0)
    compared = result(accel("run", *WORDS, "--input", files / "x.npy", "--float", DIGITS / "float.onnx", "--json"))
    assert all(layer.error for layer in compared.layers if layer.unit != "view")
    counted = result(accel("run", *WORDS, "--input", files / "x.npy", "--images", 1, "--activity", "--json"))
    assert all(layer.activity for layer in counted.layers if layer.unit == "array")
    assert counted.output_sha256 != plain.output_sha256


def test_notes_do_not_disturb_what_machines_read(accel) -> None:
    for form in ("--json", "--csv"):
        assert "note" not in accel("run", *WORDS, form).err
    assert "note: no input was given" in accel("run", *WORDS).err


def test_verify_takes_an_input(accel, files, monkeypatch) -> None:
    taken = []
    honest = api.verify

    def remember(network, arch, inputs=None, *others, **named):
        taken.append(inputs)
        return honest(network, arch, inputs, *others, **named)

    monkeypatch.setattr(api, "verify", remember)
    assert accel("verify", *WORDS, "--input", files / "x.npy").code == 0
    assert taken == [files / "x.npy"]


def test_a_machine_as_json_reads_back(accel) -> None:
    machine = json.loads(accel("show", "edge-32x32", "--json").out)
    assert machine["array"]["rows"] == machine["array"]["columns"] == 32


def test_a_stage_alone(accel) -> None:
    flow = accel("lower", *WORDS, "--stage", "flow").out
    assert flow.startswith("flow ")
    assert "\nprogram " not in flow
    whole = accel("lower", *WORDS).out
    starts = [whole.index(f"{stage} ") for stage in ("graph", "flow", "mapping", "program")]
    assert starts == sorted(starts)


def test_made_networks_take_their_tail(accel, tmp_path, monkeypatch) -> None:
    asked = []
    monkeypatch.setattr(networks, "make", lambda name, out, **fields: asked.append((name, fields)) or [])
    assert accel("networks", "make", "resnet20", "--out", tmp_path / "n", "--tail", "mean", "--overwrite").code == 0
    ((name, fields),) = asked
    assert (name, fields["tail"], fields["overwrite"]) == ("resnet20", "mean", True)


def test_what_times_a_dram_is_compiled_with_a_word_about_it(accel, monkeypatch, tmp_path) -> None:
    compiled = []
    monkeypatch.setattr(warm_up, "is_dram_compiled", lambda: bool(compiled))
    monkeypatch.setattr(warm_up, "warm_up_dram", lambda: compiled.append(True))
    assert accel("estimate", *WORDS).err == ""
    arch = tmp_path / "device.yaml"
    fields = api.load_arch("edge-32x32").to_file() | {"dram": {"device": {"preset": "lpddr4-3200"}}}
    arch.write_text(dump_machine(Machine.model_validate(fields)))
    said = [accel("estimate", INT8, "--arch", arch).err for _ in range(2)]
    assert said == ["compiling the DRAM's kernels, once; later runs take them from the disk\n", ""]
    assert compiled == [True]


def test_an_interrupt_is_no_traceback(accel, monkeypatch) -> None:
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(api, "estimate", interrupted)
    ran = accel("estimate", *WORDS)
    assert (ran.code, ran.out) == (130, "")
    assert "Traceback" not in ran.err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_whoever_ends_the_program_ends_it_in_order(accel, monkeypatch, tmp_path, number) -> None:
    def ended(*_):
        with tempfile.TemporaryDirectory(dir=tmp_path):
            os.kill(os.getpid(), number)
            time.sleep(60)

    monkeypatch.setattr(api, "estimate", ended)
    before = signal.signal(number, signal.SIG_DFL)
    try:
        assert accel("estimate", *WORDS) == (128 + number, "", "")
        assert signal.getsignal(number) is signal.SIG_DFL
    finally:
        signal.signal(number, before)
    assert list(tmp_path.iterdir()) == []


def test_what_is_ignored_stays_ignored(accel, monkeypatch) -> None:
    """As under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        monkeypatch.setattr(api, "estimate", lambda *_: os.kill(os.getpid(), signal.SIGHUP) or sys.exit(7))
        assert accel("estimate", *WORDS).code == 7
    finally:
        signal.signal(signal.SIGHUP, before)
