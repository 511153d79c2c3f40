"""The command line: parse, call, print. Everything else lives in the rooms below; imports wait until needed."""

from accel.cli import bits, galleries, hardware, mapping, simulation
from accel.cli.app import app, main, reflow

for _part in (galleries, simulation, mapping, bits, hardware):
    reflow(_part.commands)
    app.add_typer(_part.commands)

__all__ = ["main"]
