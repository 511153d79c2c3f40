"""Legal machines, drawn over the whole range of every field."""

from __future__ import annotations

from typing import Any, get_args

from hypothesis import strategies as st

from accel.arch.rules import least_tiles, product_bits
from accel.arch.spec import BufferSpec, Dataflow, Machine, PeSpec
from accel.numerics.qtype import QType

TEXT = st.text(st.characters(exclude_categories=["C", "Zl", "Zp"]), max_size=40)
PE_TYPES = st.builds(QType, st.integers(1, 16), st.booleans())


@st.composite
def pes(draw: st.DrawFn) -> PeSpec:
    weight, activation = draw(PE_TYPES), draw(PE_TYPES)
    least = max(8, product_bits(weight, activation))
    partial = draw(st.integers(least, 64))
    return PeSpec(
        weight=weight,
        activation=activation,
        accumulator_bits=draw(st.integers(partial, 64)),
        partial_sum_bits=partial,
        overflow=draw(st.sampled_from(["wrap", "saturate"])),
    )


@st.composite
def arrays(draw: st.DrawFn) -> dict[str, Any]:
    latency, hop = st.integers(0, 16), st.integers(1, 16)
    return {
        "rows": draw(st.integers(1, 512)),
        "columns": draw(st.integers(1, 512)),
        "dataflow": tuple(draw(st.lists(st.sampled_from(get_args(Dataflow)), min_size=1, unique=True))),
        "overlap": draw(st.sampled_from(["none", "double_buffered"])),
        "short_folds": draw(st.sampled_from(["overlapped", "serialized"])),
        "shift_out": draw(st.sampled_from(["down", "right", "none"])),
        "accumulator_preload": draw(st.booleans()),
        "multiplier_latency_cycles": draw(latency),
        "accumulate_latency_cycles": draw(latency),
        "vertical_hop_latency_cycles": draw(hop),
        "horizontal_hop_latency_cycles": draw(hop),
        "input_latency_cycles": draw(latency),
        "output_latency_cycles": draw(latency),
    }


@st.composite
def machines(draw: st.DrawFn) -> Machine:
    pe, array = draw(pes()), draw(arrays())
    buffers = {}
    for least in least_tiles(array["rows"], array["columns"], array["dataflow"], pe):
        double_buffered = draw(st.booleans())
        least_bytes = least.size_bytes * (2 if double_buffered else 1)
        buffers[least.buffer] = BufferSpec(
            capacity_bytes=draw(st.integers(least_bytes, least_bytes + 2**30)),
            width_bytes_per_cycle=draw(st.floats(0.125, 65536)),
            double_buffered=double_buffered,
        )
    return Machine(
        name=draw(TEXT.filter(bool)),
        description=draw(TEXT),
        source=draw(TEXT),
        clock_hz=draw(st.floats(1e3, 1e11)),
        array=array,
        pe=pe,
        buffers=buffers,
        dram={
            "bandwidth_bytes_per_cycle": draw(st.floats(0.001, 65536)),
            "latency_cycles": draw(st.integers(0, 10**6)),
            "burst_bytes": draw(st.integers(1, 65536)),
        },
        vector={"lanes": draw(st.integers(1, 4096))},
    )
