"""The command line: parse, call, print. Everything else lives in the rooms below; imports wait until needed."""

from accel.cli import bits, galleries, hardware, mapping, simulation
from accel.cli.app import app, main

for _part in (galleries, simulation, mapping, bits, hardware):
    app.add_typer(_part.commands)

__all__ = ["main"]
