"""What commands print and write, and what they say while they work."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accel.errors import AccelError

if TYPE_CHECKING:
    from accel.api import Progress
    from accel.arch.spec import Machine
    from accel.result import Result


_BROKEN_PIPE = 128 + 13
"""What a shell reports of a program that SIGPIPE ended."""


def say(*parts: Any) -> None:
    """Write text or tables to standard output, all of it, or say why not; a reader that has gone ends the program."""
    from accel.report.console import open_console

    console = open_console()
    try:
        for part in parts:
            if isinstance(part, str):
                sys.stdout.write(part)
                continue
            with console.capture() as captured:
                console.print(part)
            sys.stdout.write(captured.get())
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(_BROKEN_PIPE)
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise AccelError(f"standard output cannot be written ({error.strerror})") from None


def compile_kernels() -> None:
    """Before anything is simulated, and with a word about it, as it takes a while."""
    from accel.sim.warm_up import is_compiled, warm_up

    if not is_compiled():
        print("compiling the simulator's kernels, once; later runs take them from the disk", file=sys.stderr)
        warm_up()


def load_machine(arch: str) -> Machine:
    """Load a machine for its clock; what times its DRAM, if that is a device, is compiled with a word about it."""
    from accel import api

    machine = api.load_arch(arch)
    if machine.dram.device is not None:
        from accel.sim.warm_up import is_dram_compiled, warm_up_dram

        if not is_dram_compiled():
            print("compiling the DRAM's kernels, once; later runs take them from the disk", file=sys.stderr)
            warm_up_dram()
    return machine


def check_outputs(out: Path | None, overwrite: bool, json: bool, csv: bool) -> None:
    """Refuse before a long run what would fail after it."""
    if json and csv:
        raise AccelError("--json and --csv both want standard output", hint="give one of them; --out writes both files")
    if out is not None:
        from accel.report.folder import check_writable

        check_writable(out, overwrite=overwrite)


def note(notes: Iterable[str]) -> None:
    """What a reader of the tables should know, on standard error."""
    for text in notes:
        print(f"note: {text}", file=sys.stderr)


def show_result(
    result: Result,
    json: bool,
    csv: bool,
    out: Path | None,
    overwrite: bool,
    outputs: Mapping[str, Any] | None = None,
) -> None:
    """Print a result as it was asked for, and write its folder."""
    if json:
        say(result.to_json() + "\n")
    elif csv:
        from accel.report.csv import layers_csv

        say(layers_csv(result))
    else:
        from accel.report.console import open_console
        from accel.report.tables import energy_table, layer_table, totals_table

        width = open_console().width
        say(layer_table(result, width), energy_table(result, width), totals_table(result))
    write_folder(result, out, overwrite, outputs)


def write_folder(result: Result, out: Path | None, overwrite: bool, outputs: Mapping[str, Any] | None = None) -> None:
    """Write a result's folder, if one was asked for, and say what is in it."""
    if out is not None:
        from accel.report.folder import write_results

        for path in write_results(result, out, arrays=outputs, overwrite=overwrite):
            print(path, file=sys.stderr)


def print_rows(name: str, rows: list[dict[str, object]], json: bool) -> None:
    """A gallery listing: one row each, the first column the name to use."""
    if json:
        import json as json_module

        say(json_module.dumps({name: rows}, indent=2) + "\n")
        return
    from accel.report.listing import listing

    say(listing(rows))


@contextmanager
def progress_bar() -> Iterator[Progress]:
    """A progress bar on stderr, where stderr is a terminal; ``progress(text, done, total)`` moves it."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Bar(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("starting", total=None)

        def move(text: str, done: int, total: int) -> None:
            bar.update(task, description=text, completed=done, total=total or None)

        yield move
