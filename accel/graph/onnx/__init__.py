"""Networks from ONNX files as onnxruntime's quantizer writes them (QOperator and QDQ).

The import goes in three steps: ``file`` reads and validates, ``source`` orders the nodes and folds constants, and
``convert`` writes one graph node for each ONNX node, float islands between DequantizeLinear and QuantizeLinear
included. ``accel.graph.passes`` then turns the islands into integer operations.
"""

from accel.graph.onnx.load import load_network

__all__ = ["load_network"]
