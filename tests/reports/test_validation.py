"""What the comparisons in reports/validation stand on: their machines, their networks, and that pages have a record."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import ModuleType

import pytest

import accel
from accel.arch.load import load_arch

FOLDER = Path(__file__).parents[2] / "reports" / "validation"
PAGES = ("scale_sim", "rtl_arrays", "nvdla", "eyeriss", "gemmini", "tpu_v1", "zigzag_dse", "energy_area")

pytestmark = pytest.mark.skipif(not FOLDER.exists(), reason="a source distribution has no reports")


def script(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A script as its own folder sees it."""
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module(name)


def test_machines_load_under_their_names() -> None:
    files = sorted((FOLDER / "machines").glob("*.yaml"))
    assert len(files) == 9
    for file in files:
        assert load_arch(file).name == file.stem


@pytest.mark.parametrize("name", PAGES)
def test_page_and_index_are_of_one_record(name: str) -> None:
    record = json.loads((FOLDER / f"{name}.json").read_text())
    assert (FOLDER / f"{name}.md").read_text().startswith(f"# {record['title']}\n")
    assert f"| [{record['title']}]({name}.md) | {record['result']} |" in (FOLDER / "README.md").read_text()
    assert (FOLDER / f"{name}.png").exists()


def test_layers_apart_go_through_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The default lets these two take turns, and their tensor stays on chip; apart, all of it is stored and loaded."""
    chain = script("chain", monkeypatch).Chain("pair", (1, 16, 64, 64))
    for name in ("first", "second"):
        chain.conv(name, 16, 3, pad=1)
    network = accel.load_network(chain.save(tmp_path / "pair.onnx"))
    machine = load_arch("edge-32x32")
    small = machine.buffers.activation.model_copy(update={"capacity_bytes": 32 << 10})
    machine = machine.model_copy(update={"buffers": machine.buffers.model_copy(update={"activation": small})})
    runs = [estimate(network, machine) for estimate in (accel.estimate, script("runs", monkeypatch).layers_apart)]
    fused, apart = ({layer.name: layer.actions for layer in run.layers} for run in runs)
    assert fused["first"].dram_write_bytes == 0
    assert apart["first"].dram_write_bytes == chain.shape[1] * chain.shape[2] * chain.shape[3]
    assert apart["second"].dram_read_bytes > fused["second"].dram_read_bytes + apart["first"].dram_write_bytes
    assert runs[0].latency_cycles < runs[1].latency_cycles


def test_alexnet_has_the_published_products(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Eyeriss's table: MMAC of four images."""
    network = script("eyeriss", monkeypatch).alexnet(tmp_path)
    pixels = {node.name: network.graph.tensors[node.output].size for node in network.graph.nodes}
    weights = {node.name: node.op.weight.values for node in network.graph.nodes if node.name.startswith("conv")}
    macs = {name: pixels[name] * values[0].size / 1e6 for name, values in weights.items()}
    published = {"conv1": 421.66, "conv2": 895.79, "conv3": 598.1, "conv4": 448.6, "conv5": 299.0}
    assert macs == pytest.approx(published, rel=2e-4)


def test_stand_ins_have_the_published_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    """TPUv1's table 1: layers, batch, weights to one figure, and products for each weight."""
    networks = script("tpu_v1", monkeypatch).networks()
    assert {name: chain.shape[0] for name, chain in networks.items()} == {
        "MLP0": 200,
        "MLP1": 168,
        "CNN0": 8,
        "CNN1": 32,
    }
    millions = {name: chain.weights / 1e6 for name, chain in networks.items()}
    assert millions == pytest.approx({"MLP0": 20, "MLP1": 5, "CNN0": 8, "CNN1": 100}, rel=0.02)
    products = {name: chain.macs / chain.weights for name, chain in networks.items()}
    assert products == pytest.approx({"MLP0": 200, "MLP1": 168, "CNN0": 2888, "CNN1": 1750}, rel=0.04)
    layers = {name: chain.layers for name, chain in networks.items()}
    assert layers == {"MLP0": 5, "MLP1": 4, "CNN0": 16, "CNN1": 76}
