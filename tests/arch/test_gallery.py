"""The machines that ship."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from accel import gallery
from accel.arch.describe import machine_schema, machine_schema_text
from accel.arch.load import load_arch
from accel.errors import AccelError

PATHS = gallery.machines()
NAMES = [path.stem for path in PATHS]


def test_the_machines_that_documents_name() -> None:
    promised = {
        "edge-32x32",
        "edge-32x32-os",
        "edge-32x32-is",
        "edge-32x32-uint8",
        "edge-32x32-int4",
        "edge-32x32-int16",
        "edge-32x32-serial",
        "bit-fusion-16x32",
        "bismo-8x8",
        "llsq-32x32",
        "xnor-32x32",
        "tpu-v1",
        "gemmini-16x16",
        "scale-sim-32x32",
        "axis-systolic-4x4",
        "axis-systolic-8x8",
        "axis-systolic-16x16",
        "opentpu-8x8",
        "gemmini-mesh-16x16",
        "scale-sim-rtl",
        "scale-sim-3",
    }
    assert promised <= set(NAMES)


@pytest.mark.parametrize("path", PATHS, ids=NAMES)
def test_each_machine_loads_and_says_where_it_comes_from(path: Path) -> None:
    machine = load_arch(path.stem)
    assert machine.name == path.stem
    assert len(machine.description) > 20
    assert len(machine.source) > 20
    assert path.read_text().startswith("# yaml-language-server: $schema=../machine.schema.json\n")
    assert max(map(len, path.read_text().splitlines())) <= 120


def test_tpu_v1_has_the_figures_of_its_paper() -> None:
    tpu = load_arch("tpu-v1")
    pes = tpu.array.rows * tpu.array.columns
    assert pes == 65536
    assert 2 * pes * tpu.clock_hz / 1e12 == pytest.approx(92, abs=0.5)  # TOPS, Jouppi et al., table 2
    assert tpu.buffers.weight.capacity_bytes == 4 * 65536  # four tiles in the FIFO
    assert tpu.buffers.accumulator.capacity_bytes == 4096 * 256 * 4
    assert tpu.dram.bandwidth_bytes_per_cycle * tpu.clock_hz == pytest.approx(34e9)


def test_gemmini_is_its_mesh_with_memories() -> None:
    accelerator, mesh = load_arch("gemmini-16x16"), load_arch("gemmini-mesh-16x16")
    assert accelerator.array == mesh.array
    assert accelerator.pe == mesh.pe
    assert (mesh.pe.partial_sum_bits, mesh.pe.accumulator_bits) == (20, 32)
    assert mesh.array.input_latency_cycles + mesh.array.output_latency_cycles == 3
    spad = accelerator.buffers.weight.capacity_bytes + accelerator.buffers.activation.capacity_bytes
    assert (spad, accelerator.buffers.accumulator.capacity_bytes) == (256 * 1024, 64 * 1024)


@pytest.mark.parametrize("variant", ["os", "is", "uint8"])
def test_variants_of_the_edge_machine_differ_in_one_field(variant: str) -> None:
    edge, other = load_arch("edge-32x32").to_file(), load_arch(f"edge-32x32-{variant}").to_file()
    for text in ("name", "description"):
        del edge[text], other[text]
    parts = {name: (edge.pop(name), other.pop(name)) for name in ("array", "pe")}
    differing = [(name, key) for name, (ours, theirs) in parts.items() for key in ours if ours[key] != theirs[key]]
    assert differing == [("pe", "activation") if variant == "uint8" else ("array", "dataflow")]
    assert edge == other


def test_committed_schema_is_current() -> None:
    committed = (gallery.models_dir() / "machine.schema.json").read_text()
    assert json.loads(committed) == machine_schema(), "run: accel schema > models/machine.schema.json"
    assert json.loads(machine_schema_text()) == machine_schema()


@pytest.mark.parametrize("path", PATHS, ids=NAMES)
def test_each_machine_satisfies_the_schema(path: Path) -> None:
    schema = machine_schema()
    assert broken(schema, schema, YAML(typ="safe", pure=True).load(path.read_text())) == []


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        (None, "clock", "1 KiB"),
        (None, "clock", 10**9),
        (None, "colour", "blue"),
        ("array", "rows", 0),
        ("array", "rows", 513),
        ("array", "rows", 8.5),
        ("array", "overlap", "some"),
        ("array", "dataflow", "weight"),
        ("array", "dataflow", ["weight"]),
        ("array", "dataflow", []),
        ("pe", "weight", "int17"),
        ("dram", "bandwidth", "16"),
        ("dram", "latency", "80 Hz"),
        ("vector", "requantizer", "float16"),
    ],
)
def test_the_schema_refuses_what_the_loader_refuses(section: str | None, key: str, value: Any) -> None:
    schema = machine_schema()
    data = YAML(typ="safe", pure=True).load((gallery.models_dir() / "machines" / "edge-32x32.yaml").read_text())
    (data if section is None else data[section])[key] = value
    assert broken(schema, schema, data) != []


def test_the_schema_knows_two_ways_to_say_a_dram() -> None:
    schema = machine_schema()
    data = YAML(typ="safe", pure=True).load((gallery.models_dir() / "machines" / "edge-32x32.yaml").read_text())
    device = {"preset": "lpddr4-3200", "channels": 2, "timing": {"interface": "20 ns"}}
    assert broken(schema, schema, {**data, "dram": {"device": device}}) == []
    assert broken(schema, schema, {**data, "dram": {"outstanding": 16}}) == ["not one way"]
    assert broken(schema, schema, {**data, "dram": {**data["dram"], "device": device}}) == ["not one way"]


def test_every_field_has_a_description_in_the_schema() -> None:
    schema = machine_schema()
    for part in (schema, *schema["$defs"].values()):
        for key, field in part["properties"].items():
            assert "description" in field or "$ref" in field, key


def broken(root: dict[str, Any], schema: dict[str, Any], value: Any) -> list[str]:
    """The complaints of the few JSON Schema keywords that machine files use."""
    if "$ref" in schema:
        return broken(root, root["$defs"][schema["$ref"].rsplit("/", 1)[1]], value)
    if "anyOf" in schema:
        tries = [broken(root, option, value) for option in schema["anyOf"]]
        return [] if [] in tries else tries[0]
    kinds = {"object": dict, "array": list, "string": str, "integer": int, "boolean": bool}
    kinds |= {"number": (int, float), "null": type(None)}
    if not isinstance(value, kinds[schema["type"]]) or (schema["type"] == "integer" and isinstance(value, bool)):
        return [f"{value!r} is no {schema['type']}"]
    found = []
    if isinstance(value, dict):
        found += [f"no {key}" for key in schema.get("required", []) if key not in value]
        ways = [set(option["required"]) <= value.keys() for option in schema.get("oneOf", [])]
        found += ["not one way"] * (sum(ways) != 1 if ways else False)
        found += [f"unknown {key}" for key in value if key not in schema["properties"]]
        for key in value.keys() & schema["properties"].keys():
            found += broken(root, schema["properties"][key], value[key])
    if isinstance(value, list):
        found += [text for item in value for text in broken(root, schema["items"], item)]
        found += ["too short"] * (len(value) < schema.get("minItems", 0))
    if isinstance(value, str):
        found += ["pattern"] * (re.search(schema.get("pattern", ""), value) is None)
    if isinstance(value, int):
        found += ["range"] * (not schema.get("minimum", value) <= value <= schema.get("maximum", value))
    found += ["enum"] * (value not in schema.get("enum", [value]))
    found += ["const"] * (value != schema.get("const", value))
    return found


def test_galleries_of_a_wheel_come_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "site-packages" / "accel"
    (package / "_gallery" / "models" / "machines").mkdir(parents=True)
    (package / "_gallery" / "models" / "machines" / "only.yaml").touch()
    monkeypatch.setattr(gallery, "_PACKAGE", package)
    assert [path.name for path in gallery.machines()] == ["only.yaml"]
    (tmp_path / "site-packages" / "workloads").mkdir()  # somebody else's
    with pytest.raises(AccelError, match="the gallery folder 'workloads' is missing; reinstall"):
        gallery.workloads_dir()


def test_a_checkout_has_its_galleries_at_the_root() -> None:
    root = Path(gallery.__file__).resolve().parent.parent
    assert gallery.models_dir() == root / "models"
    assert gallery.workloads_dir() == root / "workloads"
