"""Results as a run would leave them, made from networks' shapes by closed formulas; no engine is involved."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import accumulate

from accel.result import (
    AccumulatorUse,
    Accuracy,
    Actions,
    Activity,
    Area,
    BufferBytes,
    CriticalPath,
    Cycles,
    Energy,
    LayerResult,
    NumericError,
    Result,
    UnitCycles,
)

ROWS = COLUMNS = 32
DRAM_BYTES_PER_CYCLE = 16


@dataclass(frozen=True)
class Shape:
    """A layer by its sizes: square images, square kernels."""

    name: str
    op: str
    channels_in: int
    channels_out: int
    size_out: int
    kernel: int = 1
    stride: int = 1

    @property
    def pixels(self) -> int:
        return self.size_out**2

    @property
    def macs(self) -> int:
        return self.pixels * self.channels_out * self.channels_in * self.kernel**2


def resnet18() -> Result:
    """ResNet-18 at 224: 22 layers' worth of convolutions and linear, with their adds and pools; a simulation."""
    return _result("resnet18", _resnet((2, 2, 2, 2), bottleneck=False))


def resnet50() -> Result:
    """ResNet-50 v1.5 at 224: 73 layers."""
    return _result("resnet50", _resnet((3, 4, 6, 3), bottleneck=True))


def digits() -> Result:
    """A network of eight layers on 8x8 images, with an accuracy."""
    shapes = [
        Shape("/conv1/Conv_quant", "conv", 1, 16, 8, 3),
        Shape("/block1/conv1/Conv_quant", "conv", 16, 16, 8, 3),
        Shape("/block1/conv2/Conv_quant", "conv", 16, 16, 8, 3),
        Shape("/block1/Add_quant", "add", 16, 16, 8),
        Shape("/block2/conv1/Conv_quant", "conv", 16, 32, 4, 3, 2),
        Shape("/block2/conv2/Conv_quant", "conv", 32, 32, 4, 3),
        Shape("/pool/GlobalAveragePool_quant", "average_pool", 32, 32, 1, 4),
        Shape("/fc/Gemm_quant", "linear", 32, 10, 1),
    ]
    accuracy = Accuracy(images=360, float_top1=0.975, integer_top1=0.9722222222222222, agreement=0.9944444444444445)
    return replace(_result("digits-resnet8", shapes), accuracy=accuracy)


def estimate(result: Result) -> Result:
    """The same run without tensor data."""
    layers = tuple(replace(layer, accumulator=None, activity=None, error=None) for layer in result.layers)
    return replace(result, kind="estimate", layers=layers, accuracy=None, output_sha256={})


def without_layers(result: Result) -> Result:
    """A result in which nothing ran."""
    return replace(estimate(result), layers=(), occupancy={})


def _resnet(blocks: tuple[int, ...], bottleneck: bool) -> list[Shape]:
    shapes = [
        Shape("/conv1/Conv_quant", "conv", 3, 64, 112, 7, 2),
        Shape("/maxpool/MaxPool", "max_pool", 64, 64, 56, 3, 2),
    ]
    channels, size = 64, 56
    for stage, depth in enumerate(blocks, start=1):
        planes = 32 << stage
        out = 4 * planes if bottleneck else planes
        for block in range(depth):
            stride = 2 if stage > 1 and block == 0 else 1
            before, size = size, size // stride
            path = f"/layer{stage}/layer{stage}.{block}"
            if bottleneck:
                shapes.append(Shape(f"{path}/conv1/Conv_quant", "conv", channels, planes, before))
                shapes.append(Shape(f"{path}/conv2/Conv_quant", "conv", planes, planes, size, 3, stride))
                shapes.append(Shape(f"{path}/conv3/Conv_quant", "conv", planes, out, size))
            else:
                shapes.append(Shape(f"{path}/conv1/Conv_quant", "conv", channels, planes, size, 3, stride))
                shapes.append(Shape(f"{path}/conv2/Conv_quant", "conv", planes, planes, size, 3))
            if channels != out:
                name = f"{path}/downsample/downsample.0/Conv_quant"
                shapes.append(Shape(name, "conv", channels, out, size, 1, stride))
            shapes.append(Shape(f"{path}/Add_quant", "add", out, out, size))
            channels = out
    shapes.append(Shape("/avgpool/GlobalAveragePool_quant", "average_pool", channels, channels, 1, 7))
    shapes.append(Shape("/Flatten", "reshape", channels, channels, 1))
    shapes.append(Shape("/fc/Gemm_quant", "linear", channels, 1000, 1))
    return shapes


