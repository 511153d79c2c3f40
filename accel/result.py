"""What a run leaves behind: plain frozen records, JSON in and out.

Every quantity carries its unit in its name. ``None`` means "not asked for" (an estimate moves no data and so
has no error, no overflow count and no activity), never "zero".
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, cast

from accel.plain import build, finite


@dataclass(frozen=True, slots=True)
class Cycles:
    """Where a layer's cycles went; the causes are disjoint, and their sum is the layer's latency.

    ``compute`` streams operands through the array; ``fill_drain`` waits for the first or last wave, for the
    stationary operand to travel in or results to shift out; the stalls name what the layer waited for: weights,
    activations, or room for and storing of outputs; ``vector`` is vector-unit work not hidden behind the array.
    """

    compute: int = 0
    fill_drain: int = 0
    stall_weights: int = 0
    stall_activations: int = 0
    stall_outputs: int = 0
    vector: int = 0

    @property
    def total(self) -> int:
        """Latency in cycles."""
        return sum(dataclasses.astuple(self))


@dataclass(frozen=True, slots=True)
class CriticalPath:
    """A layer's cycles once more, along the chain of what its end waited for: to end sooner, this must be quicker.

    Where DRAM and array work side by side, ``Cycles`` names the array, and this the one that was waited for.
    """

    compute: int = 0
    """Streaming operands through the array."""
    fill_drain: int = 0
    """First and last waves, operands that travel in before they stay, results that shift out."""
    vector: int = 0
    bandwidth: int = 0
    """The DRAM moved data at its peak, or a device's pins were busy most of the time."""
    latency: int = 0
    """All data had been asked for and were on their way, or the DRAM waited: for rows, or for requests, of which there
    may be too few in flight (``dram.outstanding``)."""
    width: int = 0
    """A buffer's port was narrower than what came or went."""


@dataclass(frozen=True, slots=True)
class UnitCycles:
    """Cycles in which each unit was at work, whichever layer it worked for."""

    array: int = 0
    """Streaming operands, with the gaps between the folds of a tile."""
    vector: int = 0
    dma: int = 0
    """Asking for data and moving them; not waiting for the last ones."""


@dataclass(frozen=True, slots=True)
class Actions:
    """What the hardware did, counted; the cost model multiplies these by energies."""

    macs: int = 0
    """Multiply-accumulates of real operands (zero operands included, padding of the array not)."""
    multiplier_operations: int = 0
    """What multipliers are made of at work: products of a parallel one, cycles of a bit-serial one, bricks of a
    composable one."""
    product_adds: int = 0
    """Additions of products to each other, before they join a PE's sum."""
    sum_adds: int = 0
    """Additions to a PE's sum."""
    accumulator_adds: int = 0
    """Fold sums added to what the accumulator buffer already holds."""
    operand_register_bits: int = 0
    """Bits written to operand registers: moving operands through all columns, stationary ones through all rows."""
    product_register_bits: int = 0
    """Bits written to pipeline registers behind the multipliers."""
    sum_register_bits: int = 0
    """Bits written to partial-sum or result registers, the way through unused rows and shift-out included."""
    weight_buffer_read_bytes: int = 0
    weight_buffer_write_bytes: int = 0
    activation_buffer_read_bytes: int = 0
    activation_buffer_write_bytes: int = 0
    accumulator_buffer_read_bytes: int = 0
    accumulator_buffer_write_bytes: int = 0
    dram_read_bytes: int = 0
    """Whole bursts."""
    dram_write_bytes: int = 0
    dram_activates: int = 0
    """Rows opened in a DRAM device with banks and rows; each is closed again."""
    dram_row_hits: int = 0
    """Bursts that found their row open."""
    dram_refreshes: int = 0
    """Refreshes of a channel."""
    vector_requantize: int = 0
    """Elements multiplied by a scale, rounded and clamped."""
    vector_add: int = 0
    """Integer additions in the vector unit: bias, residual, pooling sums."""
    vector_scaled_add: int = 0
    """Sums of two activations of different scales, by an adder in integers; in float32 they are two requantizations
    and an addition."""
    vector_compare: int = 0
    """Comparisons in the vector unit: max pooling, clamps that are not part of a requantization."""


