"""The program: its options, how it ends, and what becomes of a user's mistake."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from inspect import getdoc
from io import TextIOWrapper
from typing import Annotated

import typer

from accel.cli.output import say
from accel.errors import AccelError

app = typer.Typer(
    name="accel",
    help="""Bring a quantized ONNX network and a machine written in YAML; leave with cycles, energy and exact integers.

NET is an ONNX file or a network of the gallery, A a YAML file or a machine of the gallery.

Try: accel run digits-resnet8 --arch edge-32x32""",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        from accel import __version__

        say(f"accel {__version__}\n")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def reflow(commands: typer.Typer) -> None:
    """Let the terminal break the lines of the commands' help: those of a docstring are as wide as the source."""
    for group in commands.registered_groups:
        if group.typer_instance is not None:
            reflow(group.typer_instance)
    for command in commands.registered_commands:
        paragraphs = (getdoc(command.callback) or "").split("\n\n")
        command.help = "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


def main() -> None:
    """Run the command line; a user's mistake is one sentence on stderr and exit code 2."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        with _orderly_end():
            app()
    except AccelError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        print(f"error: {place}{error.strerror or error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        sys.exit(130)


@contextmanager
def _orderly_end() -> Iterator[None]:
    """Let what ends a program at once unwind it: temporary folders and programs that it has started go with it."""
    import signal

    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    ours = [number for number in numbers if signal.getsignal(number) is signal.SIG_DFL]
    for number in ours:
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)
