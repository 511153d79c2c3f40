"""A whole ResNet-18 on the RTL: does it agree, and how long does it take?

Run it anywhere: python reports/rtl/measure.py [--networks FOLDER]. Makes the network (or takes FOLDER/resnet18, as
`accel networks make resnet18 --out FOLDER/resnet18` leaves it), compiles the machine's RTL into an empty cache, replays
every layer of the network on it beside the simulator, and writes rtl.json and README.md beside this file. Times are
those of one run of this script on one machine; compare the ratios.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent
ARCH = "edge-32x32"
NETWORK = "resnet18"
REPEATS = 5
ACCEL = (sys.executable, "-c", "from accel.cli import main; main()")


def measure(folder: Path) -> dict[str, object]:
    """Everything but the command line's own time, in this process."""
    import numpy as np

    from accel.arch.load import load_arch
    from accel.compile import compile_graph, fit_to_machine
    from accel.graph.onnx import load_network
    from accel.graph.rebase import from_file
    from accel.mapping.select import array_layers
    from accel.rtl.toolchain import find_compiler, find_verilator
    from accel.rtl.witness import compile_hardware, witness
    from accel.sim.simulate import Simulator

    def quiet(*_: object) -> None:
        pass

    machine = load_arch(ARCH)
    graph = fit_to_machine(load_network(folder / "int8.onnx"), machine)
    program = compile_graph(graph, machine)
    layers = array_layers(program)
    inputs = {graph.inputs[0]: from_file(graph.tensors[graph.inputs[0]], np.load(folder / "input.npy"))}

    begin = time.perf_counter()
    hardware = compile_hardware(program, machine, layers, quiet)
    compile_s = time.perf_counter() - begin

    simulator = Simulator(program, machine)
    simulator.run(inputs)  # compiles the kernels, or loads them from the cache
    cpu_s, wall_s = [], []
    for _ in range(REPEATS):
        before, begin = cpu(resource.RUSAGE_SELF), time.perf_counter()
        simulator.run(inputs)
        wall_s.append(time.perf_counter() - begin)
        cpu_s.append(cpu(resource.RUSAGE_SELF) - before)

    before, begin = cpu(resource.RUSAGE_CHILDREN), time.perf_counter()
    checks = witness(program, simulator, hardware, inputs, layers, quiet)
    replay_s = time.perf_counter() - begin
    replay_cpu_s = cpu(resource.RUSAGE_CHILDREN) - before
    return {
        "verilator": find_verilator().version,
        "compiler": find_compiler().version,
        "pe_count": machine.array.rows * machine.array.columns,
        "compile_s": compile_s,
        "replay_s": replay_s,
        "replay_cpu_s": replay_cpu_s,
        "simulation_s": statistics.median(wall_s),
        "simulation_cpu_s": statistics.median(cpu_s),
        "layers": [
            {
                "layer": check.layer,
                "folds": check.folds,
                "sums": check.sums.elements,
                "integers": 0 if check.integers is None else check.integers.elements,
                "stamps": check.stamps.elements,
                "cycles": check.rtl_cycles,
                "passed": check.passed,
                "difference": check.difference,
            }
            for check in checks
        ],
    }


def cpu(who: int) -> float:
    """CPU seconds so far."""
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime


def in_new_process(command: list[str], cache: Path) -> tuple[str, float]:
    """What a command prints, and its wall seconds, with an RTL cache of its own."""
    begin = time.perf_counter()
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache)}
    run = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return run.stdout, time.perf_counter() - begin


def page(row: dict, verify_s: float) -> str:
    """The figures as Markdown."""
    layers = row["layers"]
    total = {key: sum(layer[key] for layer in layers) for key in ("folds", "sums", "integers", "stamps", "cycles")}
    pe_cycles = total["cycles"] * row["pe_count"]
    ratio = row["replay_cpu_s"] / row["simulation_cpu_s"]
    agree = "agree" if all(layer["passed"] for layer in layers) else "**DO NOT AGREE**"
    lines = [
        f"# {NETWORK} on the RTL of {ARCH}",
        "",
        f"Measured by `reports/rtl/measure.py` on {platform.machine()}, {os.cpu_count()} cores, {row['verilator']}, "
        f"{row['compiler']}.",
        "",
        f"RTL and simulator {agree}: {total['sums']:,} accumulator values, {total['integers']:,} requantized integers, "
        f"{total['stamps']:,} cycle stamps of {total['folds']:,} folds, overflows and totals, in {len(layers)} layers.",
        "",
        "| | seconds | CPU seconds | PE-cycles a CPU second |",
        "|---|---|---|---|",
        f"| compile the RTL (once for each machine) | {row['compile_s']:.1f} | | |",
        f"| replay all layers on the RTL | {row['replay_s']:.1f} | {row['replay_cpu_s']:.1f} | "
        f"{pe_cycles / row['replay_cpu_s']:.2e} |",
        f"| simulate the whole network (median of {REPEATS}) | {row['simulation_s']:.2f} | "
        f"{row['simulation_cpu_s']:.2f} | {pe_cycles / row['simulation_cpu_s']:.2e} |",
        f"| `accel verify {NETWORK} --arch {ARCH} --rtl`, nothing compiled before | {verify_s:.1f} | | |",
        "",
        f"The simulator is {ratio:.0f} times as fast a core, and its time includes what the replay's does not: loads, "
        "pooling, residual additions, requantization. PE-cycles are the array's, waits for data included: "
        f"{total['cycles']:,} cycles of {row['pe_count']:,} PEs.",
        "",
        "| layer | folds | sums | integers | cycles | |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {layer['layer']} | {layer['folds']:,} | {layer['sums']:,} | {layer['integers']:,} | {layer['cycles']:,} | "
        f"{'equal' if layer['passed'] else layer['difference']} |"
        for layer in layers
    ]
    return "\n".join([*lines, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", type=Path, help="where resnet18/ is; otherwise it is made")
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.one)))
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = (options.networks or Path(scratch)) / NETWORK
        if not folder.exists():
            subprocess.run([*ACCEL, "networks", "make", NETWORK, "--out", str(folder)], check=True)
        printed, _ = in_new_process([sys.executable, __file__, "--one", str(folder)], Path(scratch, "cache"))
        row = json.loads(printed)
        command = [*ACCEL, "verify", str(folder / "int8.onnx"), "--arch", ARCH, "--rtl"]
        _, verify_s = in_new_process([*command, "--input", str(folder / "input.npy")], Path(scratch, "another"))
    (HERE / "rtl.json").write_text(json.dumps({**row, "verify_s": verify_s}, indent=1) + "\n")
    text = page(row, verify_s)
    (HERE / "README.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
