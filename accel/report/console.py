"""The console that tables are printed on."""

from __future__ import annotations

import os
import sys
from typing import TextIO

from rich.console import Console

_PIPE_WIDTH = 200


def open_console(stream: TextIO | None = None) -> Console:
    """A console on ``stream`` (standard output, if None): as wide as the terminal, or roomy in a pipe or a file.

    ``COLUMNS`` in the environment sets the width in either case. What the stream's encoding lacks (``µ`` in ASCII)
    is replaced, not refused.
    """
    target = sys.stdout if stream is None else stream
    if hasattr(target, "reconfigure"):
        target.reconfigure(errors="replace")
    console = Console(file=target, highlight=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = _PIPE_WIDTH
    return console
