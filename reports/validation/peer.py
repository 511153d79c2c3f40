"""Another tool in a process of its own: its memory peak is its own, and what it prints stays there."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any


def in_new_process(script: str, arguments: list[Any]) -> dict[str, Any]:
    """Run ``script --one ARGUMENTS``, which prints a JSON object as its last line."""
    command = [sys.executable, script, "--one", json.dumps(arguments)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode != 0:
        raise SystemExit(f"{script} --one failed:\n{run.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
    return found