def _result(network: str, shapes: list[Shape]) -> Result:
    layers = tuple(_layer(shape, depth) for depth, shape in enumerate(shapes))
    return Result(
        network=network,
        machine="edge-32x32",
        kind="simulation",
        batch=1,
        clock_hz=1e9,
        pe_count=ROWS * COLUMNS,
        macs_per_cycle=ROWS * COLUMNS,
        dram_bytes_per_cycle=DRAM_BYTES_PER_CYCLE,
        dram_sustained_bytes_per_cycle=DRAM_BYTES_PER_CYCLE,
        buffers=BufferBytes(128 << 10, 256 << 10, 256 << 10),
        layers=layers,
        area=Area(0.61, 0.42, 0.84, 0.21, 0.05),
        occupancy={name: _occupancy(layers, name) for name in ("weight", "activation", "accumulator")},
        output_sha256={"logits": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"},
        accel_version="0.1.0",
    )


def _occupancy(layers: tuple[LayerResult, ...], buffer: str) -> tuple[tuple[int, int], ...]:
    """Full of a layer's peak from its begin on, and empty at the end."""
    begins = [0, *accumulate(layer.cycles.total for layer in layers)]
    return (*zip(begins, (getattr(layer.peak, buffer) for layer in layers), strict=False), (begins[-1], 0))


def _layer(shape: Shape, depth: int) -> LayerResult:
    unit = {"conv": "array", "linear": "array", "reshape": "view"}.get(shape.op, "vector")
    macs = shape.macs if unit == "array" else 0
    cycles, actions = Cycles(), Actions()
    if unit == "array":
        cycles, actions = _on_array(shape)
    elif unit == "vector":
        cycles, actions = _on_vector_unit(shape)
    energy = _energy(actions, cycles)
    size = f"1x{shape.channels_out}" + (f"x{shape.size_out}x{shape.size_out}" if shape.size_out > 1 else "")
    fan_in = shape.channels_in * shape.kernel**2
    return LayerResult(
        name=shape.name,
        op=shape.op,
        unit=unit,
        shape=size,
        mapping="weight_stationary, k32 c32 p3136, order k c p" if unit == "array" else "",
        macs=macs,
        cycles=cycles,
        utilization=macs / (ROWS * COLUMNS * cycles.total) if cycles.total else 0.0,
        actions=actions,
        energy=energy,
        peak=BufferBytes(1 << 10, (depth + 1) << 10, 100) if cycles.total else BufferBytes(),
        critical=CriticalPath(
            cycles.compute,
            cycles.fill_drain,
            cycles.vector,
            cycles.stall_weights + cycles.stall_activations,
            cycles.stall_outputs,
        ),
        busy=UnitCycles(cycles.compute, cycles.vector, cycles.total // 2),
        accumulator=_accumulator(fan_in) if unit == "array" else None,
        activity=_activity(actions, energy) if unit == "array" else None,
        error=_error(depth) if unit != "view" else None,
    )


def _on_array(shape: Shape) -> tuple[Cycles, Actions]:
    folds = math.ceil(shape.channels_in * shape.kernel**2 / ROWS) * math.ceil(shape.channels_out / COLUMNS)
    weights = shape.channels_in * shape.kernel**2 * shape.channels_out
    image = (shape.size_out * shape.stride) ** 2 * shape.channels_in
    outputs = shape.pixels * shape.channels_out
    compute = folds * shape.pixels
    load = folds * max(ROWS - shape.pixels, 0) + 2 * ROWS + COLUMNS - 2
    # What the DRAM needs beyond the array's time shows as stalls, each operand its share.
    moved = weights + image + outputs
    late = max(moved // DRAM_BYTES_PER_CYCLE - compute - load, 0) + 100
    cycles = Cycles(
        compute=compute,
        fill_drain=load,
        stall_weights=late * weights // moved,
        stall_activations=late * image // moved,
        stall_outputs=late * outputs // moved,
        vector=outputs // 256 + 40,
    )
    actions = Actions(
        macs=shape.macs,
        operand_register_bits=folds * (shape.pixels + ROWS) * ROWS * COLUMNS * 8,
        sum_register_bits=folds * shape.pixels * ROWS * COLUMNS * 32,
        weight_buffer_read_bytes=weights,
        weight_buffer_write_bytes=weights,
        activation_buffer_read_bytes=folds * shape.pixels * ROWS,
        activation_buffer_write_bytes=image,
        accumulator_buffer_read_bytes=folds * shape.pixels * COLUMNS * 4,
        accumulator_buffer_write_bytes=folds * shape.pixels * COLUMNS * 4,
        dram_read_bytes=-(-(weights + image) // 64) * 64,
        dram_write_bytes=-(-outputs // 64) * 64,
        vector_requantize=outputs,
        vector_add=outputs,
    )
    return cycles, actions


def _on_vector_unit(shape: Shape) -> tuple[Cycles, Actions]:
    outputs = shape.pixels * shape.channels_out
    inputs = 2 * outputs if shape.op == "add" else outputs * shape.stride**2 * (49 if shape.size_out == 1 else 1)
    moved = -(-(inputs + outputs) // DRAM_BYTES_PER_CYCLE)
    cycles = Cycles(stall_activations=moved // 3, vector=moved)
    window = outputs * shape.kernel**2
    actions = Actions(
        activation_buffer_read_bytes=inputs,
        activation_buffer_write_bytes=inputs,
        dram_read_bytes=inputs,
        dram_write_bytes=outputs,
        vector_requantize=0 if shape.op == "max_pool" else outputs,
        vector_add=0 if shape.op == "max_pool" else window,
        vector_compare=window if shape.op == "max_pool" else 0,
    )
    return cycles, actions


def _energy(actions: Actions, cycles: Cycles) -> Energy:
    return Energy(
        mac_pj=0.3 * actions.macs,
        registers_pj=0.002 * (actions.operand_register_bits + actions.sum_register_bits),
        weight_buffer_pj=3.1 * (actions.weight_buffer_read_bytes + actions.weight_buffer_write_bytes),
        activation_buffer_pj=3.1 * (actions.activation_buffer_read_bytes + actions.activation_buffer_write_bytes),
        accumulator_buffer_pj=1.7 * (actions.accumulator_buffer_read_bytes + actions.accumulator_buffer_write_bytes),
        dram_pj=200.0 * (actions.dram_read_bytes + actions.dram_write_bytes),
        vector_pj=0.9 * actions.vector_requantize + 0.1 * (actions.vector_add + actions.vector_compare),
        leakage_pj=9.0 * cycles.total,
    )


def _accumulator(fan_in: int) -> AccumulatorUse:
    safe = 16 + math.ceil(math.log2(fan_in))
    return AccumulatorUse(bits_used=safe - 5, bits_safe=safe, overflows=0)


def _activity(actions: Actions, energy: Energy) -> Activity:
    return Activity(
        operand_bits=actions.operand_register_bits // 4,
        product_bits=actions.macs * 5,
        sum_bits=actions.sum_register_bits // 5,
        operand_bits_possible=actions.operand_register_bits,
        product_bits_possible=actions.macs * 16,
        sum_bits_possible=actions.sum_register_bits,
        energy=replace(energy, mac_pj=0.8 * energy.mac_pj, registers_pj=0.6 * energy.registers_pj),
    )


def _error(depth: int) -> NumericError:
    """Noise that grows as layers add theirs, with a ripple from block to block."""
    noise = 1e-4 * (1 + depth) * (1.0 + 0.5 * math.sin(2.1 * depth))
    return NumericError(
        sqnr_db=-10 * math.log10(noise),
        cosine=1 - noise / 2,
        max_lsb=2.0 + 0.4 * depth,
        mean_lsb=0.25 + 0.01 * depth,
    )
