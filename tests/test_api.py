"""The Python API on the shipped network: the same figures whichever way one asks, and what several images add up to."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import numpy as np
import onnx
import pytest

import accel
from accel.api import Network, lowered, simulation
from accel.errors import AccelError
from accel.gallery import machines, workloads_dir
from accel.graph.float_reference import FloatNetwork
from accel.graph.witness import onnxruntime_tensors
from accel.inputs import input_images
from accel.networks import with_batch
from accel.numerics import elementwise
from accel.numerics.error import ErrorSums
from accel.result import Result

DIGITS = workloads_dir() / "digits_resnet8"
with np.load(DIGITS / "images.npz") as _data:
    IMAGES, LABELS = _data["images"], _data["labels"]


@pytest.fixture(scope="module")
def digits() -> Network:
    return accel.load_network("digits-resnet8")


@pytest.fixture(scope="module")
def edge():
    return accel.load_arch("edge-32x32")


@pytest.fixture(scope="module")
def eight(digits, edge) -> accel.Simulation:
    return accel.simulate(digits, edge, images=8)


def test_a_gallery_network_brings_its_companions_and_a_file_does_not(digits) -> None:
    assert digits.name == "digits-resnet8"
    assert digits.float_path == DIGITS / "float.onnx"
    np.testing.assert_array_equal(digits.images, IMAGES)
    np.testing.assert_array_equal(digits.labels, LABELS)
    of_path = accel.load_network(DIGITS / "int8.onnx")
    assert of_path.name == "digits_resnet8/int8"
    assert (of_path.float_path, of_path.images, of_path.labels) == (None, None, None)
    assert str(of_path.graph) == str(digits.graph)


def takes_bytes(path: Path) -> bool:
    """Whether the machine runs networks of 8 bits, be it in passes."""
    pe = accel.load_arch(path).pe
    return pe.split_operands or all(qtype.bits >= 8 for qtype in (pe.weight, pe.activation))


@pytest.mark.parametrize("path", [path for path in machines() if not takes_bytes(path)], ids=lambda path: path.stem)
def test_narrow_machines_refuse_wide_networks(path: Path) -> None:
    with pytest.raises(AccelError, match="choose a machine with wider processing elements"):
        accel.estimate(accel.load_network("digits-resnet8"), accel.load_arch(path))


@pytest.mark.parametrize("path", list(filter(takes_bytes, machines())), ids=lambda path: path.stem)
def test_the_estimate_is_the_simulation_on_every_machine_of_the_gallery(path) -> None:
    """Both signs of activations: a machine takes the files of its own sign and, shifted, the others."""
    arch = accel.load_arch(path)
    digests = set()
    for file in ("int8.onnx", "uint8.onnx"):
        network = accel.load_network(DIGITS / file)
        estimate = accel.estimate(network, arch)
        simulation = accel.simulate(network, arch, IMAGES[:1])
        assert estimate.kind == "estimate"
        assert simulation.result.kind == "simulation"
        assert [layer.cycles for layer in estimate.layers] == [layer.cycles for layer in simulation.result.layers]
        assert [layer.energy for layer in estimate.layers] == [layer.energy for layer in simulation.result.layers]
        assert estimate.latency_cycles > 0
        digests.add(simulation.result.output_sha256["logits"])
        exact = all(layer.accumulator.overflows == 0 for layer in simulation.result.layers if layer.accumulator)
        if exact and arch.vector.requantizer == "float32_rne":
            witness = onnxruntime_tensors(network.graph.path, {"input": IMAGES[:1]})
            if witness.trustworthy:
                np.testing.assert_array_equal(simulation.outputs["logits"], witness.tensors["logits"])
    assert len(digests) == 2


def test_an_estimate_knows_nothing_of_data(digits, edge) -> None:
    estimate = accel.estimate(digits, edge)
    assert (estimate.accuracy, estimate.output_sha256) == (None, {})
    assert all((layer.error, layer.accumulator, layer.activity) == (None, None, None) for layer in estimate.layers)


def test_several_images_are_simulated_one_after_another(digits, edge, eight) -> None:
    """Outputs are joined, errors summed up, overflows added, the widest sum kept; cycles are those of one image."""
    singles = [accel.simulate(digits, edge, IMAGES[i : i + 1], float_model=digits.float_path) for i in range(8)]
    np.testing.assert_array_equal(
        eight.outputs["logits"], np.concatenate([single.outputs["logits"] for single in singles])
    )
    assert eight.outputs["logits"].shape == (8, 10)
    assert eight.result.latency_cycles == singles[0].result.latency_cycles
    assert eight.result.batch == 1
    for position, layer in enumerate(eight.result.layers):
        alone = [single.result.layers[position] for single in singles]
        if layer.accumulator is not None:
            assert layer.accumulator.bits_used == max(one.accumulator.bits_used for one in alone)
            assert layer.accumulator.overflows == sum(one.accumulator.overflows for one in alone)
        if layer.error is not None:
            assert layer.error.max_lsb == max(one.error.max_lsb for one in alone)
            assert layer.error.mean_lsb == pytest.approx(np.mean([one.error.mean_lsb for one in alone]))
            assert layer.error.sqnr_db > min(one.error.sqnr_db for one in alone)


def test_overflows_are_added_up_over_the_batches(digits, edge) -> None:
    pe = edge.pe.model_copy(update={"accumulator_bits": 17, "partial_sum_bits": 17})
    narrow = edge.model_copy(update={"pe": pe})
    both = accel.simulate(digits, narrow, IMAGES[:2]).result
    singles = [accel.simulate(digits, narrow, IMAGES[i : i + 1]).result for i in range(2)]
    counts = [sum(layer.accumulator.overflows for layer in one.layers if layer.accumulator) for one in (both, *singles)]
    assert counts[0] == counts[1] + counts[2]
    assert min(counts[1:]) > 0


def test_errors_over_batches_are_those_of_one_big_batch(digits, edge, eight, tmp_path) -> None:
    path = tmp_path / "batch8.onnx"
    onnx.save(with_batch(onnx.load(DIGITS / "int8.onnx"), 8), path)
    onnx.save(with_batch(onnx.load(DIGITS / "float.onnx"), 8), tmp_path / "float8.onnx")
    big = accel.simulate(accel.load_network(path), edge, IMAGES[:8], float_model=tmp_path / "float8.onnx").result
    assert big.batch == 8
    assert big.macs == 8 * eight.result.macs
    for mine, theirs in zip(eight.result.layers, big.layers, strict=True):
        if mine.error is not None:
            for figure in ("sqnr_db", "cosine", "max_lsb", "mean_lsb"):
                assert getattr(mine.error, figure) == pytest.approx(getattr(theirs.error, figure), rel=1e-4)
    assert big.output_sha256 == eight.result.output_sha256


def test_the_error_of_a_layer_by_hand(digits, edge, eight) -> None:
    made = digits.graph.tensors["logits"]
    float_network = FloatNetwork(DIGITS / "float.onnx", digits.graph)
    reals = np.concatenate([float_network.tensors(image[None])["logits"] for image in IMAGES[:8]])
    sums = ErrorSums()
    sums.add(eight.outputs["logits"], None if made.qtype is None else made.encoding, reals)
    last = next(layer for layer in reversed(eight.result.layers) if layer.error is not None)
    assert last.error.sqnr_db == pytest.approx(sums.error().sqnr_db)


def test_accuracy_counts_classes(digits, edge, eight) -> None:
    """Labels moved by one are all wrong: a network that names every class rightly names none of them."""
    accuracy = eight.result.accuracy
    assert accuracy == accel.result.Accuracy(8, 1.0, 1.0, 1.0)
    labels = LABELS[:8].copy()
    labels[:2] = (labels[:2] + 1) % 10
    wrong = accel.simulate(digits, edge, labels=labels, images=8).result.accuracy
    assert wrong == accel.result.Accuracy(8, 0.75, 0.75, 1.0)


def test_agreement_is_between_the_networks_and_not_with_the_labels(digits, edge, tmp_path) -> None:
    """A float network with two classes exchanged agrees on the images of the other eight classes."""
    model = onnx.load(DIGITS / "float.onnx")
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    classifier = next(node for node in model.graph.node if node.output[0] == "logits")
    first, second = LABELS[0], next(label for label in LABELS if label != LABELS[0])
    order = np.arange(10)
    order[[first, second]] = order[[second, first]]
    for name in classifier.input[1:]:
        values = onnx.numpy_helper.to_array(constants[name])
        axis = values.shape.index(10)
        constants[name].CopyFrom(onnx.numpy_helper.from_array(values.take(order, axis), name))
    onnx.save(model, tmp_path / "swapped.onnx")
    accuracy = accel.simulate(digits, edge, IMAGES[:20], LABELS[:20], tmp_path / "swapped.onnx").result.accuracy
    others = float(np.mean((LABELS[:20] != first) & (LABELS[:20] != second)))
    assert accuracy == accel.result.Accuracy(20, others, 1.0, others)


def test_without_a_float_network_there_is_integer_accuracy_only(edge) -> None:
    network = accel.load_network(DIGITS / "int8.onnx")
    simulation = accel.simulate(network, edge, IMAGES[:3], LABELS)
    assert simulation.result.accuracy == accel.result.Accuracy(3, None, 1.0, None)
    assert all(layer.error is None for layer in simulation.result.layers)
    assert simulation.notes == ()
    assert accel.simulate(network, edge, IMAGES[:1]).result.accuracy is None


def test_files_do_as_well_as_arrays(digits, edge, eight, tmp_path) -> None:
    np.save(tmp_path / "x.npy", IMAGES[:8].astype(np.float64))
    np.save(tmp_path / "y.npy", LABELS[:9])
    of_files = accel.simulate(
        digits, edge, tmp_path / "x.npy", labels=tmp_path / "y.npy", float_model=DIGITS / "float.onnx"
    )
    assert of_files.result == eight.result


def test_what_the_requantizer_makes_of_the_scales_is_said(edge) -> None:
    network = accel.load_network(DIGITS / "int8.onnx")
    vector = edge.vector.model_copy(update={"requantizer": "shift_rne"})
    (note,) = accel.simulate(network, edge.model_copy(update={"vector": vector}), IMAGES[:1]).notes
    # Of the ratio of a scale to the nearest power of two, a third is the most.
    assert re.fullmatch(r"shift_rne changes the scales of 10 of 10 layers, by up to (3[0-3]|2\d) % \(.*\)", note)


def test_random_input_is_the_same_every_time_and_said(edge) -> None:
    network = accel.load_network(DIGITS / "int8.onnx")
    runs = [accel.simulate(network, edge) for _ in range(2)]
    assert "seeded random numbers" in runs[0].notes[0]
    assert runs[0].result == runs[1].result
    with pytest.raises(AccelError, match="3 images are asked for, and no input is given"):
        accel.simulate(network, edge, images=3)


def test_activity_is_of_the_first_image(digits, edge) -> None:
    two = accel.simulate(digits, edge, images=2, activity=True).result
    one = accel.simulate(digits, edge, images=1, activity=True).result
    assert [layer.activity for layer in two.layers] == [layer.activity for layer in one.layers]
    for layer in one.layers:
        assert (layer.activity is not None) == (layer.unit == "array")
    assert all(layer.activity.energy.mac_pj > 0 for layer in one.layers if layer.activity)


@pytest.mark.parametrize("file", ["int8.onnx", "uint8.onnx"])
def test_a_network_of_integers_is_compared_with_the_float_network_of_what_its_integers_mean(
    file, edge, tmp_path
) -> None:
    """The shipped network without its ends: integers go in and come out, and the errors stay what they are."""
    whole = accel.load_network(DIGITS / file)
    network = accel.load_network(without_ends(DIGITS / file, tmp_path / "integers.onnx"))
    source, made = (whole.graph.tensors[ends[0]] for ends in (network.graph.inputs, network.graph.outputs))
    given = elementwise.quantize(IMAGES[:2], source.encoding)
    simulation = accel.simulate(network, edge, given, float_model=DIGITS / "float.onnx")
    reals = elementwise.dequantize(given, source.encoding)
    same = accel.simulate(whole, edge, reals, float_model=DIGITS / "float.onnx")
    outputs = simulation.outputs[made.name]
    assert outputs.dtype == made.qtype.dtype
    np.testing.assert_array_equal(elementwise.dequantize(outputs, made.encoding), same.outputs["logits"])
    errors = {layer.name: layer.error for layer in same.result.layers}
    assert any(layer.error for layer in simulation.result.layers)
    assert all(layer.error == errors[layer.name] for layer in simulation.result.layers)
    verification = accel.verify(network, edge, given)
    assert not any(check.simulator_alone.mismatches for check in verification.checks)
    if not verification.doubt_end_to_end:
        assert verification.passed


@pytest.mark.parametrize("file", ["int8.onnx", "uint8.onnx"])
def test_random_integers_are_of_the_whole_range(file, edge, tmp_path) -> None:
    network = accel.load_network(without_ends(DIGITS / file, tmp_path / "integers.onnx"))
    runs = [accel.simulate(network, edge) for _ in range(2)]
    assert runs[0].result == runs[1].result
    data, _ = input_images(network.graph, None, None)
    qtype = network.graph.tensors[network.graph.inputs[0]].qtype
    assert qtype.min <= data.min() < qtype.min + 8
    assert qtype.max - 8 < data.max() <= qtype.max


def without_ends(source: Path, path: Path) -> Path:
    """A network without the QuantizeLinear that begins it and the DequantizeLinear that ends it."""
    model = onnx.load(source)
    quantize, dequantize = model.graph.node[0], model.graph.node[-1]
    assert (quantize.op_type, dequantize.op_type) == ("QuantizeLinear", "DequantizeLinear")
    tensors = accel.load_network(source).graph.tensors
    for value, name in ((model.graph.input[0], quantize.output[0]), (model.graph.output[0], dequantize.input[0])):
        made = tensors[name]
        kind = onnx.TensorProto.INT8 if made.qtype.signed else onnx.TensorProto.UINT8
        value.CopyFrom(onnx.helper.make_tensor_value_info(name, kind, made.shape))
    model.graph.node.remove(quantize)
    model.graph.node.remove(dequantize)
    onnx.save(model, path)
    return path


def test_no_more_images_than_there_are(digits, edge) -> None:
    with pytest.raises(AccelError, match="361 images are asked for, and there are 360, 1 in a batch"):
        accel.simulate(digits, edge, images=361)


def renamed_float(path: Path, names: dict[str, str], rows: int | None = None) -> Path:
    """The float network with tensors renamed; and, with ``rows``, fewer classes."""
    model = onnx.load(DIGITS / "float.onnx")
    for node in model.graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
        if node.name in names:
            node.name = names[node.name]
        if rows is not None and "logits" in node.output:
            for tensor in model.graph.initializer:
                if tensor.name in node.input:
                    values = onnx.numpy_helper.to_array(tensor)
                    kept = values.take(np.arange(rows), values.shape.index(10))
                    tensor.CopyFrom(onnx.numpy_helper.from_array(kept, tensor.name))
    for value in model.graph.output:
        value.name = names.get(value.name, value.name)
        if rows is not None:
            value.type.tensor_type.shape.dim[-1].dim_value = rows
    onnx.save(model, path)
    return path


def test_a_float_network_whose_output_is_called_otherwise_has_no_accuracy(digits, edge, tmp_path) -> None:
    model = onnx.load(DIGITS / "float.onnx")
    last = next(node.name for node in model.graph.node if "logits" in node.output)
    path = renamed_float(tmp_path / "f.onnx", {"logits": "scores", last: "classifier_of_another_name"})
    result = accel.simulate(digits, edge, IMAGES[:2], LABELS, path).result
    assert result.accuracy == accel.result.Accuracy(2, None, 1.0, None)
    assert any(layer.error is not None for layer in result.layers)


def test_a_float_network_of_other_sizes_is_refused(digits, edge, tmp_path) -> None:
    path = renamed_float(tmp_path / "f.onnx", {}, rows=7)
    with pytest.raises(AccelError) as error:
        accel.simulate(digits, edge, IMAGES[:1], float_model=path)
    assert str(error.value).startswith(f"{path}: logits")
    assert str(error.value).endswith(
        " is 1x7 there and 1x10 in the integer network; give the float network that the integer one was made from"
    )


def test_progress_goes_from_nothing_to_almost_all_and_never_back(digits, edge) -> None:
    told: list[tuple[str, int, int]] = []
    accel.simulate(digits, edge, images=3, progress=lambda *what: told.append(what))
    assert told[0][:2] == ("image 1 of 3", 0)
    assert told[-1][0] == "image 3 of 3"
    assert [done for _, done, _ in told] == sorted({done for _, done, _ in told})
    assert len({total for *_, total in told}) == 1
    assert 0.9 < told[-1][1] / told[-1][2] < 1


def test_results_read_back_from_json(eight) -> None:
    assert Result.from_json(eight.result.to_json()) == eight.result
    little = np.ascontiguousarray(eight.outputs["logits"]).tobytes()
    assert eight.result.output_sha256 == {"logits": hashlib.sha256(little).hexdigest()}


def test_lowered_names_every_layer(digits, edge) -> None:
    texts = lowered(digits, edge)
    assert list(texts) == ["graph", "flow", "mapping", "program"]
    mapping = texts["mapping"].splitlines()
    layers = accel.estimate(digits, edge).layers
    assert mapping[0] == "mapping digits-resnet8 on edge-32x32"
    assert [line.strip().split(": ") for line in mapping[1:]] == [
        [layer.name, layer.mapping or "view"] for layer in layers
    ]


def test_verify_takes_the_first_batch(digits, edge, monkeypatch) -> None:
    assert accel.verify(digits, edge, IMAGES[:2]).passed
    taken = []
    monkeypatch.setattr(simulation, "verify_program", lambda *what: taken.append(what[3]))
    accel.verify(digits, edge)
    accel.verify(digits, edge, IMAGES[2:5])
    np.testing.assert_array_equal(taken[0], IMAGES[:1])
    np.testing.assert_array_equal(taken[1], IMAGES[2:3])
