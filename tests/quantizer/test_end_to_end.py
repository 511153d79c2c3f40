"""The gallery's float network, quantized, on a machine: integers as onnxruntime has them, classes as before."""

from __future__ import annotations

import pytest

import accel
from accel.api import QuantizeOptions
from accel.gallery import workloads_dir

DIGITS = workloads_dir() / "digits_resnet8"


@pytest.fixture(scope="module")
def shipped():
    return accel.load_network("digits-resnet8")


@pytest.mark.parametrize("ranges", ["asymmetric", "symmetric"])
def test_eight_bits_have_onnxruntime_as_a_witness_and_keep_every_class(ranges, shipped, tmp_path) -> None:
    out = tmp_path / "w8a8.onnx"
    record = accel.quantize("digits-resnet8", out, shipped.images[:64], QuantizeOptions(ranges=ranges))
    assert (record.file_format, record.images, record.path) == ("qdq", 64, str(out))
    network, edge = accel.load_network(out), accel.load_arch("edge-32x32")
    verification = accel.verify(network, edge, shipped.images[:1])
    assert verification.passed
    assert (verification.doubt_alone, verification.doubt_end_to_end) == ("", "")
    assert all(check.witness_end_to_end is not None for check in verification.checks)
    few = slice(0, 40)
    result = accel.simulate(network, edge, shipped.images[few], shipped.labels[few], DIGITS / "float.onnx").result
    assert result.accuracy.agreement == 1.0


@pytest.mark.parametrize(
    ("options", "machine", "least"),
    [
        ({"weights": 4, "activations": 8, "first_last": 8}, "edge-32x32", 0.98),
        ({"weights": 4, "activations": 4, "first_last": 8}, "edge-32x32-int4", 0.96),
        ({"weights": 4, "activations": 4, "ranges": "unsigned"}, "edge-32x32-int4", 0.96),
        ({"weights": 16, "activations": 16}, "edge-32x32-int16", 1.0),
    ],
    ids=["w4a8", "w4a4", "w4a4-unsigned", "w16a16"],
)
def test_other_widths_on_machines_that_have_them(options, machine, least, shipped, tmp_path) -> None:
    """Calibrated on other images than the classes are counted on; 4 bits may cost the odd one of a hundred."""
    out = tmp_path / "q.onnx"
    accel.quantize("digits-resnet8", out, shipped.images[:64], QuantizeOptions(**options))
    few = slice(64, 164)
    network, arch = accel.load_network(out), accel.load_arch(machine)
    result = accel.simulate(network, arch, shipped.images[few], shipped.labels[few], DIGITS / "float.onnx").result
    assert result.accuracy.agreement >= least
