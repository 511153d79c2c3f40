"""What the tests of the requantizers' hardware share: sources, layouts of bits, benches, and accumulators in numpy."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import accel
from accel.numerics.mac import saturate, wrap
from accel.rtl.sources import modules_under

Array = npt.NDArray[Any]
Simulate = Callable[[Array], Array]

VERILOG = Path(accel.__file__).parent / "rtl" / "verilog"
SOURCES = [VERILOG / f"{name}.sv" for name in modules_under("sa_requantizer")]
STAGES = 4
LANES = 2

# As the benches lay out the settings of a vector, and a result.
SETTINGS = np.dtype([("zero_point", ">i4"), ("low", ">i4"), ("high", ">i4")])
RESULT = np.dtype([("valid", "u1"), ("overflows", "u1"), ("values", ">u2", (LANES,))])


def shell(*words: object) -> str:
    """Standard output and error of a command that succeeds."""
    done = subprocess.run([*map(str, words)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def through(folder: Path, units: tuple[int, int], *program: object) -> Simulate:
    """Vectors through a compiled bench: (clocks, *units) results, each beside its vector."""

    def simulate(vectors: Array) -> Array:
        digits = (vectors.tobytes() + bytes((STAGES - 1) * vectors.itemsize)).hex()
        step = 2 * vectors.itemsize
        (folder / "vectors").write_text("\n".join(digits[at : at + step] for at in range(0, len(digits), step)))
        shell(*program, f"+vectors={folder / 'vectors'}", f"+results={folder / 'results'}")
        raw = bytes.fromhex((folder / "results").read_text())
        results = np.frombuffer(raw, RESULT).reshape(-1, *units)
        assert not results["valid"][: STAGES - 1].any()
        return results[STAGES - 1 :]

    return simulate


def totals(sums: Array, bias: Array, bits: int, overflow: str, narrower: bool) -> tuple[Array, Array]:
    """As ``narrowed``; where the benches have totals narrower than the accumulators, those, and both losses counted."""
    total, excess = narrowed(sums, bias, bits, overflow)
    final = saturate(total, bits * 3 // 4) if narrower and bits > 8 else total
    return final, excess.astype(int) + (final != total)


def narrowed(sums: Array, bias: Array, bits: int, overflow: str) -> tuple[Array, Array]:
    """The low ``bits`` of the sums plus the bias in an accumulator, and whether it did not fit."""
    if bits == 64:  # beyond what int64 tells apart
        exact = sums.astype(object) + bias
        limit = 1 << 63
        excess = (exact >= limit) | (exact < -limit)
        inside = np.clip(exact, -limit, limit - 1) if overflow == "saturate" else (exact + limit) % (2 * limit) - limit
        return inside.astype(np.int64), excess.astype(bool)
    exact = wrap(sums, bits) + bias
    total = wrap(exact, bits) if overflow == "wrap" else saturate(exact, bits)
    return total, total != exact
