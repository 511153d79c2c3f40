"""Instructions of hand-made mappings: what is loaded when, how much of it, and what waits for what."""

from __future__ import annotations

from math import ceil

import pytest

from accel.arch.spec import Machine
from accel.compile import fit_to_machine
from accel.errors import AccelError
from accel.flow.lower import lower
from accel.mapping.emit import emit
from accel.mapping.mapping import ArrayMapping, VectorMapping
from accel.mapping.program import Compute, Load, Program, Store, Vector
from accel.mapping.search import choose
from accel.sim.engine import run
from tests.machines import DATAFLOWS, machine
from tests.networks import UINT8, Builder

ROOMY = (1 << 16, 1 << 16, 1 << 16)


def emitted(net: Builder, arch: Machine, *mappings: ArrayMapping | VectorMapping) -> Program:
    return emit(lower(net.graph()), arch, mappings)


def loads(program: Program, buffer: str) -> list[Load]:
    return [i for i in program.instructions if isinstance(i, Load) and i.buffer == buffer]


def convolution(groups: int = 1) -> Builder:
    net = Builder()
    net.conv(net.input(1, 6, 8, 8), 12, groups=groups)
    return net


def test_weights_bring_their_parameters_with_the_last_of_a_reduction() -> None:
    """6 x 9 = 54 weights for each of 12 channels, cut in 20 + 20 + 14; 8 B a channel; bursts of 16 B."""
    program = emitted(
        convolution(), machine(buffers=ROOMY), ArrayMapping("weight_stationary", 1, 1, 8, 8, 12, 20, "pixels")
    )
    assert [load.box for load in loads(program, "weight")] == [
        ((0, 1), (0, 12), (0, 20)),
        ((0, 1), (0, 12), (20, 40)),
        ((0, 1), (0, 12), (40, 54)),
    ]
    assert [load.size_bytes for load in loads(program, "weight")] == [240, 240, ceil((14 * 12 + 12 * 8) / 16) * 16]
    actions = program.layers[0].actions
    assert actions.weight_buffer_write_bytes == 54 * 12
    assert actions.activation_buffer_write_bytes == 6 * 8 * 8
    assert actions.dram_read_bytes == 480 + 272 + 384
    assert actions.dram_write_bytes == 12 * 64
    assert actions.accumulator_adds == 64 * 12 * (ceil(20 / 4) + ceil(20 / 4) + ceil(14 / 4) - 1)


def test_groups_bring_the_parameters_of_all_their_channels() -> None:
    """3 groups of 2 x 9 weights for 4 channels, two groups in a tile and then one."""
    program = emitted(
        convolution(groups=3), machine(buffers=ROOMY), ArrayMapping("weight_stationary", 2, 1, 8, 8, 4, 18, "pixels")
    )
    assert [load.size_bytes for load in loads(program, "weight")] == [2 * 4 * (18 + 8), ceil(4 * (18 + 8) / 16) * 16]
    assert [load.box[0] for load in loads(program, "weight")] == [(0, 2), (2, 3)]
    assert [load.box[1] for load in loads(program, "activation")] == [(0, 4), (4, 6)]


def test_transfers_are_whole_bursts_and_buffers_hold_bytes() -> None:
    """3 x 5 activations, 15 B, and 5 x 3 weights with 24 B of parameters; 9 B of outputs."""
    net = Builder()
    net.linear(net.input(3, 5), 3)
    program = emitted(net, machine(buffers=ROOMY), ArrayMapping("weight_stationary", 1, 3, 1, 1, 3, 5, "pixels"))
    sizes = [i.size_bytes for i in program.instructions if isinstance(i, Load | Store)]
    assert sizes == [48, 16, 16]
    actions = program.layers[0].actions
    assert (actions.weight_buffer_write_bytes, actions.activation_buffer_write_bytes) == (15, 15)
    # Two folds along k write 9 sums of 4 B each, and read them once; the vector unit reads them, writes and sends 9 B.
    assert actions.accumulator_buffer_write_bytes == 2 * 36 + 9
    assert actions.accumulator_buffer_read_bytes == 36 + 36 + 9


