"""How fast is a simulation? Run it anywhere: python reports/speed/measure.py [--networks FOLDER].

Makes the networks (or takes them from FOLDER, as `accel networks make NAME --out FOLDER/NAME` leaves them), times
each in a process of its own, and writes speed.json, speed.md and speed.png beside this file. Times are those of one
run of this script on one machine; compare the ratios.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).parent
NETWORKS = ("resnet20", "mobilenetv2", "resnet18", "resnet34", "resnet50")
ARCH = "edge-32x32"
SLOWER = ("resnet18", "gemmini-16x16")
"""The same network where it takes several times the cycles: what does that do to memory?"""
REPEATS = 5


def measure_network(folder: Path, arch: str) -> dict[str, object]:
    """One network, in this process: simulation, estimate, onnxruntime's native int8; medians of several runs."""
    import numpy as np
    import onnxruntime

    from accel.arch.load import load_arch
    from accel.compile import compile_graph, fit_to_machine
    from accel.graph.onnx import load_network
    from accel.graph.rebase import from_file
    from accel.sim.simulate import Simulator, run_clock

    machine = load_arch(arch)
    path, pixels = folder / "int8.onnx", np.load(folder / "input.npy")

    def simulate() -> tuple[int, int]:
        graph = fit_to_machine(load_network(path), machine)
        simulator = Simulator(compile_graph(graph, machine), machine)
        source = graph.inputs[0]
        run = simulator.run({source: from_file(graph.tensors[source], pixels)})
        return run.pe_cycles_stepped, sum(cycles.total for cycles in simulator.clock.cycles)

    def estimate() -> None:
        program = compile_graph(fit_to_machine(load_network(path), machine), machine)
        run_clock(program, machine)

    stepped, cycles = simulate()  # compiles the kernels, or loads them from the cache
    before = resource.getrusage(resource.RUSAGE_SELF)
    simulation_s = timed(simulate)
    after = resource.getrusage(resource.RUSAGE_SELF)
    estimate_s = timed(estimate)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    native = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    feeds = {native.get_inputs()[0].name: pixels}
    native.run(None, feeds)
    native_s = timed(lambda: native.run(None, feeds))
    graph = load_network(path)
    weights = {node.name: node.op.weight.values.nbytes for node in graph.nodes if hasattr(node.op, "weight")}
    cpu_s = (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / REPEATS
    return {
        "macs": sum(layer.op.macs for layer in compile_graph(fit_to_machine(graph, machine), machine).layers),
        "cycles": cycles,
        "pe_cycles_stepped": stepped,
        "simulation_s": simulation_s,
        "simulation_cpu_s": cpu_s,
        "estimate_s": estimate_s,
        "onnxruntime_s": native_s,
        "peak_mb": after.ru_maxrss / 1024,
        "weights_mb": sum(weights.values()) / 2**20,
        "largest_tensor_mb": max(tensor.size * tensor.bits / 8 for tensor in graph.tensors.values()) / 2**20,
    }


def timed(function) -> float:
    """Median wall seconds of ``REPEATS`` calls."""
    seconds = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def help_seconds() -> float:
    """Median wall seconds of `accel --help` in a new process."""
    command = [sys.executable, "-c", "from accel.cli import main; main()", "--help"]
    return timed(lambda: subprocess.run(command, check=True, capture_output=True))


def in_new_process(folder: Path, arch: str) -> dict[str, float]:
    """``measure_network``, with a memory peak of its own."""
    command = [sys.executable, __file__, "--one", str(folder), "--arch", arch]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def table(rows: dict[str, dict[str, float]], slower: dict[str, float], help_s: float) -> str:
    """The figures as Markdown."""
    lines = [
        f"Measured by `reports/speed/measure.py` on {ARCH}, {platform.machine()}, {_cores()} cores, "
        f"Python {platform.python_version()}, numba {version('numba')}, onnxruntime {version('onnxruntime')}; "
        f"medians of {REPEATS} runs in one process a network, kernels compiled before.",
        "",
        "| network | GMAC | M cycles | simulate s | CPU s | G PE-cycles stepped | G PE-cycles/s | "
        "estimate s | ORT int8, 1 thread, s | simulate / ORT | peak MB |",
        "|" + "---|" * 11,
    ]
    for name, row in rows.items():
        lines.append(
            f"| {name} | {row['macs'] / 1e9:.3f} | {row['cycles'] / 1e6:.3f} | {row['simulation_s']:.2f} | "
            f"{row['simulation_cpu_s']:.2f} | {row['pe_cycles_stepped'] / 1e9:.2f} | "
            f"{row['pe_cycles_stepped'] / row['simulation_s'] / 1e9:.2f} | {row['estimate_s']:.2f} | "
            f"{row['onnxruntime_s']:.4f} | {row['simulation_s'] / row['onnxruntime_s']:.0f} | {row['peak_mb']:.0f} |"
        )
    lines += [
        "",
        "*simulate* is everything: reading the ONNX file, mapping, the clock, all data through the array, "
        "requantization. PE-cycles per second are stepped PE-cycles over that whole time.",
        "",
        "Time grows with MACs; MobileNetV2 stands apart, as its depthwise layers are many small folds. Peak memory is "
        "the libraries (about 200 MB), the network's weights, in the file's layout and in the array's, and the tensors "
        f"alive at once. It does not depend on cycles: {SLOWER[0]} takes {slower['cycles'] / 1e6:.1f} M cycles on "
        f"{SLOWER[1]} instead of {rows[SLOWER[0]]['cycles'] / 1e6:.1f} M, and {slower['peak_mb']:.0f} MB instead of "
        f"{rows[SLOWER[0]]['peak_mb']:.0f} MB.",
        "",
        f"`accel --help`: {help_s:.2f} s.",
        "",
    ]
    return "\n".join(lines)


def draw(rows: dict[str, dict[str, float]], slower: dict[str, float], path: Path) -> None:
    """Time against MACs; memory against cycles, one network on two machines."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    gmacs = [row["macs"] / 1e9 for row in rows.values()]
    seconds = [row["simulation_s"] for row in rows.values()]
    left.plot(gmacs, seconds, "o", color="#0072B2")
    right.plot(
        [row["cycles"] / 1e6 for row in rows.values()], [row["peak_mb"] for row in rows.values()], "o", color="#D55E00"
    )
    for name, x, y in zip(rows, gmacs, seconds, strict=True):
        left.annotate(name, (x, y), xytext=(4, 4), textcoords="offset points", fontsize=8)
    for name, row in rows.items():
        right.annotate(
            name, (row["cycles"] / 1e6, row["peak_mb"]), xytext=(4, 4), textcoords="offset points", fontsize=8
        )
    same = [rows[SLOWER[0]], slower]
    right.plot([row["cycles"] / 1e6 for row in same], [row["peak_mb"] for row in same], ":", color="#D55E00")
    place = (slower["cycles"] / 1e6, slower["peak_mb"])
    right.plot(*place, "s", color="#D55E00")
    right.annotate(" on ".join(SLOWER), place, xytext=(0, -12), textcoords="offset points", fontsize=8, ha="right")
    left.set(xlabel="GMAC", ylabel="simulation, s", title="Time grows with the work", xlim=(0, None), ylim=(0, None))
    right.set(
        xlabel="simulated cycles, millions",
        ylabel="peak memory, MB",
        title="Memory follows the network, not the cycles",
        xlim=(0, None),
        ylim=(0, None),
    )
    figure.savefig(path, dpi=130)


def _cores() -> int:
    import os

    return os.cpu_count() or 1


def main() -> None:
    """Measure every network in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", type=Path, help="where the networks are, or are to be made")
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--arch", default=ARCH, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure_network(options.one, options.arch)))
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.networks or Path(scratch)
        rows = {}
        for name in NETWORKS:
            if not (folder / name / "int8.onnx").exists():
                from accel.networks import make

                print(f"making {name}", file=sys.stderr)
                make(name, folder / name)
            print(f"measuring {name}", file=sys.stderr)
            rows[name] = in_new_process(folder / name, ARCH)
        slower = in_new_process(folder / SLOWER[0], SLOWER[1])
    text = table(rows, slower, help_seconds())
    (HERE / "speed.json").write_text(json.dumps(rows | {" on ".join(SLOWER): slower}, indent=2) + "\n")
    (HERE / "speed.md").write_text("# Speed\n\n" + text)
    draw(rows, slower, HERE / "speed.png")
    print(text)


if __name__ == "__main__":
    main()
