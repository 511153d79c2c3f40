"""From SystemVerilog and a C++ harness to an executable, once: Verilator, a C++ compiler, and a cache."""

from __future__ import annotations

import json
import os
import platform
import re
import shlex
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from accel.errors import AccelError
from accel.rtl import cache
from accel.rtl.design import Design
from accel.rtl.memory import check_memory, compilers_at_once
from accel.rtl.sources import harness, modules, modules_under, without_comments
from accel.rtl.toolchain import Tool, find_compiler, find_make, find_verilator
from accel.rtl.top import top_text

PREFIX = "Vdut"
"""Of the C++ classes that Verilator makes; a harness includes ``Vdut.h``."""

# --output-split lets the compiler work on several files at a time, each still large enough to be worth a process.
# Lint belongs into the tests of the hardware: a later Verilator may know warnings that do no harm.
_VERILATE = (
    *("--cc", "--exe", "-O3", "--x-assign", "fast", "--x-initial", "fast", "--noassert", "--no-timing"),
    *("-Wno-lint", "-Wno-style", "--output-split", "20000", "--output-split-cfuncs", "20000"),
)
# -O2 takes half as long again and gains nothing: what Verilator writes is straight-line code. What runs once is not
# optimized, and neither is a model that writes waveforms: there is three times as much of it, and it runs for a while.
_COMPILE = ("OPT_FAST=-O1", "OPT_SLOW=-O0", "OPT_GLOBAL=-O1")
_COMPILE_TRACED = ("OPT_FAST=-O0", "OPT_SLOW=-O0", "OPT_GLOBAL=-O1")
_RUNTIME = ("verilated.o", "verilated_threads.o", "verilated_vcd_c.o")


@dataclass(frozen=True, slots=True)
class Model:
    """Hardware and the harness that drives it, as texts: file name -> content."""

    top: str
    """Name of the top module."""
    sources: Mapping[str, str]
    """SystemVerilog."""
    harness: Mapping[str, str]
    """C++, and headers that it includes."""
    parameters: Mapping[str, int] = field(default_factory=dict)
    """Of the top module, where they differ from its text."""
    defines: Mapping[str, int] = field(default_factory=dict)
    """Macros for the harness."""
    trace: bool = False
    """Whether it can write waveforms (VCD)."""
    elements: int = 0
    """Processing elements: what the memory that the compilation needs goes by."""


def model_of(design: Design, trace: bool = False) -> Model:
    """The replay harness around a design's array.

    The top is called ``dut`` for every machine: machines that differ only in their name are compiled once.
    """
    top = "dut"
    sources = {f"{name}.sv": modules()[name] for name in modules_under(design.module)}
    return Model(
        top=top,
        sources=sources | {f"{top}.sv": top_text(design, top)},
        harness=harness("replay.cpp"),
        defines={"OUTPUT_STATIONARY": int(design.output_stationary)},
        trace=trace,
        elements=design.machine.array.rows * design.machine.array.columns,
    )


def is_compiled(model: Model) -> bool:
    """Whether ``compile_model`` has nothing to do. Needs the tools, as their versions are part of the answer."""
    return cache.cached(_Compilation.of(model).name) is not None


def compile_model(model: Model) -> Path:
    """The executable of a model, from the cache or compiled now.

    Raises
    ------
    AccelError
        A tool is missing, too old, or cannot compile this; the memory there is will not do; the cache cannot be
        written. What was there before stays, and nothing is left half-made.
    """
    compilation = _Compilation.of(model)
    if (found := cache.cached(compilation.name)) is not None:
        return found
    check_memory(model.elements, model.trace)
    with cache.alone(compilation.name):
        return cache.cached(compilation.name) or compilation.run()


