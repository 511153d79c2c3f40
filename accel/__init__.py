"""accel: hardware/software co-design simulator for integer neural-network accelerators.

>>> import accel
>>> arch = accel.load_arch("edge-32x32")
>>> network = accel.load_network("digits-resnet8")
>>> result = accel.simulate(network, arch)
>>> print(result.latency_cycles, result.to_json())  # doctest: +SKIP
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from accel.errors import AccelError
from accel.version import __version__

if TYPE_CHECKING:
    from accel.api import (
        LayerBits,
        Network,
        QuantizeOptions,
        Waves,
        Widths,
        accumulators,
        allocate,
        bottleneck,
        cost_laws,
        emit_rtl,
        estimate,
        load_arch,
        load_network,
        quantize,
        search_mapping,
        sensitivity,
        simulate,
        synthesize,
        verify,
    )
    from accel.result import Result

__all__ = [
    "AccelError",
    "LayerBits",
    "Network",
    "QuantizeOptions",
    "Result",
    "Waves",
    "Widths",
    "__version__",
    "accumulators",
    "allocate",
    "bottleneck",
    "cost_laws",
    "emit_rtl",
    "estimate",
    "load_arch",
    "load_network",
    "quantize",
    "search_mapping",
    "sensitivity",
    "simulate",
    "synthesize",
    "verify",
]


def __getattr__(name: str) -> Any:
    """Import the public face on first use: numba, onnx and pydantic are slow to load."""
    if name == "Result":
        return importlib.import_module("accel.result").Result
    if name in __all__:
        return getattr(importlib.import_module("accel.api"), name)
    raise AttributeError(f"module 'accel' has no attribute {name!r}")
