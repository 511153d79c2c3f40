"""From a float network and images to integers: every step of it, in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import onnx

from accel.errors import AccelError
from accel.graph.onnx.convert import convert
from accel.graph.onnx.source import read_source
from accel.graph.passes import run_passes
from accel.numerics.encoding import Encoding, FloatArray
from accel.quantization import Quantization, QuantizedLayer
from accel.quantizer.calibrate import calibrate
from accel.quantizer.encode import encode
from accel.quantizer.images import image_batches
from accel.quantizer.layer import QuantizedProduct, quantize_product
from accel.quantizer.options import QuantizeOptions
from accel.quantizer.plan import Plan, plan
from accel.quantizer.prepare import prepare
from accel.quantizer.qdq import Qdq, ir_version_for, is_portable, lacks_type, opset_for
from accel.quantizer.qonnx import Qonnx
from accel.quantizer.statistics import Statistics
from accel.quantizer.write import Dialect, Operands, write_model

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True, eq=False)
class Quantized:
    """The network as ONNX, its record (whose path is still empty), and the integers that reading it gives back."""

    model: onnx.ModelProto
    record: Quantization
    encodings: Mapping[str, Mapping[int, Encoding]]
    """Of activations, by float tensor and width; movers' outputs have their input's."""
    operands: Mapping[str, Operands]
    """By layer with weights."""


def quantize_network(
    path: Path, images: FloatArray, where: str, options: QuantizeOptions, progress: Progress
) -> Quantized:
    """Quantize the float network in ``path``.

    Parameters
    ----------
    images
        For calibration, as ``read_images`` returns them; ``where`` they come from, for errors.

    Raises
    ------
    AccelError
        What is wrong with the network, the images, or the two together; what ``load_network`` would not take back.
    """
    progress("simplifying the float network", 0, 0)
    is_qdq = _is_qdq(options)
    file = prepare(path, opset_for(set().union(*_widths(options))) if is_qdq else 0, images.shape[1:])
    layout = plan(file.source, options)
    source = file.source.inputs[0]
    batches = image_batches(images, source.shape, source.name, where)
    products = [step for step in layout.steps if step.role == "product"]
    looked_at = dict.fromkeys([*layout.stored, *(step.inputs[0] for step in products if options.bias_correction)])
    seen = calibrate(file.model, source.name, looked_at, batches, str(path), progress)
    encodings = _encodings(layout, seen, options, str(path))
    made: dict[str, QuantizedProduct] = {}
    for number, step in enumerate(products):
        progress("quantizing weights", number, len(products))
        made[step.name] = quantize_product(layout, step, encodings, seen, options)
    progress("writing and reading back", 0, 0)
    operands = {name: product.operands for name, product in made.items()}
    dialect: Dialect = Qdq() if is_qdq else Qonnx()
    version = ir_version_for(file.source.opset)
    model = write_model(layout, dialect, encodings, operands, file.model, version)
    written = read_source(model, str(path))
    run_passes(convert(written), {node.name: node.op_type for node in written.nodes})
    notes = (*file.notes, *_notes(layout, encodings, seen), *(note for each in made.values() for note in each.notes))
    layers = tuple(_layers(layout, encodings, made))
    record = Quantization(
        file.source.name, "", len(images), "qdq" if is_qdq else "qonnx", file.source.opset, layers, notes
    )
    return Quantized(model, record, encodings, operands)


def _widths(options: QuantizeOptions) -> tuple[set[int], set[int]]:
    """Every width that is asked for: of weights, of activations."""
    ends = {options.first_last} if options.first_last else set()
    weights = {bits.weights for bits in options.layers.values() if bits.weights}
    activations = {bits.activations for bits in options.layers.values() if bits.activations}
    return weights | ends | {options.weights}, activations | ends | {options.activations}


def _is_qdq(options: QuantizeOptions) -> bool:
    """QDQ or QONNX.

    Raises
    ------
    AccelError
        QDQ is asked for with widths that ONNX has no types of.
    """
    weights, activations = _widths(options)
    missing = ", ".join(str(bits) for bits in sorted(weights | activations) if lacks_type(bits))
    if options.file_format == "qdq" and missing:
        raise AccelError(
            f"QDQ files have integers of 2, 4, 8 and 16 bits, and {missing} are asked for",
            hint="ask for --format qonnx or auto",
        )
    portable = is_portable(weights, activations, options.ranges == "symmetric" and options.bounds != "aqt")
    return options.file_format == "qdq" or (options.file_format == "auto" and portable)


def _encodings(
    layout: Plan, seen: Mapping[str, Statistics], options: QuantizeOptions, where: str
) -> dict[str, dict[int, Encoding]]:
    """By home and width: as stored, and narrower for those who read it so."""
    widths = {home: {bits} for home, bits in layout.stored.items()}
    for step in layout.steps:
        if step.role != "mover":
            for name in step.inputs:
                widths[layout.homes[name]].add(layout.reads[step.name].activations or 0)
    return {
        home: {bits: encode(seen[home], bits, options, f"{where}:{home}") for bits in sorted(wanted)}
        for home, wanted in widths.items()
    }


def _notes(layout: Plan, encodings: Mapping[str, Mapping[int, Encoding]], seen: Mapping[str, Statistics]) -> list[str]:
    dead = [home for home in layout.stored if seen[home].low == seen[home].high == 0]
    notes = [f"{name} is zero on all calibration images; its scale is 1" for name in dead]
    copies = {home: sorted(by_width) for home, by_width in encodings.items() if len(by_width) > 1}
    notes += [
        f"{home} is stored at {bits[-1]} bits and requantized to {', '.join(map(str, bits[:-1]))} for layers that read "
        "it so"
        for home, bits in copies.items()
    ]
    return notes


def _layers(
    layout: Plan, encodings: Mapping[str, Mapping[int, Encoding]], made: Mapping[str, QuantizedProduct]
) -> Iterator[QuantizedLayer]:
    for step in layout.steps:
        if step.role == "mover":
            continue
        bits = layout.reads[step.name]
        assert bits.activations is not None
        product = made.get(step.name)
        yield QuantizedLayer(
            name=step.name,
            op=step.node.op_type,
            weights=0 if product is None else product.operands.weight.values.size,
            weight_bits=bits.weights,
            activation_bits=bits.activations,
            activation_type=str(encodings[layout.homes[step.inputs[0]]][bits.activations].qtype),
            weight_sqnr_db=None if product is None else product.sqnr_db,
            saturated_biases=0 if product is None else product.saturated_biases,
        )
