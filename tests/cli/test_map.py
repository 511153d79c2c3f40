"""``accel map`` and the files that it writes: saved, edited, loaded, and refused where they are wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from accel import api
from accel.arch.load import dump_machine
from accel.explore import nest
from accel.result import Result
from accel.studies.mapping_search import MappingSearch
from tests.machines import machine

NET, ARCH = "digits-resnet8", "edge-32x32"
MAP = ("map", NET, "--arch", ARCH, "-j", 1)
TILE = "tile: {g: 1, b: 1, oh: 4, ow: 4, n: 32, k: 32}"


@pytest.fixture(scope="module")
def found() -> MappingSearch:
    return api.search_mapping(api.load_network(NET), api.load_arch(ARCH))


@pytest.fixture
def file(found, tmp_path: Path) -> Path:
    path = tmp_path / "m.yaml"
    path.write_text(found.mapping_yaml)
    return path


def test_what_is_found_is_printed_saved_and_loaded(accel, found, tmp_path) -> None:
    file = tmp_path / "m.yaml"
    ran = accel(*MAP, "--out", file)
    assert (ran.code, ran.err) == (0, f"{file}\n")
    assert all(layer.name in ran.out for layer in found.layers)
    assert f"{found.before.cycles} -> {found.after.cycles}" in ran.out
    assert file.read_text() == found.mapping_yaml
    assert [path.name for path in tmp_path.iterdir()] == ["m.yaml"]
    plain, mapped = (
        Result.from_json(accel("estimate", NET, "--arch", ARCH, "--json", *words).out)
        for words in ((), ("--mapping", file))
    )
    assert (plain.latency_cycles, mapped.latency_cycles) == (found.before.cycles, found.after.cycles)
    assert [layer.mapping for layer in mapped.layers if layer.mapping] == [it.mapping_after for it in found.layers]


def test_json_is_the_record_and_nothing_else(accel, found, tmp_path) -> None:
    ran = accel(*MAP, "--json", "--out", tmp_path / "m.yaml")
    assert MappingSearch.from_json(ran.out) == found
    totals = json.loads(ran.out)["totals"]
    assert totals["after"]["cycles"] == sum(layer.after.cycles for layer in found.layers)
    assert (tmp_path / "m.yaml").read_text() == found.mapping_yaml


def test_an_edited_file_is_what_runs(accel, found, file) -> None:
    """A tile of 16 channels instead of 32 of stage3.conv1, in the estimate, the simulation and what is lowered."""
    name = "stage3.conv1_quant"
    head, tail = found.mapping_yaml.split(f"  {name}:\n")
    assert TILE in tail
    file.write_text(f"{head}  {name}:\n{tail.replace(TILE, TILE.replace('n: 32', 'n: 16'), 1)}")
    words = (NET, "--arch", ARCH, "--mapping", file)
    estimate = Result.from_json(accel("estimate", *words, "--json").out)
    (edited,) = (layer for layer in estimate.layers if layer.name == name)
    assert edited.mapping == "ws g1 b1 oh4 ow4 n16 k32 pixels outer"
    assert estimate.latency_cycles > found.after.cycles
    run = Result.from_json(accel("run", *words, "--images", 2, "--json").out)
    assert [layer.cycles for layer in run.layers] == [layer.cycles for layer in estimate.layers]
    assert run.accuracy.agreement == 1.0
    assert f"  {name}: {edited.mapping}\n" in accel("lower", *words, "--stage", "mapping").out
    verified = accel("verify", *words)
    assert verified.code == 0
    assert f"estimate {estimate.latency_cycles:,}, simulation {estimate.latency_cycles:,}" in verified.out


@pytest.mark.parametrize("objective", ["cycles", "energy", "edp", "dram-bytes"])
def test_every_objective_gets_no_worse(accel, objective) -> None:
    record = MappingSearch.from_json(accel(*MAP, "--objective", objective, "--json").out)
    cost = {
        "cycles": lambda it: it.cycles,
        "energy": lambda it: it.energy_pj,
        "edp": lambda it: it.energy_pj * it.cycles,
        "dram-bytes": lambda it: it.dram_bytes,
    }[objective]
    assert cost(record.after) <= cost(record.before)
    assert (record.objective, record.effort, record.seed) == (objective, "quick", 0)
    assert f"# accel map --objective {objective} --effort quick --seed 0\n" in record.mapping_yaml


def test_every_option_reaches_the_search(accel, found, monkeypatch, tmp_path) -> None:
    asked = []
    monkeypatch.setattr(api, "search_mapping", lambda *words: asked.append(words[2:-1]) or found)
    file = tmp_path / "m.yaml"
    words = ("--objective", "edp", "--effort", "full", "--seed", 7, "-j", 3, "--out", file, "--overwrite")
    assert accel("map", NET, "--arch", ARCH, *words).code == 0
    assert asked == [("edp", "full", 7, 3, file, True)]


def test_equal_seeds_write_equal_files(accel, monkeypatch, tmp_path) -> None:
    """Of spaces that are cut to a hundred drawn tilings, and a few timings each."""
    for name, size in {"SMALL": 0, "LARGE": 100}.items():
        monkeypatch.setattr(nest, name, size)
    monkeypatch.setitem(nest.BUDGET, "full", 100)
    drawn = []
    balanced = nest.space.balanced
    monkeypatch.setattr(nest.space, "balanced", lambda *words: drawn.append(balanced(*words).tolist()) or drawn[-1])
    monkeypatch.setattr(nest.space, "merged", lambda few, more: few)
    texts, spaces = [], []
    for number, seed in enumerate((3, 3, 4)):
        drawn.clear()
        assert accel(*MAP, "--effort", "full", "--seed", seed, "--out", tmp_path / f"{number}.yaml").code == 0
        texts.append((tmp_path / f"{number}.yaml").read_text())
        spaces.append(list(drawn))
    assert texts[0] == texts[1]
    assert spaces[0] == spaces[1] != spaces[2]
    assert texts[2].startswith("# accel map --objective cycles --effort full --seed 4\n")


def test_no_file_is_replaced_by_accident(accel, file, tmp_path) -> None:
    file.write_text("mine")
    ran = accel(*MAP, "--out", file)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == f"error: {file}: the file exists already; choose another name, or replace it: --overwrite\n"
    assert file.read_text() == "mine"
    assert accel(*MAP, "--out", file, "--overwrite").code == 0
    assert file.read_text().startswith("# accel map")
    assert [path.name for path in tmp_path.iterdir()] == ["m.yaml"]


@pytest.mark.parametrize(
    ("out", "message"),
    [
        ("", ": this is a folder, not a file; name the YAML file to write\n"),
        ("nets/m.yaml", "nets; make it first\n"),
    ],
)
def test_where_no_file_can_be_is_said_before_the_search(accel, monkeypatch, tmp_path, out, message) -> None:
    monkeypatch.setattr("accel.api.mapping.search_network", None)
    ran = accel(*MAP, "--out", tmp_path / out)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.endswith(message)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--objective", "speed"), "error: --objective is 'speed'; legal are cycles, energy, edp, dram-bytes\n"),
        (("--effort", "huge"), "error: --effort is 'huge'; legal are quick, full\n"),
    ],
)
def test_unknown_words(accel, words, message) -> None:
    assert accel(*MAP, *words) == (2, "", message)


def test_where_nothing_fits_the_buffer_and_the_bytes_are_named(accel, tmp_path) -> None:
    """stage2.conv2 reads 3 x 3 pixels of 32 channels for one output: 288 B, and half of 512 B holds 256 of them."""
    arch = tmp_path / "small.yaml"
    arch.write_text(dump_machine(machine(buffers=(512, 512, 1024))))
    message = (
        "stage2.conv2_quant: the smallest tile needs 288 bytes in the activation buffer, and a half of it holds 256 "
        "(32 too few) on machine test-4x5; enlarge the buffer, or turn its double buffering off\n"
    )
    for words in (("map", NET, "-j", 1, "--out", tmp_path / "m.yaml"), ("estimate", NET), ("lower", NET)):
        ran = accel(*words, "--arch", arch)
        assert (ran.code, ran.out) == (2, "")
        assert ran.err.endswith(message)
        assert ran.err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["small.yaml"]


WRONG = {
    "another network": (
        ("network: digits-resnet8", "network: resnet18"),
        "2:10: this mapping is for the network 'resnet18', and this one is 'digits-resnet8'",
    ),
    "another machine": (
        ("machine: edge-32x32", "machine: tpu-v1"),
        "3:10: this mapping is for the machine 'tpu-v1', and this one is 'edge-32x32'",
    ),
    "unknown key": (("layers:\n", "seed: 3\nlayers:\n"), "4:1: unknown key 'seed'; legal are network, machine, layers"),
    "missing layer": (
        ("  pool:\n    tile: {b: 1, c: 64, h: 1, w: 1}\n", ""),
        "4:1: layer 'pool' has no mapping here; every layer needs one",
    ),
    "size larger than its loop": (
        ("{b: 1, c: 64, h: 1, w: 1}", "{b: 1, c: 65, h: 1, w: 1}"),
        "{line}:21: a tile of 65 is larger than its loop; the loop c runs 64 times",
    ),
    "not YAML": (("layers:\n", "layers: [\n"), "6:9: this is not YAML: expected ',' or ']', but got ':'"),
}


def refused(accel, command: str, *words: object) -> str:
    """The one sentence."""
    ran = accel(command, NET, *words)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("error: ")
    assert ran.err.count("\n") == 1
    return ran.err.removeprefix("error: ").removesuffix("\n")


@pytest.mark.parametrize("kind", WRONG)
def test_a_wrong_file_is_one_sentence_with_its_place(accel, found, file, kind) -> None:
    (right, wrong), message = WRONG[kind]
    assert found.mapping_yaml.count(right) == 1
    file.write_text(found.mapping_yaml.replace(right, wrong))
    said = refused(accel, "estimate", "--arch", ARCH, "--mapping", file)
    line = 1 + found.mapping_yaml[: found.mapping_yaml.index(right)].count("\n")
    assert said == f"{file}:{message.format(line=line)}"


def test_a_buffer_that_a_tile_overfills(accel, found, file, tmp_path) -> None:
    """The stem's tile makes 6 x 16 pixels of 16 channels in 32 bits: 6,144 B, and half of 8 KiB holds 4,096."""
    arch = tmp_path / "small.yaml"
    head, tail = dump_machine(api.load_arch(ARCH)).split("accumulator:\n")
    arch.write_text(f"{head}accumulator:\n{tail.replace('256 KiB', '8 KiB', 1)}")
    said = refused(accel, "estimate", "--arch", arch, "--mapping", file)
    stem = file.read_text().splitlines().index("  stem_quant:") + 1
    assert said.startswith(
        f"{file}:{stem + 3}:11: this tile needs 6144 bytes in the accumulator buffer, and a half of it holds 4096 "
        "(2048 too few); make it smaller"
    )


@pytest.mark.parametrize("command", ["estimate", "run", "verify", "lower"])
def test_every_command_refuses_it_alike(accel, command, tmp_path) -> None:
    words = ("--arch", ARCH, "--mapping")
    assert refused(accel, command, *words, tmp_path) == f"{tmp_path}: this is a folder, not a file"
    missing = tmp_path / "m.yaml"
    assert refused(accel, command, *words, missing) == f"{missing}: there is no such file"
    missing.write_text("- stem\n")
    assert refused(accel, command, *words, missing).startswith(f"{missing}:1:1: the file holds a list")
    missing.write_text("")
    assert refused(accel, command, *words, missing) == f"{missing}: the file is empty"
    missing.write_bytes(b"\xff\xfe")
    assert refused(accel, command, *words, missing) == f"{missing}:1: this is not UTF-8 text; save the file as UTF-8"