@dataclass(frozen=True, slots=True)
class BufferBytes:
    """So many bytes of each buffer."""

    weight: int = 0
    activation: int = 0
    accumulator: int = 0


@dataclass(frozen=True, slots=True)
class Energy:
    """Energy by component, in picojoules."""

    mac_pj: float = 0.0
    registers_pj: float = 0.0
    weight_buffer_pj: float = 0.0
    activation_buffer_pj: float = 0.0
    accumulator_buffer_pj: float = 0.0
    dram_pj: float = 0.0
    vector_pj: float = 0.0
    leakage_pj: float = 0.0

    @property
    def total_pj(self) -> float:
        """The sum of the components."""
        return float(sum(dataclasses.astuple(self)))


@dataclass(frozen=True, slots=True)
class Activity:
    """Bits that toggled in the array's registers, seen in the data; and the energy that follows from them."""

    operand_bits: int
    product_bits: int
    sum_bits: int
    operand_bits_possible: int
    """Register bits clocked while they held a live value: what would toggle if every bit flipped every time."""
    product_bits_possible: int
    sum_bits_possible: int
    energy: Energy | None = None

    def __add__(self, other: Activity) -> Activity:
        """Both together; the energy is another matter."""
        return Activity(
            self.operand_bits + other.operand_bits,
            self.product_bits + other.product_bits,
            self.sum_bits + other.sum_bits,
            self.operand_bits_possible + other.operand_bits_possible,
            self.product_bits_possible + other.product_bits_possible,
            self.sum_bits_possible + other.sum_bits_possible,
        )


@dataclass(frozen=True, slots=True)
class AccumulatorUse:
    """How wide a layer's sums really were."""

    bits_used: int
    """Signed bits that hold every final sum (bias included) seen in this run."""
    bits_safe: int
    """Signed bits that can never overflow for these weights, whatever the input."""
    overflows: int
    """Additions that wrapped or saturated."""

    def merged(self, other: AccumulatorUse) -> AccumulatorUse:
        """Over two runs of the same layer."""
        return AccumulatorUse(max(self.bits_used, other.bits_used), self.bits_safe, self.overflows + other.overflows)


@dataclass(frozen=True, slots=True)
class NumericError:
    """Difference to the float network at a layer's output; LSB = one step of the output's scale."""

    sqnr_db: float
    cosine: float
    max_lsb: float
    mean_lsb: float