@pytest.mark.parametrize(
    ("outer", "weights", "activations"),
    [("pixels", [0, 1, 2] * 4, [0, 1, 2, 3]), ("channels", [0, 1, 2], [0, 1, 2, 3] * 3)],
)
def test_the_outer_loop_keeps_its_operand(outer, weights, activations) -> None:
    """4 pixel tiles and 3 channel tiles, room for two each: the inner loop's operands come again for each outer one.

    A tile has 4 x 54 = 216 weights, and 4 rows of 8 x 6 activations, 192 B, or 3 at the image's edges.
    """
    arch = machine(buffers=(2 * 216, 2 * 192, 1 << 16))
    program = emitted(convolution(), arch, ArrayMapping("weight_stationary", 1, 1, 2, 8, 4, 54, outer))
    assert [load.box[1][0] // 4 for load in loads(program, "weight")] == weights
    assert [(load.box[2][0] + 1) // 2 for load in loads(program, "activation")] == activations
    order = [(i.tile.oh[0] // 2, i.tile.n[0] // 4) for i in program.instructions if isinstance(i, Compute)]
    assert order == sorted(order, key=lambda pair: pair if outer == "pixels" else pair[::-1])


@pytest.mark.parametrize(("double", "capacity", "count"), [(True, 648, 3), (True, 647, 12), (False, 648, 12)])
def test_tiles_of_the_inner_loop_stay_if_all_of_them_fit(double, capacity, count) -> None:
    """3 tiles of 216 B for each of 4 pixel tiles; without double buffering, a tile has the buffer for itself."""
    program = emitted(
        convolution(),
        machine(buffers=(capacity, 1 << 16, 1 << 16), double_buffered=double),
        ArrayMapping("weight_stationary", 1, 1, 2, 8, 4, 54, "pixels"),
    )
    assert len(loads(program, "weight")) == count
    assert len(loads(program, "activation")) == 4


def test_a_slot_is_filled_when_its_last_reader_has_let_go() -> None:
    """One slot a buffer, two pixel tiles that two channel tiles read: the second image waits for both."""
    program = emitted(
        convolution(),
        machine(buffers=ROOMY, double_buffered=False),
        ArrayMapping("weight_stationary", 1, 1, 4, 8, 6, 54, "pixels"),
    )
    computes = [i.index for i in program.instructions if isinstance(i, Compute)]
    second = loads(program, "activation")[1]
    assert computes[1] in second.waits
    assert computes[2] > second.index
    timeline = run(program, machine(buffers=ROOMY, double_buffered=False))
    assert timeline.begin[second.index] >= timeline.consumed[computes[1]]


def test_weights_are_fetched_ahead_of_the_layer_and_activations_are_not() -> None:
    net = Builder()
    net.conv(net.conv(net.input(1, 4, 6, 6), 4), 4)
    arch = machine(buffers=ROOMY)
    whole = ArrayMapping("weight_stationary", 1, 1, 6, 6, 4, 36, "pixels")
    program = emitted(net, arch, whole, whole)
    timeline = run(program, arch)
    stored = next(i.index for i in program.instructions if isinstance(i, Store))
    weights, activations = loads(program, "weight")[1], loads(program, "activation")[1]
    assert timeline.begin[weights.index] == timeline.begin[loads(program, "activation")[0].index] + 18
    assert timeline.begin[activations.index] >= timeline.done[stored]


def test_accumulators_are_taken_when_they_have_been_stored() -> None:
    """Three tiles of a layer, then the next layer's first: each waits for the Store two (slots) before."""
    net = Builder()
    net.relu(net.max_pool(net.input(1, 6, 4, 4), (2, 2), (2, 2)))
    program = emitted(net, machine(buffers=ROOMY), VectorMapping(1, 2, 2, 2))
    vectors = [i for i in program.instructions if isinstance(i, Vector)]
    stores = [i for i in program.instructions if isinstance(i, Store)]
    assert [vector.accumulator_slot for vector in vectors] == [0, 1, 0]
    assert stores[0].index in vectors[2].waits
    assert not {store.index for store in stores} & {*vectors[0].waits, *vectors[1].waits}
    assert vectors[0].cycles == ceil(8 / 4) * (4 + 1)  # a window of 4, and the requantization that rides along


@pytest.mark.parametrize("dataflow", DATAFLOWS)
def test_the_narrowest_port_sets_the_pace(dataflow) -> None:
    """8 x 8 x 8 on 4 x 4: each buffer in turn 1/64 as wide as the others."""
    net = Builder()
    net.linear(net.input(8, 8), 8)
    for name in ("weight", "activation", "accumulator"):
        arch = machine(4, 4, dataflow, buffers=ROOMY)
        port = getattr(arch.buffers, name).model_copy(update={"width_bytes_per_cycle": 1.0})
        arch = arch.model_copy(update={"buffers": arch.buffers.model_copy(update={name: port})})
        program = emitted(net, arch, ArrayMapping(dataflow, 1, 8, 1, 1, 8, 8, "pixels"))
        (compute,) = (i for i in program.instructions if isinstance(i, Compute))
        stays = {"weight_stationary": "weight", "input_stationary": "activation"}.get(dataflow)
        sums = 64 * 4 * (1 if dataflow == "output_stationary" else 2)
        assert compute.port == name
        assert compute.port_cycles == (sums if name == "accumulator" else 64 if name == stays else 128)


def test_operands_must_fit_the_processing_elements_at_both_ends() -> None:
    net = Builder()
    net.linear(net.input(1, 4), 4)
    with pytest.raises(AccelError, match="has int8 weights, and the processing elements take uint8"):
        fit_to_machine(net.graph(), machine(weight="uint8"))
    with pytest.raises(AccelError, match="has int8 activations, and the processing elements take int7"):
        fit_to_machine(net.graph(), machine(activation="int7"))
    assert fit_to_machine(net.graph(), machine(weight="int9", activation="int9"))
    of_bytes = Builder(weight_qtype=UINT8)
    of_bytes.linear(of_bytes.input(1, 4), 4)
    with pytest.raises(AccelError, match="has uint8 weights, and the processing elements take int8"):
        fit_to_machine(of_bytes.graph(), machine())


def test_equal_layers_are_mapped_alike_and_others_for_themselves() -> None:
    """Four convolutions to 4 x 6 x 6: from a larger image with strides, plain, followed by a Relu, and plain again."""
    net = Builder()
    x = net.conv(net.input(1, 4, 12, 12), 4, strides=(2, 2))
    x = net.conv(x, 4)
    x = net.conv(net.relu(net.conv(x, 4)), 4)
    strided, plain, clamped, again = choose(lower(net.graph(x)), machine())
    assert again is plain
    assert len({id(mapping) for mapping in (strided, plain, clamped)}) == 3
