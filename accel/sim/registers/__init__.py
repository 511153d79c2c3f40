"""The array's registers, every one of them in every cycle, for waveforms; ``accel.sim.array`` is the fast way."""

from accel.sim.registers.families import Family
from accel.sim.registers.grid import Measures, Values
from accel.sim.registers.schedule import FoldPlan
from accel.sim.registers.stepped import FoldOperands, SteppedLayer

__all__ = ["Family", "FoldOperands", "FoldPlan", "Measures", "SteppedLayer", "Values"]
