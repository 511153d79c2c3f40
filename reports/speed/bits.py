"""Do fewer bits slow a simulation down? How long does quantizing take? python reports/speed/bits.py [--networks FOLDER]

Quantizes ResNet-18 to 4 bits, 8 at both ends, on seeded random images; times it and the 8-bit network turn by turn in
one process, on machines that take them; times the quantizer on ResNet-50. Writes bits.json and bits.md beside this
file. Networks are made, or taken from FOLDER, as `accel networks make NAME --out FOLDER/NAME` leaves them.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent
REPEATS = 7
IMAGES = 8
"""For calibration."""
PAIRS = (
    ("4 bits", "edge-32x32", "8 bits", "edge-32x32"),
    ("4 bits", "edge-32x32-int4", "8 bits", "edge-32x32"),
    ("4 bits", "edge-32x32-int4", "8 bits", "edge-32x32-int4"),
)
LIMIT_S = 60
"""To quantize ResNet-50 within."""


def network(folder: Path, name: str) -> Path:
    """The folder of a network of the gallery; made if it is not there."""
    if not (folder / name / "int8.onnx").exists():
        from accel.networks import make

        print(f"making {name}", file=sys.stderr)
        make(name, folder / name)
    return folder / name


def quantized(float_path: Path, out: Path, **bits: int) -> tuple[float, float]:
    """Quantize a network; wall and CPU seconds."""
    import numpy as np

    from accel.api import QuantizeOptions, quantize

    images = np.random.default_rng(0).standard_normal((IMAGES, 3, 224, 224), np.float32)
    print(f"quantizing {float_path.parent.name}", file=sys.stderr)
    wall, cpu = time.perf_counter(), time.process_time()
    quantize(float_path, out, images, QuantizeOptions(**bits), overwrite=True)
    return time.perf_counter() - wall, time.process_time() - cpu


def simulation(path: Path, arch: str):
    """A function that simulates one image, all data through the array; and the G PE-cycles that takes."""
    import numpy as np

    from accel.arch.load import load_arch
    from accel.compile import compile_graph, fit_to_machine
    from accel.graph.onnx import load_network
    from accel.graph.rebase import from_file
    from accel.sim.simulate import Simulator

    machine = load_arch(arch)
    graph = fit_to_machine(load_network(path), machine)
    source = graph.tensors[graph.inputs[0]]
    pixels = np.random.default_rng(1).standard_normal(source.shape, np.float32)
    if source.qtype is not None:
        pixels = np.clip(np.rint(40 * pixels), source.qtype.min, source.qtype.max).astype(source.qtype.dtype)
    pixels = from_file(source, pixels)
    program = compile_graph(graph, machine)

    def run() -> float:
        return Simulator(program, machine).run({source.name: pixels}).pe_cycles_stepped / 1e9

    return run, run()


def in_turn(first, second) -> list[tuple[float, float, float, float]]:
    """Wall and CPU seconds of the first and the second, one after the other, several times."""
    rows = []
    for _ in range(REPEATS):
        times = []
        for function in (first, second):
            wall, cpu = time.perf_counter(), time.process_time()
            function()
            times += [time.perf_counter() - wall, time.process_time() - cpu]
        rows.append(tuple(times))
    return rows


def measure(folder: Path, scratch: Path) -> dict[str, object]:
    """All figures."""
    resnet18, resnet50 = network(folder, "resnet18"), network(folder, "resnet50")
    files = {"8 bits": resnet18 / "int8.onnx", "4 bits": scratch / "w4a4.onnx"}
    quantized(resnet18 / "float.onnx", files["4 bits"], weights=4, activations=4, first_last=8)
    pairs = []
    for narrow, narrow_arch, wide, wide_arch in PAIRS:
        print(f"{narrow} on {narrow_arch} against {wide} on {wide_arch}", file=sys.stderr)
        (first, first_work), (second, second_work) = (
            simulation(files[bits], arch) for bits, arch in ((narrow, narrow_arch), (wide, wide_arch))
        )
        times = in_turn(first, second)
        pairs.append(
            {
                "first": [narrow, narrow_arch],
                "second": [wide, wide_arch],
                "wall_ratios": [row[0] / row[2] for row in times],
                "cpu_ratios": [row[1] / row[3] for row in times],
                "pe_cycles_stepped_ratio": first_work / second_work,
            }
        )
    wall, cpu = quantized(resnet50 / "float.onnx", scratch / "resnet50.onnx", weights=8, activations=8)
    quantizing = {"resnet50_quantize_s": wall, "resnet50_quantize_cpu_s": cpu, "images": IMAGES}
    return {"pairs": pairs, "cores": _cores()} | quantizing


def page(figures: dict) -> str:
    """The figures as Markdown."""
    lines = [
        f"Measured by `reports/speed/bits.py` on {platform.machine()}, {figures['cores']} cores, Python "
        f"{platform.python_version()}: ResNet-18 with 4 bits, 8 at both ends, against 8 bits, one image, all data "
        f"through the array; {REPEATS} turns each in one process. A ratio above 1: the 4-bit network takes longer. "
        "Wall times scatter where other work runs, CPU times less.",
        "",
        "| 4 bits on | 8 bits on | time, median (least to largest) | CPU time, median | PE-cycles stepped |",
        "|" + "---|" * 5,
    ]
    for pair in figures["pairs"]:
        wall, cpu = pair["wall_ratios"], pair["cpu_ratios"]
        lines.append(
            f"| {pair['first'][1]} | {pair['second'][1]} | {statistics.median(wall):.2f} ({min(wall):.2f} to "
            f"{max(wall):.2f}) | {statistics.median(cpu):.2f} | {pair['pe_cycles_stepped_ratio']:.2f} |"
        )
    wall, cpu = (figures[f"resnet50_quantize_{kind}"] / LIMIT_S for kind in ("s", "cpu_s"))
    lines += [
        "",
        "On `edge-32x32-int4` layers of 8 bits run in four passes: the two at the ends of the 4-bit network, and all "
        "of the 8-bit one. That is why its array has more to step than the 8-bit network's on 8 x 8 multipliers.",
        "",
        f"Quantizing ResNet-50 with {figures['images']} calibration images took {wall:.0%} of a minute, {cpu:.0%} of a "
        "minute of CPU time.",
        "",
    ]
    return "\n".join(lines)


def _cores() -> int:
    import os

    return os.cpu_count() or 1


def main() -> None:
    """Measure, and write both files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", type=Path, help="where the networks are, or are to be made")
    parser.add_argument("--out", type=Path, default=HERE, help="where the page goes")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        figures = measure(options.networks or Path(scratch), Path(scratch))
    (options.out / "bits.json").write_text(json.dumps(figures, indent=2) + "\n")
    (options.out / "bits.md").write_text(page(figures))


if __name__ == "__main__":
    main()
