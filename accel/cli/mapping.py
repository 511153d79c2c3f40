"""The command that searches mappings."""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from accel.cli.options import Arch, Json, Net, Processes, one_of
from accel.cli.output import load_machine, progress_bar, say

commands = typer.Typer()


class Wanted(StrEnum):
    """What `accel map` wants less of."""

    CYCLES = "cycles"
    ENERGY = "energy"
    EDP = "edp"
    DRAM_BYTES = "dram-bytes"


class HowLong(StrEnum):
    """How many mappings `accel map` looks at."""

    QUICK = "quick"
    FULL = "full"


@commands.command(name="map")
def map_(
    network: Net,
    arch: Arch,
    objective: Annotated[
        Wanted, one_of(Wanted, "--objective", help="What is wanted less of; edp is energy times cycles.")
    ] = Wanted.CYCLES,
    effort: Annotated[
        HowLong,
        one_of(HowLong, "--effort", help="quick: a few hundred tilings of each layer; full: all, or all equal parts."),
    ] = HowLong.QUICK,
    seed: Annotated[
        int, typer.Option("--seed", min=0, help="Of what is drawn from spaces too large for --effort full.")
    ] = 0,
    processes: Processes = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="YAML", help="Write the mappings, for --mapping of others.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file if it exists.")] = False,
    json: Json = False,
) -> None:
    """Search each layer's mapping with the clock: dataflow, tile, loop order, groups at once, and which are fused.

    Lower bounds say which mappings are worth timing, and when nothing better can be left. Layers of equal loops and
    types are searched once. The mappings do not depend on the number of processes. Edit the file, if you like, and run
    it: what does not fit is refused with its line.

    Try: accel map digits-resnet8 --arch edge-32x32 --out m.yaml && accel estimate digits-resnet8 --arch edge-32x32
    --mapping m.yaml
    """
    from accel import api

    net, machine = api.load_network(network), load_machine(arch)
    with progress_bar() as progress:
        search = api.search_mapping(
            net, machine, objective, effort, seed, processes or os.cpu_count() or 1, out, overwrite, progress
        )
    if json:
        say(search.to_json() + "\n")
    else:
        from accel.report.console import open_console
        from accel.report.mapping_search import mapping_table

        say(mapping_table(search, open_console().width))
    if out is not None:
        print(out, file=sys.stderr)
