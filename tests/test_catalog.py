"""The listings' figures, by hand."""

from __future__ import annotations

import pytest

from accel.catalog import machine_figures, machine_rows, network_rows, peak_tops
from accel.networks import networks
from tests.machines import machine


def test_peak_and_balance_of_a_machine_by_hand() -> None:
    """4 x 5 PEs at 1 GHz: 20 MACs, 40 operations a cycle; 8 B a cycle are 8 GB/s."""
    arch = machine(4, 5)
    assert peak_tops(arch) == pytest.approx(0.04)
    figures = dict(machine_figures(arch))
    assert figures["peak"] == "0.04 TOPS (20 MACs a cycle)"
    assert figures["DRAM bandwidth"] == "8 GB/s"
    assert figures["balance"] == "2.5 MACs for each DRAM byte"
    parts = [float(part.split()[-1]) for part in figures["area"].split(": ")[1].split(", ")]
    assert sum(parts) == pytest.approx(float(figures["area"].split()[0]), rel=0.02)


def test_rows_of_known_machines() -> None:
    rows = {row["name"]: row for row in machine_rows()}
    edge = rows["edge-32x32"]
    assert (edge["array"], edge["dataflow"], edge["operands"], edge["sum_bits"]) == ("32x32", "ws", "int8", 32)
    assert (edge["mhz"], edge["peak_tops"]) == ("1000", "2.05")
    assert rows["gemmini-16x16"]["dataflow"] == "ws os"
    assert rows["edge-32x32-os"]["dataflow"] == "os"
    assert rows["edge-32x32-is"]["dataflow"] == "is"
    assert rows["edge-32x32-uint8"]["operands"] == "int8 x uint8"
    assert rows["tpu-v1"]["array"] == "256x256"
    assert rows["tpu-v1"]["mhz"] == "700"


def test_capacities_are_all_buffers_together() -> None:
    from accel.arch.load import load_arch

    for row in machine_rows():
        buffers = load_arch(str(row["name"])).buffers
        capacity = sum(getattr(buffers, name).capacity_bytes for name in ("weight", "activation", "accumulator"))
        assert float(str(row["buffers_kib"])) == pytest.approx(capacity / 1024, rel=1e-5)


def test_rows_of_the_networks() -> None:
    rows = {row["name"]: row for row in network_rows()}
    assert list(rows) == [info.name for info in networks()]
    digits = rows["digits-resnet8"]
    assert (digits["input"], digits["macs"], digits["weights"]) == ("1x1x16x16", "3,052,160", "77,072")
    assert (digits["top1"], digits["files"]) == ("100.00%", "ships")
    assert rows["resnet50"]["top1"] == ""
    assert rows["resnet50"]["files"] == "accel networks make resnet50 --out resnet50"
