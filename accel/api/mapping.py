"""The search for a network's mappings on a machine."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

from accel.api.network import Network
from accel.api.progress import Progress
from accel.arch.spec import Machine
from accel.compile import fit_to_machine
from accel.cost.prices import prices_of
from accel.errors import AccelError
from accel.explore.nest import BUDGET, Effort
from accel.explore.network import Plan, search_network
from accel.explore.objective import Figures, check_objective
from accel.flow.ir import Flow
from accel.flow.lower import lower
from accel.mapping.file import dump_mappings
from accel.mapping.program import in_words
from accel.quantizer.save import output_file
from accel.studies.mapping_search import MappedLayer, MappingFigures, MappingSearch
from accel.version import __version__


def search_mapping(
    network: Network,
    arch: Machine,
    objective: str = "cycles",
    effort: str = "quick",
    seed: int = 0,
    processes: int = 1,
    out: Path | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> MappingSearch:
    """Search for each kind of layer the mapping that costs least, timed with the clock of ``estimate``.

    Parameters
    ----------
    objective
        ``cycles``, ``energy``, ``edp`` (energy times cycles) or ``dram-bytes``.
    effort
        ``quick`` looks at a few hundred tilings of a layer, ``full`` at all, or, of large layers, at all equal parts.
    seed
        Of what ``full`` draws from spaces that are larger still.
    processes
        How many search at a time. The mappings do not depend on it; with more than one, the calling script must be
        importable, as Python's multiprocessing has it.
    out
        A YAML file for the mappings, which ``estimate``, ``simulate`` and ``verify`` take.

    Raises
    ------
    AccelError
        The network does not fit the machine: which layer, what, and by how much; an unknown objective; ``out`` cannot
        be written.
    """
    wanted, how_long = check_objective(objective), _check_effort(effort)
    with output_file(out, overwrite, "YAML") if out is not None else nullcontext() as partial:
        flow = lower(fit_to_machine(network.graph, arch))
        search = search_network(flow, arch, prices_of(arch), wanted, how_long, seed, processes, progress)
        comment = f"accel map --objective {objective} --effort {effort} --seed {seed}"
        record = MappingSearch(
            network=network.name,
            machine=arch.name,
            objective=objective,
            effort=effort,
            seed=seed,
            layers=tuple(
                MappedLayer(
                    name=op.name,
                    op=op.kind,
                    mapping_before=_said(search.before, position, flow),
                    mapping_after=_said(search.after, position, flow),
                    before=_figures(search.before.figures[position]),
                    after=_figures(search.after.figures[position]),
                    same_as="" if first == position else flow.ops[first].name,
                    candidates=found.candidates,
                    timed=found.timed,
                    optimal=found.optimal,
                )
                for position, (op, first, found) in enumerate(zip(flow.ops, search.same_as, search.found, strict=True))
                if found is not None
            ),
            mapping_yaml=dump_mappings(flow, arch, search.after.mappings, comment, search.after.residency.windows),
            accel_version=__version__,
        )
        if partial is not None:
            partial.write_text(record.mapping_yaml, encoding="utf-8")
    return record


def _said(plan: Plan, position: int, flow: Flow) -> str:
    return in_words(plan.mappings[position], position, flow, plan.residency)


def _figures(figures: Figures) -> MappingFigures:
    return MappingFigures(int(figures.cycles), float(figures.energy_pj), int(figures.dram_bytes))


def _check_effort(name: str) -> Effort:
    for effort in BUDGET:
        if name == effort:
            return effort
    raise AccelError(f'"{name}" is no effort of a mapping search', hint=f"these are: {', '.join(BUDGET)}")