@dataclass(frozen=True, slots=True)
class _Compilation:
    """A model, the tools that compile it, and the name under which what they make is kept."""

    model: Model
    verilator: Tool
    compiler: Tool
    make: Tool

    @classmethod
    def of(cls, model: Model) -> _Compilation:
        return cls(model, find_verilator(), find_compiler(), find_make())

    @property
    def tools(self) -> str:
        """What all models that these tools compile for this computer have in common."""
        versions = [self.verilator.version, self.compiler.version]
        return json.dumps([platform.system(), platform.machine(), *versions, *self._compile, self.model.trace])

    @property
    def name(self) -> str:
        model = self.model
        sources = {name: without_comments(text) for name, text in model.sources.items()}
        rest = [model.top, sources, model.harness, model.parameters, model.defines, _VERILATE]
        return cache.key_of(self.tools, json.dumps(rest, sort_keys=True, default=dict))

    def run(self) -> Path:
        """Compile in a folder of its own, which is gone afterwards, and keep the executable."""
        with tempfile.TemporaryDirectory(prefix="accel-rtl-", ignore_cleanup_errors=True) as folder:
            place = Path(folder)
            for name, text in {**self.model.sources, **self.model.harness}.items():
                (place / name).write_text(text, encoding="utf-8")
            self._step(place, "Verilator", self._verilate(), f"{PREFIX}.mk")
            self._take_runtime(place)
            self._step(place, "the C++ compiler", self._make(), PREFIX)
            self._keep_runtime(place)
            return cache.keep(place / PREFIX, self.name)

    def _verilate(self) -> list[str]:
        model = self.model
        return [
            self.verilator.path,
            *_VERILATE,
            *("--top-module", model.top, "--prefix", PREFIX, "-Mdir", "."),
            *(["--trace"] if model.trace else []),
            *(f"-G{name}={value:d}" for name, value in model.parameters.items()),
            *(part for name, value in model.defines.items() for part in ("-CFLAGS", f"-D{name}={value:d}")),
            *model.sources,
            *(name for name in model.harness if name.endswith(".cpp")),
        ]

    @property
    def _compile(self) -> tuple[str, ...]:
        return _COMPILE_TRACED if self.model.trace else _COMPILE

    def _make(self) -> list[str]:
        jobs = compilers_at_once(self.model.elements, self.model.trace)
        compiler = shlex.quote(self.compiler.path)
        both = (f"CXX={compiler}", f"LINK={compiler}")
        return [self.make.path, "-f", f"{PREFIX}.mk", f"-j{jobs}", *both, *self._compile]

    def _step(self, place: Path, who: str, command: Sequence[str], product: str) -> None:
        log = place / "log"
        with log.open("ab") as output:
            code = _run(command, place, output.fileno())
        if code == 0 and (place / product).is_file():
            return
        said = log.read_text(errors="replace")
        failed = f"exit code {code}" if code else f"it ended without {product}"
        error, hint = _first_error(said) or failed, _hint(said)
        if said:
            hint += f"all that it said is in {cache.keep(log, f'{self.name}.log')}"
        raise AccelError(f"{who} cannot compile {self.model.top}: {error}", hint=hint)

    # Verilator's own library is most of the work of a small model, and the same for all.

    def _take_runtime(self, place: Path) -> None:
        for name in _RUNTIME:
            if (kept := cache.cached(f"{cache.key_of(self.tools)}-{name}")) is not None:
                with suppress(OSError):
                    (place / name).write_bytes(kept.read_bytes())

    def _keep_runtime(self, place: Path) -> None:
        for name in _RUNTIME:
            kept = f"{cache.key_of(self.tools)}-{name}"
            if (place / name).exists() and cache.cached(kept) is None:
                cache.keep(place / name, kept)


def _run(command: Sequence[str], place: Path, output: int) -> int:
    """Run a program and all that it starts; none of it outlives a Ctrl-C."""
    process = subprocess.Popen(
        command,
        cwd=place,
        # What a compiler that is killed leaves behind goes with the rest.
        env=os.environ | {"TMPDIR": str(place)},
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        start_new_session=True,
    )
    try:
        return process.wait()
    except BaseException:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise


def _first_error(log: str) -> str:
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    errors = [line for line in lines if re.search(r"^%(Error|Warning)|\berror\b|\bKilled\b", line, re.IGNORECASE)]
    return (errors or lines[-1:] or [""])[0]


def _hint(log: str) -> str:
    if re.search(r"\bKilled\b|out of memory|bad_alloc", log, re.IGNORECASE):
        return "it ran out of memory: close other programs, or take a smaller array; "
    if "directories containing spaces" in log:
        return "set TMPDIR to a folder without blanks in its path; "
    return ""