@dataclass(frozen=True, slots=True)
class LayerResult:
    """One layer on one machine."""

    name: str
    op: str
    """conv, depthwise, linear, add, max_pool, ... as the graph names it."""
    unit: str
    """``array``, ``vector`` or ``view`` (a reshape: no data moves)."""
    shape: str
    """The output's shape, readable: ``1x64x56x56``."""
    mapping: str
    """One line: dataflow, tile, loop order; empty for views."""
    macs: int
    cycles: Cycles
    utilization: float
    """Cycles in which PEs are busy / (PEs x latency in cycles); a PE that makes one product a cycle is for each MAC."""
    actions: Actions
    energy: Energy
    peak: BufferBytes = BufferBytes()
    """The most of each buffer that was taken at a time, while the layer ran."""
    critical: CriticalPath = CriticalPath()
    busy: UnitCycles = UnitCycles()
    """What each unit did while the layer ran: next layers' weights are fetched ahead."""
    accumulator: AccumulatorUse | None = None
    activity: Activity | None = None
    error: NumericError | None = None


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Top-1 over labelled inputs, as fractions."""

    images: int
    float_top1: float | None
    integer_top1: float
    agreement: float | None
    """How often the integer and the float network name the same class."""


@dataclass(frozen=True, slots=True)
class Area:
    """Silicon area by component, in square millimetres."""

    array_mm2: float
    weight_buffer_mm2: float
    activation_buffer_mm2: float
    accumulator_buffer_mm2: float
    vector_mm2: float

    @property
    def total_mm2(self) -> float:
        """The sum of the components."""
        return float(sum(dataclasses.astuple(self)))


@dataclass(frozen=True, slots=True)
class Result:
    """A network on a machine, layer by layer."""

    network: str
    machine: str
    kind: str
    """``estimate`` (no tensor data) or ``simulation``."""
    batch: int
    clock_hz: float
    pe_count: int
    macs_per_cycle: float
    """That all PEs together make of the operands, among the layers', of which they make most."""
    dram_bytes_per_cycle: float
    """Peak."""
    dram_sustained_bytes_per_cycle: float
    """What its outstanding requests keep up, at most the peak."""
    buffers: BufferBytes
    """Capacity."""
    layers: tuple[LayerResult, ...]
    area: Area | None = None
    accuracy: Accuracy | None = None
    occupancy: dict[str, tuple[tuple[int, int], ...]] = field(default_factory=dict)
    """By buffer: (cycle, bytes taken from then on), cycles rising."""
    turns: tuple[tuple[int, int], ...] = ()
    """(end, in cycles; layer, counted from 0) of each stretch of time, where layers take turns; empty where none do."""
    output_sha256: dict[str, str] = field(default_factory=dict)
    """Output tensor name -> hash of its integers (C order, little endian)."""
    accel_version: str = ""

    @property
    def latency_cycles(self) -> int:
        """Cycles from the first load to the last store."""
        return sum(layer.cycles.total for layer in self.layers)

    @property
    def stretches(self) -> tuple[tuple[int, int], ...]:
        """(end, layer) as in ``turns``, of any result: each layer once where none take turns."""
        ends = accumulate(layer.cycles.total for layer in self.layers)
        return self.turns or tuple((end, layer) for layer, end in enumerate(ends) if self.layers[layer].cycles.total)

    @property
    def latency_ms(self) -> float:
        """Latency in milliseconds."""
        return self.latency_cycles / self.clock_hz * 1e3

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the whole batch."""
        return sum(layer.macs for layer in self.layers)

    @property
    def energy_pj(self) -> float:
        """Energy of the whole batch."""
        return sum(layer.energy.total_pj for layer in self.layers)

    @property
    def utilization(self) -> float:
        """That of the layers, by their share of the latency."""
        busy_cycles = sum(layer.utilization * layer.cycles.total for layer in self.layers)
        return busy_cycles / self.latency_cycles if self.latency_cycles else 0.0

    @property
    def average_power_w(self) -> float:
        """Energy / latency."""
        return self.energy_pj * 1e-12 / (self.latency_ms * 1e-3) if self.latency_cycles else 0.0

    @property
    def tops(self) -> float:
        """Tera-operations per second, a MAC being two operations."""
        return 2 * self.macs / (self.latency_ms * 1e-3) / 1e12 if self.latency_cycles else 0.0

    @property
    def tops_per_w(self) -> float:
        """Tera-operations per joule."""
        return 2 * self.macs / self.energy_pj if self.energy_pj else 0.0

    @property
    def frames_per_second(self) -> float:
        """Images per second at this batch size."""
        return self.batch / (self.latency_ms * 1e-3) if self.latency_cycles else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Fields and derived totals, as plain types."""
        data = dataclasses.asdict(self)
        data["totals"] = {name: getattr(self, name) for name in _TOTALS}
        return data

    def to_json(self, indent: int | None = 2) -> str:
        """The record as JSON; ``Result.from_json`` reads it back. Infinities are strings: JSON has no word for them."""
        return json.dumps(finite(self.to_dict()), indent=indent, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Result:
        """Read what ``to_json`` wrote; the totals are derived again."""
        data = json.loads(text)
        data.pop("totals", None)
        return cast(Result, build(cls, data))


_TOTALS = (
    "latency_cycles",
    "latency_ms",
    "macs",
    "energy_pj",
    "utilization",
    "average_power_w",
    "tops",
    "tops_per_w",
    "frames_per_second",
)
