"""What do fewer bits cost and bring? Run it anywhere: python reports/bits/measure.py [--images 8 --out FOLDER].

Quantizes digits-resnet8, which ships with its 360 images, to 8 bits and less, runs every network on machines of four
kinds, then with narrower accumulators and other requantizers, and writes bits.json, README.md and pareto.png beside
this file. Everything is simulated with data; a minute or two.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import page

import accel
from accel.api import Network, QuantizeOptions, cost_laws, quantize
from accel.arch.spec import Machine

HERE = Path(__file__).parent
NETWORK = "digits-resnet8"
CALIBRATION_IMAGES = 64
MACHINES = ("edge-32x32", "edge-32x32-int4", "edge-32x32-serial", "bit-fusion-16x32")
WIDTHS = {
    "W8A8": {"weights": 8, "activations": 8},
    "W6A6": {"weights": 6, "activations": 6},
    "W4A8": {"weights": 4, "activations": 8},
    "W4A4, ends 8": {"weights": 4, "activations": 4, "first_last": 8},
    "W4A4": {"weights": 4, "activations": 4},
    "W3A3, ends 8": {"weights": 3, "activations": 3, "first_last": 8},
    "W2A4, ends 8": {"weights": 2, "activations": 4, "first_last": 8},
    "W2A2, ends 8": {"weights": 2, "activations": 2, "first_last": 8},
    # One bit of a tensor of both signs needs a zero point between its two values.
    "W1A1, ends 8": {"weights": 1, "activations": 1, "first_last": 8, "ranges": "asymmetric"},
}
ACCUMULATORS = [(32, "wrap"), (18, "wrap"), (18, "saturate"), (16, "saturate")]
NARROWED = ("W8A8", "W4A4, ends 8")
REQUANTIZERS = {"float32_rne": "float32", "mantissa8_half_away": "float32", "shift_rne": "power_of_two"}
"""Unit: what scales the network is quantized with for it."""


@dataclass(frozen=True, slots=True)
class Point:
    """A network on a machine, all images."""

    network: str
    machine: str
    top1: float
    sqnr_db: float
    cycles: int
    energy_uj: float
    overflows: int
    bops: int
    aqt_linear: int


class Study:
    """Quantizes each network once, and simulates it wherever it is asked for."""

    def __init__(self, folder: Path, images: int | None) -> None:
        self.folder = folder
        self.gallery = accel.load_network(NETWORK)
        self.images, self.labels = self.gallery.images[:images], self.gallery.labels[:images]
        self.networks: dict[tuple[str, str], Network] = {}

    def network(self, name: str, scales: str = "float32") -> Network:
        if (name, scales) not in self.networks:
            out = self.folder / f"{len(self.networks)}.onnx"
            images = self.gallery.images[:CALIBRATION_IMAGES]
            options = QuantizeOptions(**({"ranges": "unsigned", "scales": scales} | WIDTHS[name]))
            quantize(NETWORK, out, images, options)
            self.networks[name, scales] = accel.load_network(out)
        return self.networks[name, scales]

    def point(self, name: str, machine: Machine, scales: str = "float32") -> Point:
        print(f"{name} on {machine.name}, {machine.vector.requantizer}", file=sys.stderr)
        network = self.network(name, scales)
        result = accel.simulate(
            network,
            machine,
            inputs=self.images,
            labels=self.labels,
            float_model=self.gallery.float_path,
        ).result
        (logits,) = [layer for layer in result.layers if layer.name == result.layers[-1].name]
        laws = cost_laws(network).costs
        return Point(
            network=name,
            machine=machine.name,
            top1=result.accuracy.integer_top1,
            sqnr_db=logits.error.sqnr_db,
            cycles=result.latency_cycles,
            energy_uj=result.energy_pj / 1e6,
            overflows=sum(layer.accumulator.overflows for layer in result.layers if layer.accumulator),
            bops=laws.bops,
            aqt_linear=laws.aqt_linear,
        )


def with_accumulators(machine: Machine, bits: int, overflow: str) -> Machine:
    widths = {"accumulator_bits": bits, "partial_sum_bits": bits, "overflow": overflow}
    return machine.model_copy(update={"pe": machine.pe.model_copy(update=widths)})


def with_requantizer(machine: Machine, name: str) -> Machine:
    return machine.model_copy(update={"vector": machine.vector.model_copy(update={"requantizer": name})})


def main() -> None:
    """Quantize, simulate, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, help="run only the first so many (to try the script; then give --out)")
    parser.add_argument("--out", type=Path, default=HERE, help="the folder to write to")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        study = Study(Path(folder), options.images)
        edge = accel.load_arch("edge-32x32")
        machines = [accel.load_arch(name) for name in MACHINES]
        record = {
            "network": NETWORK,
            "images": len(study.images),
            "calibration_images": CALIBRATION_IMAGES,
            "widths": [asdict(study.point(name, machine)) for name in WIDTHS for machine in machines],
            "accumulators": [
                {"accumulator": f"{bits} bits, {overflow}"} | asdict(study.point(name, with_accumulators(edge, *how)))
                for name in NARROWED
                for how in ACCUMULATORS
                for bits, overflow in [how]
            ],
            "requantizers": [
                {"requantizer": unit} | asdict(study.point(name, with_requantizer(edge, unit), scales))
                for name in NARROWED
                for unit, scales in REQUANTIZERS.items()
            ],
        }
    (options.out / "bits.json").write_text(json.dumps(record, indent=2) + "\n")
    (options.out / "README.md").write_text(page.text(record))
    page.draw(record, options.out / "pareto.png")
    print(options.out / "README.md")


if __name__ == "__main__":
    main()
