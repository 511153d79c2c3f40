"""Programs in which layers take turns, whether that pays or not."""

from __future__ import annotations

import random
from dataclasses import replace

from accel.arch.spec import Machine
from accel.errors import AccelError
from accel.flow.ir import Flow
from accel.mapping.emit import emit
from accel.mapping.fusion import links, window_of
from accel.mapping.program import Program
from accel.mapping.residency import Residency, nothing_stays, plan_residency
from accel.mapping.search import Chooser
from accel.mapping.window import row_loop, rows_needed
from tests.networks import Builder


def fused_residency(flow: Flow, machine: Machine, rng: random.Random, *, whole: bool = True) -> Residency:
    """Any pairs, with tiles of any rows and windows that just hold them or somewhat more.

    Parameters
    ----------
    whole
        Whether tensors may stay whole, too.
    """
    residency = rng.choice([nothing_stays, plan_residency] if whole else [nothing_stays])(flow, machine)
    found = list(links(flow, residency))
    rng.shuffle(found)
    for first, last in found:
        if {first, last} & residency.rows.keys():
            continue
        maker, reader = flow.ops[first], flow.ops[last]
        rows = [rng.randint(1, op.sizes[row_loop(op)]) for op in (maker, reader)]
        height = maker.write.shape[2]
        window_rows = min(height, rows_needed(maker, reader, *rows) + rng.choice([0, 0, 1, rows[0]]))
        window = window_of(flow, residency, first, last, window_rows)
        turns = residency.with_window(window, dict(zip((first, last), rows, strict=True)))
        if window.offset >= 0 and has_mappings(flow, machine, turns, (first, last)):
            residency = turns
    return residency


def has_mappings(flow: Flow, machine: Machine, residency: Residency, positions: tuple[int, ...]) -> bool:
    chooser = Chooser(flow, machine)
    try:
        for position in positions:
            chooser.best(flow.ops[position], residency.room(position, flow.ops[position]))
    except AccelError:
        return False
    return True


def fused_program(flow: Flow, machine: Machine, rng: random.Random, *, whole: bool = True) -> Program:
    """Every layer under any of the machine's dataflows."""
    residency = fused_residency(flow, machine, rng, whole=whole)
    mappings = []
    for position, op in enumerate(flow.ops):
        dataflow = (rng.choice(machine.array.dataflow),)
        one = machine.model_copy(update={"array": machine.array.model_copy(update={"dataflow": dataflow})})
        found = None if op.is_view else Chooser(flow, one).best(op, residency.room(position, op)).mapping
        mappings.append(found)
    return emit(flow, machine, mappings, residency)


def chain(seed: int, batch: int = 1, size: int = 11) -> Builder:
    """Layers of every kind one behind the other, strides and dilations among them, and a residual around two."""
    net = Builder(seed)
    rng = random.Random(seed)
    x = net.conv(net.input(batch, 3, size, size), 6, strides=rng.choice([(1, 1), (2, 1)]))
    for _ in range(3):
        small = min(net.tensors[x].shape[2:]) < 6
        match 3 if small else rng.randrange(8):
            case 0:
                x = net.conv(x, 6, groups=6, strides=rng.choice([(1, 1), (2, 2)]))
            case 1:
                x = net.conv(x, 6, (1, 1), pads=(0, 0, 0, 0))
            case 2:
                x = net.max_pool(x, (2, 2), (1, 1))
            case 3:
                x = net.add(net.conv(x, 6), x)
            case 4:
                x = net.conv(x, 6, (3, 3), pads=(2, 2, 2, 2), dilations=(2, 2))
            case 5:
                x = net.add(net.conv(x, 6, (1, 1), pads=(0, 0, 0, 0)), x)
            case 6:
                x = net.conv(x, 6, (1, 1), strides=(2, 2), pads=(0, 0, 0, 0))
            case _:
                x = net.average_pool(x, (3, 3), (2, 2))
    net.last = net.linear(net.flatten(net.global_pool(x)), 5)  # type: ignore[attr-defined]
    return net


def one_row_less(program: Program, tensor: str) -> Program:
    """The same instructions, with a window that is too small for them."""
    kept = {
        name: replace(place, rows=place.rows - 1) if name == tensor and place.rows is not None else place
        for name, place in program.residency.kept.items()
    }
    return replace(program, residency=replace(program.residency, kept=kept))
