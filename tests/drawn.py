"""Arrays and their arithmetic, drawn by hypothesis: every field of a machine that the array's hardware depends on."""

from __future__ import annotations

from hypothesis import strategies as st

from accel.arch.multiplier import in_array
from accel.arch.spec import ArraySpec
from accel.numerics.qtype import BIPOLAR, QType
from accel.sim.array import Sums
from tests.machines import DATAFLOWS


@st.composite
def arrays(draw: st.DrawFn, most: int) -> ArraySpec:
    """Of up to ``most`` rows and columns, under one dataflow."""
    size, latency = st.integers(1, most), st.sampled_from([0, 0, 0, 1, 2])
    hop = st.sampled_from([1, 1, 1, 2, 3])
    return ArraySpec(
        rows=draw(size),
        columns=draw(size),
        dataflow=(draw(st.sampled_from(DATAFLOWS)),),
        overlap=draw(st.sampled_from(["none", "double_buffered"])),
        short_folds=draw(st.sampled_from(["overlapped", "serialized"])),
        shift_out=draw(st.sampled_from(["down", "right", "none"])),
        accumulator_preload=draw(st.booleans()),
        multiplier_latency_cycles=draw(latency),
        accumulate_latency_cycles=draw(latency),
        vertical_hop_latency_cycles=draw(hop),
        horizontal_hop_latency_cycles=draw(hop),
        input_latency_cycles=draw(latency),
        output_latency_cycles=draw(latency),
    )


@st.composite
def arithmetics(draw: st.DrawFn) -> tuple[QType, QType, Sums]:
    """Activations, weights, and sums that hold a product; where they only just do, sums overflow often."""
    types = st.builds(QType, st.integers(1, 16), st.booleans()) | st.just(BIPOLAR)
    activation, weight = draw(types), draw(types)
    bits = sum(in_array(qtype).bits for qtype in (activation, weight))
    least = max(8, bits + (not activation.signed) + (not weight.signed))
    partial = draw(st.integers(least, min(64, least + 6)) | st.sampled_from([32, 40, 64]).filter(lambda b: b >= least))
    total = draw(st.integers(partial, min(64, partial + 4)) | st.sampled_from([64]))
    return activation, weight, Sums(partial, total, draw(st.sampled_from(["wrap", "saturate"])))
