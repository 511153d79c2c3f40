"""Flow + Machine + mappings -> Program."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from itertools import groupby

from accel.arch.spec import Machine
from accel.errors import AccelError
from accel.flow.ir import Access, Flow, Range
from accel.mapping.chip import Chip
from accel.mapping.mapping import NestMapping
from accel.mapping.program import Layer, Program
from accel.mapping.residency import Kept, Residency, nothing_stays
from accel.mapping.window import reads_of, rows_of
from accel.mapping.writer import LayerWriter, Tile, writer_of
from accel.result import Actions


def emit(
    flow: Flow,
    machine: Machine,
    mappings: Sequence[NestMapping | None],
    residency: Residency | None = None,
) -> Program:
    """Write the instructions of every layer.

    Layers run one after another: activations of a layer are loaded when the layer before has stored its last output.
    Weights know no such barrier; they are fetched ahead as soon as there is room. The two layers of a pair take turns.

    Parameters
    ----------
    residency
        What stays on chip between layers; nothing unless given.
    """
    stays = residency or nothing_stays(flow, machine)
    chip = Chip(flow, machine, stays)
    windows = {window.first: window for window in stays.windows}
    actions: dict[int, Actions] = {}
    for position, mapping in enumerate(mappings):
        if position in actions or mapping is None:
            continue
        window = windows.get(position)
        stage = {
            at: writer_of(chip, at, flow.ops[at], mappings[at], turn)
            for turn, at in enumerate([position] if window is None else [position, window.last])
        }
        writers = list(stage.values())
        chip.begin_stage(len(stage), stays.free_bytes[position], sum(writer.pass_bytes for writer in writers))
        if window is None:
            for tile in writers[0].tiles():
                writers[0].put(tile)
        else:
            _in_turns(writers[0], writers[1], window)
        chip.end_stage(writer.output for writer in writers)
        actions |= {at: writer.actions() for at, writer in stage.items()}
    _check_capacity(flow, machine, chip.layout.end)
    return Program(
        flow,
        machine.name,
        tuple(
            Layer(op, mapping, actions.get(position, Actions()))
            for position, (op, mapping) in enumerate(zip(flow.ops, mappings, strict=True))
        ),
        tuple(chip.instructions),
        chip.issue(),
        chip.layout.places,
        stays,
    )


def _in_turns(maker: LayerWriter, reader: LayerWriter, window: Kept) -> None:
    """Write two layers, band of rows by band of rows: ``maker`` as far ahead of ``reader`` as the window holds rows.

    A row takes the place of the one that lies ``window.rows`` before it. That one's readers are done by then without
    being waited for: the Vector that ends their band comes earlier, and the vector unit takes its work in order.
    """
    rows = window.rows
    assert rows is not None
    to_make = deque(_bands(maker, maker.op.write))
    made: list[tuple[int, int]] = []
    """(one past the last row of a band, the Vector that ended it)"""

    def make() -> None:
        (_, end), tiles = to_make.popleft()
        for tile in tiles:
            maker.put(tile)
        made.append((end, maker.made))

    for (low, high), tiles in _bands(reader, reads_of(reader.op, window.tensor)):
        while to_make and (to_make[0][0][0] < high or to_make[0][0][1] - rows <= low):
            assert to_make[0][0][1] - rows <= low
            make()
        reader.ready = next(((vector,) for end, vector in made if end >= high), ())
        for tile in tiles:
            reader.put(tile)
    while to_make:
        make()


def _bands(writer: LayerWriter, access: Access) -> Iterator[tuple[Range, list[Tile]]]:
    """The layer's tiles, those of the same output rows together, with the rows of ``access`` that they touch."""
    for _, same in groupby(writer.tiles(), key=lambda tile: rows_of(writer.op.write, tile.ranges)):
        tiles = list(same)
        yield rows_of(access, tiles[0].ranges), tiles


def _check_capacity(flow: Flow, machine: Machine, size_bytes: int) -> None:
    device = machine.dram.device
    if device is not None and size_bytes > device.capacity_bytes:
        raise AccelError(
            f"weights and activations take {size_bytes} bytes, and the DRAM of {machine.name} has "
            f"{device.capacity_bytes} ({size_bytes - device.capacity_bytes} too few)",
            flow.path,
            "give the device more rows or channels, or simulate fewer images at a time",
        )
