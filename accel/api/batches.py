"""Several batches through one program, and what they add up to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from accel.api.progress import Progress
from accel.errors import AccelError
from accel.graph.float_reference import FloatNetwork
from accel.graph.ir import Graph
from accel.graph.rebase import from_file, to_file
from accel.numerics.elementwise import dequantize
from accel.numerics.error import ErrorSums
from accel.records import Observations
from accel.result import AccumulatorUse, Accuracy
from accel.sim.memory import Observer
from accel.sim.simulate import Simulated, Simulator

Array = npt.NDArray[Any]


@dataclass
class Batches:
    """Batches through one program, and what they leave behind."""

    graph: Graph
    simulator: Simulator
    float_network: FloatNetwork | None
    runs: list[Simulated] = field(default_factory=list)
    errors: dict[str, ErrorSums] = field(default_factory=dict)
    float_outputs: list[Array] = field(default_factory=list)

    def run(self, batch: Array, activity: bool, progress: Progress | None, observer: Observer | None) -> None:
        """Simulate one batch, and compare each tensor with the float network's as soon as it is stored."""
        name = self.graph.inputs[0]
        inputs = {name: from_file(self.graph.tensors[name], batch)}
        reals = {} if self.float_network is None else self._reals(self.float_network, inputs[name])
        if self.graph.outputs[0] in reals:
            self.float_outputs.append(reals[self.graph.outputs[0]])

        def compare(tensor: str, values: Array) -> None:
            if tensor in reals:
                made = self.graph.tensors[tensor]
                encoding = None if made.qtype is None else made.encoding
                self.errors.setdefault(tensor, ErrorSums()).add(values, encoding, reals[tensor])

        run = self.simulator.run(inputs, activity=activity, on_tensor=compare, progress=progress, observer=observer)
        self.runs.append(run)

    def _reals(self, network: FloatNetwork, batch: Array) -> dict[str, Array]:
        """What the float network makes of the batch, by the names of this network's tensors."""
        source = self.graph.tensors[self.graph.inputs[0]]
        reals = network.tensors(batch if source.qtype is None else dequantize(batch, source.encoding))
        for name, values in reals.items():
            if values.size != self.graph.tensors[name].size:
                found, wanted = ("x".join(map(str, shape)) for shape in (values.shape, self.graph.tensors[name].shape))
                raise AccelError(
                    f"{name} is {found} there and {wanted} in the integer network",
                    network.path,
                    "give the float network that the integer one was made from",
                )
        return reals

    def outputs(self) -> dict[str, Array]:
        """The network's outputs as the file has them, batches joined."""
        return {
            name: np.concatenate([to_file(self.graph.tensors[name], run.tensors[name]) for run in self.runs])
            for name in self.graph.outputs
        }

    def observations(self, truth: npt.NDArray[np.int64] | None) -> Observations:
        """What the data showed, over all batches."""
        uses: dict[int, AccumulatorUse] = {}
        for run in self.runs:
            for position, use in run.accumulators.items():
                uses[position] = use if position not in uses else uses[position].merged(use)
        outputs = self.outputs()
        return Observations(
            accumulators=uses,
            activity=self.runs[0].activity,
            errors={name: sums.error() for name, sums in self.errors.items()},
            outputs=outputs,
            accuracy=None if truth is None else self._accuracy(outputs[self.graph.outputs[0]], truth),
        )

    def _accuracy(self, logits: Array, truth: npt.NDArray[np.int64]) -> Accuracy:
        chosen = logits.reshape(len(truth), -1).argmax(axis=1)
        if not self.float_outputs:
            return Accuracy(len(truth), None, float((chosen == truth).mean()), None)
        wanted = np.concatenate(self.float_outputs).reshape(len(truth), -1).argmax(axis=1)
        return Accuracy(
            images=len(truth),
            float_top1=float((wanted == truth).mean()),
            integer_top1=float((chosen == truth).mean()),
            agreement=float((chosen == wanted).mean()),
        )
