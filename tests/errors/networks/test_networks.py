"""One bad network for each message, with its exact text. ``NET`` stands for the file's path."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from accel.errors import AccelError
from accel.graph.onnx import load_network
from accel.graph.onnx.convert import SUPPORTED
from accel.graph.onnx.qonnx import DOMAINS
from tests.graph.models import INT8, MICROSOFT, Model

QONNX = DOMAINS[0]

ISLAND = "float operations need quantized inputs and a result that only QuantizeLinear reads, or that is an output"
SYMMETRIC = 'quantize with weight_type=QuantType.QInt8, extra_options={"WeightSymmetric": True}'
WIDTHS = "int2, int4, int8, int16 and their unsigned forms are supported"
MERGED = (
    "run python -m onnxruntime.quantization.preprocess on the float network before quantizing it, "
    "which merges BatchNormalization and Pad into convolutions"
)
PREPROCESS = (
    "run python -m onnxruntime.quantization.preprocess on the float network before quantizing it, "
    "which merges constants into the layers before them"
)


def small(**changes: object) -> onnx.ModelProto:
    """x -> Quantize -> QLinearConv -> Dequantize -> y, with one thing changed."""
    model = Model()
    shape = changes.get("shape", (1, 3, 8, 8))
    x = model.input("x", shape, np.float32)
    scale = changes.get("scale", np.float32(0.5))
    encoding = [model.constant(scale, name="x_scale"), model.constant(np.int8(0), name="x_zero")]
    weights = changes.get("weights", np.ones((4, 3, 3, 3), np.int8))
    zero = changes.get("weight_zero", np.zeros((), weights.dtype))
    kernel = [
        model.constant(weights, name="w"),
        model.constant(changes.get("weight_scale", np.float32(0.1)), name="w_scale"),
        model.constant(zero, name="w_zero"),
    ]
    q = model.node("QuantizeLinear", [x, *encoding], "x_q", name="quantize")
    out = model.encoding(1.0, 0, np.int8)
    extra = [model.constant(changes["bias"], name="b")] if "bias" in changes else []
    model.node("QLinearConv", [q, *encoding, *kernel, *out, *extra], "c", name="conv", **changes.get("conv", {}))
    model.node("DequantizeLinear", ["c", *out], "y", name="dequantize")
    return model.proto("y")


def between(
    op_types: list[tuple[str, list[str], str]],
    dtype: np.dtype = INT8,
    opset: int = 17,
    constants: str = "",
    **attributes: object,
) -> onnx.ModelProto:
    """Float nodes between DequantizeLinear and QuantizeLinear; the first has the attributes."""
    model = Model(opset=opset)
    encoding = model.encoding(0.5, 0, dtype)
    model.node("DequantizeLinear", [model.input("x", (1, 4, 6, 6), dtype), *encoding], "real", name="dequantize")
    for name in constants:
        model.constant(np.ones(4), np.float32, name)
    for op_type, inputs, output in op_types:
        model.node(op_type, inputs, output, name=output, **attributes)
        attributes = {}
    model.node("QuantizeLinear", [op_types[-1][2], *encoding], "y", name="quantize")
    return model.proto("y")


def product(left: str, right: str) -> onnx.ModelProto:
    model = Model()
    encoding = model.encoding(0.5, 0, INT8)
    for name in ("a", "b"):
        model.node("DequantizeLinear", [model.input(name, (4, 4), INT8), *encoding], f"{name}_real", name=f"{name}_dq")
    model.constant(np.eye(4), np.float32, "floats")
    model.node("MatMul", [left, right], "p", name="product")
    model.node("QuantizeLinear", ["p", *encoding], "y", name="quantize")
    return model.proto("y")


def float_network() -> onnx.ModelProto:
    model = Model()
    weight = model.constant(np.ones((4, 3, 3, 3)), np.float32)
    model.node("Conv", [model.input("x", (1, 3, 8, 8)), weight], "y", name="conv")
    return model.proto("y")


def versions(**fields: int) -> onnx.ModelProto:
    proto = small()
    proto.ir_version = fields.get("ir", proto.ir_version)
    proto.opset_import[0].version = fields.get("opset", 17)
    return proto


def rewired(**inputs: str) -> onnx.ModelProto:
    """``small`` with inputs of nodes renamed: ``conv="nowhere"`` is the convolution's first input."""
    proto = small()
    for node in proto.graph.node:
        if node.name in inputs:
            node.input[0] = inputs[node.name]
    return proto


def without_input(name: str, index: int) -> onnx.ModelProto:
    proto = small()
    node = next(node for node in proto.graph.node if node.name == name)
    del node.input[index:]
    return proto


def computed_weights() -> onnx.ModelProto:
    proto = small()
    proto.graph.node[1].input[3] = "w_in"
    proto.graph.input.append(helper.make_tensor_value_info("w_in", onnx.TensorProto.INT8, (4, 3, 3, 3)))
    return proto


def other_scale() -> onnx.ModelProto:
    proto = small()
    proto.graph.initializer.append(onnx.numpy_helper.from_array(np.array(0.75, np.float32), "other"))
    proto.graph.node[1].input[1] = "other"
    return proto


def twice_made() -> onnx.ModelProto:
    proto = small()
    proto.graph.node.append(helper.make_node("Relu", ["c"], ["x_q"], name="again"))
    return proto


def cyclic() -> onnx.ModelProto:
    model = Model()
    encoding = model.encoding(0.5, 0, INT8)
    x = model.input("x", (1, 4), INT8)
    model.node("QLinearAdd", [x, *encoding, "b", *encoding, *encoding], "a", MICROSOFT, name="first")
    model.node("Identity", ["a"], "b", name="second")
    return model.proto("b")


def several() -> onnx.ModelProto:
    steps = [("Relu", ["real"], "r"), ("Sigmoid", ["r"], "s"), ("LRN", ["s"], "l"), ("Softmax", ["l"], "m")]
    return between(steps)


def softmax_tail() -> onnx.ModelProto:
    proto = small()
    proto.graph.node.append(helper.make_node("Softmax", ["y"], ["probabilities"], name="softmax"))
    proto.graph.output[0].name = "probabilities"
    return proto


def float_tail() -> onnx.ModelProto:
    proto = small()
    proto.graph.node.append(helper.make_node("AveragePool", ["y"], ["m"], name="last_mean", kernel_shape=[2, 2]))
    proto.graph.node.append(helper.make_node("Relu", ["m"], ["z"], name="last_relu"))
    proto.graph.output[0].name = "z"
    return proto


def float_head() -> onnx.ModelProto:
    model = Model()
    mean = model.node("AveragePool", [model.input("x", (1, 4, 6, 6))], "m", name="first_mean", kernel_shape=[2, 2])
    model.quantize(mean, model.encoding(0.5, 0, INT8))
    return model.proto("m_q")


def two_readers() -> onnx.ModelProto:
    proto = between([("AveragePool", ["real"], "mean"), ("Relu", ["mean"], "r")], kernel_shape=[2, 2])
    scale, zero = proto.graph.node[0].input[1:]
    proto.graph.node.append(helper.make_node("QuantizeLinear", ["mean", scale, zero], ["other"], name="other"))
    proto.graph.output.append(onnx.ValueInfoProto(name="other"))
    return proto


def constant_added() -> onnx.ModelProto:
    model = Model()
    encoding = model.encoding(0.5, 0, INT8)
    x = model.input("x", (1, 4), INT8)
    constant = model.constant([1, 2, 3, 4], np.int8, "ones")
    model.node("QLinearAdd", [x, *encoding, constant, *encoding, *encoding], "y", MICROSOFT, name="add")
    return model.proto("y")


def bias_of_a_shared_product(shape: tuple[int, ...], shared: bool, value: float = 1.0) -> onnx.ModelProto:
    model = Model()
    encoding = model.encoding(0.5, 0, INT8)
    real = model.dequantize(model.input("x", (4, 4), INT8), encoding)
    weights = model.weights((4, 4), per_channel=False)
    model.node("MatMul", [real, model.dequantize(weights[0], weights[1:])], "p", name="product")
    bias = model.constant(np.full(shape, value), np.float32, "b")
    model.node("QuantizeLinear", [model.node("Add", ["p", bias], "s", name="bias"), *encoding], "y", name="quantize")
    if not shared:
        return model.proto("y")
    model.node("QuantizeLinear", ["p", *encoding], "z", name="other")
    return model.proto("y", "z")


def scales_along_inputs() -> onnx.ModelProto:
    model = Model()
    encoding = model.encoding(0.5, 0, INT8)
    real = model.dequantize(model.input("x", (4, 6), INT8), encoding)
    weights = model.weights((6, 4), per_channel=True, axis=0)
    model.node("MatMul", [real, model.dequantize(weights[0], weights[1:], axis=0)], "p", name="product")
    model.node("QuantizeLinear", ["p", *encoding], "y", name="quantize")
    return model.proto("y")


def dequantized_floats() -> onnx.ModelProto:
    model = Model()
    encoding = model.encoding(0.5, 0, INT8)
    real = model.dequantize(model.input("x", (4, 4), INT8), encoding)
    floats = model.constant(np.eye(4), np.float32, "floats")
    model.node("DequantizeLinear", [floats, encoding[0]], "w", name="w")
    model.node("QuantizeLinear", [model.node("MatMul", [real, "w"], "p"), *encoding], "y", name="quantize")
    return model.proto("y")


def contributed(op_type: str, shapes: list[tuple[int, ...]], **attributes: object) -> onnx.ModelProto:
    """One com.microsoft operation on integer inputs (QGemm: on one, and weights)."""
    model = Model()
    encoding = model.encoding(0.5, 0, INT8)
    operands: list[str] = []
    for name, shape in zip("ab", shapes, strict=False):
        operands += [model.input(name, shape, INT8), *encoding]
    if op_type == "QGemm":
        operands += [*model.weights((4, 4), per_channel=False), ""]
    model.node(op_type, [*operands, *encoding], "y", MICROSOFT, name="node", **attributes)
    return model.proto("y")


def one_dimensional() -> onnx.ModelProto:
    model = Model()
    encoding = model.encoding(0.5, 0, INT8)
    x = model.input("x", (1, 3, 8), INT8)
    model.node("QLinearConv", [x, *encoding, *model.weights((4, 3, 3), False), *encoding], "y", name="conv")
    return model.proto("y")


def endless_loop() -> onnx.ModelProto:
    """A loop over constants that never ends; a file may hold one, and loading it must not run it."""
    info = helper.make_tensor_value_info
    integer, boolean = onnx.TensorProto.INT64, onnx.TensorProto.BOOL
    nodes = [helper.make_node("Identity", [name], [f"{name}_out"]) for name in ("again", "state")]
    before = [info("step", integer, []), info("again", boolean, []), info("state", integer, [1])]
    body = helper.make_graph(nodes, "body", before, [info("again_out", boolean, []), info("state_out", integer, [1])])
    return computed_shape("Loop", {"trips": np.int64(2**62), "go": np.True_, "start": np.array([1])}, body=body)


def computed_shape(op_type: str, operands: dict[str, object], **attributes: object) -> onnx.ModelProto:
    """``small``, reshaped to what one node makes of constants."""
    proto = small()
    constants = [onnx.numpy_helper.from_array(np.asarray(value), name) for name, value in operands.items()]
    proto.graph.initializer.extend(constants)
    proto.graph.node.append(helper.make_node(op_type, list(operands), ["sizes"], name="computed", **attributes))
    proto.graph.node.append(helper.make_node("Reshape", ["y", "sizes"], ["z"], name="reshape"))
    proto.graph.output[0].name = "z"
    return proto


def with_node(op_type: str, inputs: list[str], outputs: list[str], constants: dict[str, object]) -> onnx.ModelProto:
    """``small`` with a node named ``more`` behind it."""
    proto = small()
    proto.graph.initializer.extend(
        onnx.numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()
    )
    proto.graph.node.append(helper.make_node(op_type, inputs, outputs, name="more"))
    proto.graph.output[0].name = outputs[0] if outputs else "y"
    return proto


def unread_input() -> onnx.ModelProto:
    proto = small()
    proto.graph.input.append(helper.make_tensor_value_info("other", onnx.TensorProto.INT8, (1, 3)))
    return proto


def pooled_integers() -> onnx.ModelProto:
    model = Model()
    model.node("MaxPool", [model.input("x", (1, 4, 6, 6), INT8)], "m", name="pool", kernel_shape=[2, 2])
    encoding = model.encoding(0.5, 0, INT8)
    return model.proto("m", model.dequantize(model.input("other", (1, 4), INT8), encoding))


def without_input_image() -> onnx.ModelProto:
    proto = small()
    del proto.graph.input[:]
    proto.graph.initializer.append(onnx.numpy_helper.from_array(np.zeros((1, 3, 8, 8), np.float32), "x"))
    return proto


def of_unknown_type() -> onnx.ModelProto:
    proto = small()
    proto.graph.input[0].type.tensor_type.elem_type = 77
    return proto


def product_of_a_scalar(form: str) -> onnx.ModelProto:
    model = Model()
    encoding = model.encoding(0.5, 0, INT8)
    x, weights = model.input("x", (), INT8), model.weights((4, 4), per_channel=False)
    if form == "QLinearMatMul":
        model.node(form, [x, *encoding, *weights, *encoding], "y", name="product")
        return model.proto("y")
    real, kernel = model.dequantize(x, encoding), model.dequantize(weights[0], weights[1:])
    model.quantize(model.node(form, [real, kernel], "p", name="product"), encoding)
    return model.proto("p_q")


def product_and_bias(form: str, shape: tuple[int, ...]) -> onnx.ModelProto:
    """(4, 6) x (6, 4) plus a bias of ``shape``, which ONNX would broadcast."""
    model = Model()
    encoding = model.encoding(0.5, 0, INT8)
    x, weights = model.input("x", (4, 6), INT8), model.weights((6, 4), per_channel=False)
    bias = model.constant(np.zeros(shape), np.int32 if form == "QGemm" else np.float32)
    if form == "QGemm":
        model.node(form, [x, *encoding, *weights, bias, *encoding], "y", MICROSOFT, name="product")
        return model.proto("y")
    real, kernel = model.dequantize(x, encoding), model.dequantize(weights[0], weights[1:])
    model.quantize(model.node(form, [real, kernel, bias], "p", name="product"), encoding)
    return model.proto("p_q")


def rescaled(op_type: str, before: float, after: float, **attributes: object) -> onnx.ModelProto:
    """An operation on integers of one scale that makes integers of another."""
    model = Model()
    encodings = [model.encoding(before, 0, INT8), model.encoding(after, 0, INT8)]
    real = model.dequantize(model.input("x", (1, 4, 6, 6), INT8), encodings[0])
    operands = [real, real] if op_type in ("Add", "Concat") else [real]
    model.quantize(model.node(op_type, operands, "y", name="node", **attributes), encodings[1])
    return model.proto("y_q")


def stored_twice() -> onnx.ModelProto:
    proto = small()
    proto.graph.initializer.append(onnx.numpy_helper.from_array(np.zeros((4, 3, 3, 3), np.int8), "w"))
    return proto


def without_output() -> onnx.ModelProto:
    proto = small()
    del proto.graph.output[:]
    return proto


def joined_integers() -> onnx.ModelProto:
    model = Model()
    encoding = model.encoding(0.5, 0, INT8)
    x = model.input("x", (1, 4), INT8)
    model.node("QLinearConcat", [*encoding, x, *encoding, x, *encoding], "y", MICROSOFT, name="node")
    return model.proto("y")


CASES: dict[str, tuple[Callable[[], onnx.ModelProto], str]] = {
    "float network": (
        float_network,
        "NET: is a float network: it holds no QuantizeLinear, DequantizeLinear or QLinear operation; "
        "quantize it with onnxruntime.quantization.quantize_static",
    ),
    "no input": (
        without_input_image,
        "NET: the network has no input; export the network again, its image as an input",
    ),
    "input that nothing reads": (
        unread_input,
        "NET: nothing reads input 'other'; export the network without it",
    ),
    "integers without a scale": (
        pooled_integers,
        "NET:pool: MaxPool cannot be imported: no node behind the integer input 'x' states its scale",
    ),
    "empty axis": (
        lambda: small(shape=(0, 3, 8, 8)),
        "NET: input 'x' has an axis of size 0; sizes are 1 or more",
    ),
    "negative axis": (
        lambda: small(shape=(-1, 3, 8, 8)),
        "NET: input 'x' has an axis of size -1; sizes are 1 or more",
    ),
    "kernel_shape of other weights": (
        lambda: small(conv={"kernel_shape": [5, 5]}),
        "NET:conv: QLinearConv cannot be imported: its kernel_shape is [5, 5], and its weights' is [3, 3]",
    ),
    "empty kernel": (
        lambda: small(weights=np.ones((4, 3, 0, 3), np.int8)),
        "NET:conv: QLinearConv cannot be imported: its kernel_shape is [0, 3], and sizes are 1 or more",
    ),
    "kernel along one axis": (
        lambda: between([("MaxPool", ["real"], "m")], kernel_shape=[2]),
        "NET:m: MaxPool cannot be imported: its kernel_shape is [2], and two-dimensional kernels are supported",
    ),
    "normalization that is not folded": (
        lambda: between([("BatchNormalization", ["real", *"abcd"], "n")], constants="abcd"),
        "NET:n: BatchNormalization cannot be imported: its input 'real' is not a convolution's or matrix product's "
        f"result for it alone; {MERGED}",
    ),
    "newer IR version": (
        lambda: versions(ir=99),
        f"NET: has IR version 99, and onnx {onnx.__version__} reads up to {onnx.IR_VERSION}; "
        "upgrade onnx, or set model.ir_version lower and save again",
    ),
    "newer opset": (
        lambda: versions(opset=999),
        f"NET: has opset 999, and 10 to {onnx.defs.onnx_opset_version()} are supported; "
        "convert it with onnx.version_converter.convert_version",
    ),
    "older opset": (
        lambda: versions(opset=9),
        f"NET: has opset 9, and 10 to {onnx.defs.onnx_opset_version()} are supported; "
        "convert it with onnx.version_converter.convert_version",
    ),
    "dynamic batch": (
        lambda: small(shape=("N", 3, 8, 8)),
        "NET: input 'x' has the dynamic shape (N, 3, 8, 8); fix it with "
        "python -m onnxruntime.tools.make_dynamic_shape_fixed --input_name x --input_shape 1,3,8,8 in.onnx out.onnx",
    ),
    "unsupported operation": (
        softmax_tail,
        f"NET:softmax: Softmax cannot be imported: the operation is not supported; {SUPPORTED}",
    ),
    "several unsupported nodes": (
        several,
        "NET: 3 nodes cannot be imported:\n"
        "  s (Sigmoid): the operation is not supported\n"
        "  l (LRN): the operation is not supported\n"
        f"  m (Softmax): the operation is not supported; \n{SUPPORTED}",
    ),
    "float tail": (
        float_tail,
        "NET: 2 nodes cannot be imported:\n"
        "  last_mean (AveragePool): its float32 result 'm' is not only quantized: it is read by 'last_relu'\n"
        f"  last_relu (Relu): it computes on 'm' in float32; \n{ISLAND}",
    ),
    "float head": (
        float_head,
        "NET:first_mean: AveragePool cannot be imported: it computes on the float32 input 'x' before that is "
        "quantized; take it out of the network and feed the network what it makes: "
        "only Relu, Clip, MaxPool and reshapes can stay",
    ),
    "float result read twice": (
        two_readers,
        "NET: 2 nodes cannot be imported:\n"
        "  mean (AveragePool): its float32 result 'mean' is not only quantized: it is read by 'r', 'other'\n"
        f"  r (Relu): it computes on 'mean' in float32; \n{ISLAND}",
    ),
    "a loop over constants": (
        endless_loop,
        f"NET:computed: Loop cannot be imported: the operation is not supported; {SUPPORTED}",
    ),
    "a constant too large": (
        lambda: computed_shape("ConstantOfShape", {"size": np.array([200000, 200000])}),
        "NET:computed: ConstantOfShape cannot be imported: it makes a constant of 40,000,000,000 elements, "
        "and 16,777,216 are supported",
    ),
    "a sum too large": (
        lambda: computed_shape("Add", {"a": np.zeros((9000, 1), np.int64), "b": np.zeros(9000, np.int64)}),
        "NET:computed: Add cannot be imported: it makes a constant of 81,000,000 elements, "
        "and 16,777,216 are supported",
    ),
    "no result": (
        lambda: with_node("Relu", ["y"], [], {}),
        "NET:more: Relu cannot be imported: it has no output",
    ),
    "a bound without a value": (
        lambda: with_node("Clip", ["y", "low"], ["z"], {"low": np.zeros(0, np.float32)}),
        "NET:more: Clip cannot be imported: its min 'low' is not one number",
    ),
    "a bound that is no number": (
        lambda: with_node("Clip", ["y", "low"], ["z"], {"low": np.float32("nan")}),
        "NET:more: Clip cannot be imported: its min 'low' is not one number",
    ),
    "an axis inserted twice": (
        lambda: with_node("Unsqueeze", ["y", "axes"], ["z"], {"axes": np.array([0, 0])}),
        "NET:more: Unsqueeze cannot be imported: its axes [0, 0] name one twice",
    ),
    "an input of unknown type": (
        of_unknown_type,
        "NET: input 'x' has element type 77, which ONNX does not define",
    ),
    "an input too large": (
        lambda: small(shape=(1, 3, 2**31, 2**31)),
        "NET:x: tensor 'x' has shape [1, 3, 2147483648, 2147483648], and 2,147,483,648 elements are supported",
    ),
    "integer product of a scalar": (
        lambda: product_of_a_scalar("QLinearMatMul"),
        "NET:product: QLinearMatMul cannot be imported: it multiplies [] by [4, 4]",
    ),
    "product of a scalar": (
        lambda: product_of_a_scalar("MatMul"),
        "NET:product: MatMul cannot be imported: it multiplies [] by [4, 4]",
    ),
    "scale zero": (
        lambda: small(scale=np.float32(0)),
        "NET:quantize: QuantizeLinear cannot be imported: its scale 'x_scale' is 0, and scales are positive and finite",
    ),
    "scales in two dimensions": (
        lambda: small(weight_scale=np.full((2, 2), 0.1, np.float32)),
        "NET:conv: QLinearConv cannot be imported: its scale 'w_scale' has shape [2, 2], and one axis is supported",
    ),
    "constant stored twice": (stored_twice, "NET: the constant 'w' is stored twice; export the network again"),
    "no outputs": (without_output, "NET: the network has no output; export the network again"),
    "concatenation without an axis": (
        lambda: between([("Concat", ["real", "real"], "c")]),
        "NET:c: Concat cannot be imported: it lacks the attribute axis",
    ),
    "integer concatenation without an axis": (
        joined_integers,
        "NET:node: QLinearConcat cannot be imported: it lacks the attribute axis",
    ),
    "pool without a window": (
        lambda: between([("MaxPool", ["real"], "m")]),
        "NET:m: MaxPool cannot be imported: it lacks the attribute kernel_shape",
    ),
    "scale negative": (
        lambda: small(weight_scale=np.array([0.5, 0.5, -0.25, 0.5], np.float32)),
        "NET:conv: QLinearConv cannot be imported: its scale 'w_scale' is -0.25, and scales are positive and finite",
    ),
    "scale not a number": (
        lambda: small(weight_scale=np.float32("nan")),
        "NET:conv: QLinearConv cannot be imported: its scale 'w_scale' is nan, and scales are positive and finite",
    ),
    "scale infinite": (
        lambda: small(weight_scale=np.float32("inf")),
        "NET:conv: QLinearConv cannot be imported: its scale 'w_scale' is inf, and scales are positive and finite",
    ),
    "scale subnormal": (
        lambda: small(weight_scale=np.array([0.5, 0.5, 1e-42, 0.5], np.float32)),
        "NET:conv: QLinearConv cannot be imported: its scale 'w_scale' is 1.00053e-42, and the smallest normal float32 "
        "is 1.17549e-38",
    ),
    "scale of float64": (
        lambda: small(scale=np.float64(0.5)),
        "NET:quantize: QuantizeLinear cannot be imported: its scale 'x_scale' is float64, and float32 is supported",
    ),
    "missing scale": (
        lambda: without_input("quantize", 1),
        "NET:quantize: QuantizeLinear cannot be imported: it has no scale",
    ),
    "scale for each channel of activations": (
        lambda: small(scale=np.full(3, 0.5, np.float32)),
        "NET:quantize: QuantizeLinear cannot be imported: its scale 'x_scale' has 3 values, and activations take one",
    ),
    "multiplier overflows": (
        lambda: small(weight_scale=np.float32(1e38), scale=np.float32(1e38)),
        "NET:conv: its input scale x weight scale / output scale is not finite",
    ),
    **{
        f"{op_type} from scale {before:g} to {after:g}": (
            lambda op_type=op_type, before=before, after=after, attributes=attributes: rescaled(
                op_type, before, after, **attributes
            ),
            f"NET:node: its input scale {before:g} and output scale {after:g} lead beyond what float32 holds",
        )
        for op_type, attributes in {
            "Add": {},
            "AveragePool": {"kernel_shape": [2, 2]},
            "Concat": {"axis": 1},
            "GlobalAveragePool": {},
            "Relu": {},
        }.items()
        for before, after in ((1e20, 1e-20), (3e38, 3e38), (1e-20, 1e20))
    },
    "reader with another scale": (
        other_scale,
        "NET:conv: QLinearConv cannot be imported: it reads 'x_q' with scale 0.75 and zero point 0, "
        "but that was written with scale 0.5 and zero point 0",
    ),
    "weights that are not constant": (
        computed_weights,
        "NET:conv: QLinearConv cannot be imported: its weights 'w_in' must be constant",
    ),
    "activation times activation": (
        lambda: product("a_real", "b_real"),
        "NET:product: MatMul cannot be imported: it multiplies two activations, "
        "and one operand must be constant weights",
    ),
    "float weights": (
        lambda: product("a_real", "floats"),
        "NET:product: MatMul cannot be imported: its weights 'floats' are float32, not quantized",
    ),
    "product read before its bias": (
        lambda: bias_of_a_shared_product((4,), shared=True),
        "NET:bias: Add cannot be imported: it computes with the constant 'b' where an activation is expected; "
        + PREPROCESS,
    ),
    "bias for each row": (
        lambda: bias_of_a_shared_product((4, 1), shared=False),
        "NET:bias: Add cannot be imported: it adds the constant 'b', which is not one value for each output feature",
    ),
    "bias with more axes than the product": (
        lambda: bias_of_a_shared_product((1, 1, 4), shared=False),
        "NET:bias: Add cannot be imported: it adds the constant 'b', which is not one value for each output feature",
    ),
    "Gemm with a bias for each row": (
        lambda: product_and_bias("Gemm", (4, 1)),
        "NET:product: Gemm cannot be imported: its bias has shape [4, 1], and a vector of 4 is supported",
    ),
    "QGemm with a bias for each row": (
        lambda: product_and_bias("QGemm", (4, 1)),
        "NET:product: QGemm cannot be imported: its bias has shape [4, 1], and a vector of 4 is supported",
    ),
    "convolution with a bias of two axes": (
        lambda: small(bias=np.ones((1, 4), np.int32)),
        "NET:conv: QLinearConv cannot be imported: its bias has shape [1, 4], and a vector of 4 is supported",
    ),
    "scales along the reduction": (
        scales_along_inputs,
        "NET:product: MatMul cannot be imported: its weights 'constant2_dq' have scales along axis 0, "
        "not along the output channels",
    ),
    "scales for other channels": (
        lambda: small(weight_scale=np.full(3, 0.1, np.float32)),
        "NET:conv: QLinearConv cannot be imported: its weights 'w' have 3 scales for 4 output channels",
    ),
    "broadcast": (
        lambda: contributed("QLinearAdd", [(1, 4, 6, 6), (1, 4, 1, 1)]),
        "NET:node: QLinearAdd cannot be imported: it broadcasts [1, 4, 6, 6] and [1, 4, 1, 1]",
    ),
    "float broadcast": (
        lambda: between([("AveragePool", ["real"], "m"), ("Add", ["m", "real"], "s")], kernel_shape=[2, 2]),
        "NET:s: Add cannot be imported: it broadcasts [1, 4, 5, 5] and [1, 4, 6, 6]",
    ),
    "scaled product": (
        lambda: contributed("QGemm", [(2, 4)], alpha=0.5),
        "NET:node: QGemm cannot be imported: its alpha is not 1 or its transA not 0",
    ),
    "product of other sizes": (
        lambda: contributed("QGemm", [(2, 5)]),
        "NET:node: QGemm cannot be imported: it multiplies [2, 5] by [4, 4]",
    ),
    "channels last": (
        lambda: contributed("QLinearGlobalAveragePool", [(1, 6, 6, 4)], channels_last=1),
        "NET:node: QLinearGlobalAveragePool cannot be imported: its images are NHWC, and NCHW is supported",
    ),
    "pool of a matrix": (
        lambda: contributed("QLinearGlobalAveragePool", [(6, 6)]),
        "NET:node: QLinearGlobalAveragePool cannot be imported: its input has 2 axes, and images (NCHW) are supported",
    ),
    "mean over an overhang": (
        lambda: between(
            [("AveragePool", ["real"], "m")],
            kernel_shape=[3, 3],
            strides=[2, 2],
            ceil_mode=1,
            count_include_pad=1,
        ),
        "NET:m: AveragePool cannot be imported: its ceil_mode adds windows that reach beyond the image, "
        "and with count_include_pad onnxruntime's own kernels disagree about what those count; "
        "export the pool with count_include_pad=0 or with an image size that its stride divides",
    ),
    "mean of padding before the image": (
        lambda: between([("AveragePool", ["real"], "m")], kernel_shape=[2, 2], pads=[2, 0, 0, 0]),
        "NET:m: AveragePool cannot be imported: its pads [2, 0, 0, 0] make windows that hold no element "
        "to take the mean of",
    ),
    "mean of padding behind the image": (
        lambda: between([("AveragePool", ["real"], "m")], kernel_shape=[2, 2], pads=[0, 0, 0, 2]),
        "NET:m: AveragePool cannot be imported: its pads [0, 0, 0, 2] make windows that hold no element "
        "to take the mean of",
    ),
    "dilated mean": (
        lambda: between([("AveragePool", ["real"], "m")], kernel_shape=[2, 2], dilations=[2, 1], opset=19),
        "NET:m: AveragePool cannot be imported: its dilations are [2, 1], and 1 is supported",
    ),
    "weights on the left": (
        lambda: product("floats", "a_real"),
        "NET:product: MatMul cannot be imported: its weights 'a_real' must be constant",
    ),
    "weight zero point": (
        lambda: small(weight_zero=np.array([0, 0, 3, 0], np.int8), weight_scale=np.full(4, 0.1, np.float32)),
        "NET:conv: QLinearConv cannot be imported: its weights 'w' have zero point 3, and 0 is supported; " + SYMMETRIC,
    ),
    "uint8 weights around 128": (
        lambda: small(weights=np.full((4, 3, 3, 3), 130, np.uint8), weight_zero=np.uint8(128)),
        "NET:conv: QLinearConv cannot be imported: its weights 'w' have zero point 128, and 0 is supported; "
        + SYMMETRIC,
    ),
    "int32 activations": (
        lambda: between([("Relu", ["real"], "r")], np.dtype(np.int32)),
        f"NET:dequantize: DequantizeLinear cannot be imported: 'x' is int32, and {WIDTHS}",
    ),
    "int32 weights": (
        lambda: small(weights=np.ones((4, 3, 3, 3), np.int32)),
        f"NET:conv: QLinearConv cannot be imported: 'w' is int32, and {WIDTHS}",
    ),
    "float bias of an integer convolution": (
        lambda: small(bias=np.ones(4, np.float32)),
        "NET:conv: QLinearConv cannot be imported: its bias 'b' is float32, and int32 is supported",
    ),
    "bias of another length": (
        lambda: small(bias=np.ones(3, np.int32)),
        "NET:conv: QLinearConv cannot be imported: its bias has 3 values for 4 output channels",
    ),
    "channels do not agree": (
        lambda: small(weights=np.ones((4, 2, 3, 3), np.int8)),
        "NET:conv: QLinearConv cannot be imported: its input has 3 channels, and its weights [4, 2, 3, 3] "
        "in 1 groups take 2",
    ),
    "kernel larger than the image": (
        lambda: small(weights=np.ones((4, 3, 9, 3), np.int8)),
        "NET:conv: QLinearConv cannot be imported: its kernel [9, 3] is larger than the padded image [8, 8]",
    ),
    "misspelt attribute": (
        lambda: small(conv={"stride": [2, 2]}),
        "NET:conv: QLinearConv cannot be imported: its attribute stride is none of QLinearConv's",
    ),
    "misspelt attribute of a com.microsoft operation": (
        lambda: contributed("QLinearGlobalAveragePool", [(1, 4, 6, 6)], channel_last=0),
        "NET:node: QLinearGlobalAveragePool cannot be imported: "
        "its attribute channel_last is none of QLinearGlobalAveragePool's",
    ),
    "attribute of another type": (
        lambda: small(conv={"strides": "two"}),
        "NET:conv: QLinearConv cannot be imported: its attribute strides is 'two', and a list of integers is expected",
    ),
    "axis out of range": (
        lambda: between([("Concat", ["real", "real"], "c")], axis=4),
        "NET:c: Concat cannot be imported: its axis 4 is not one of 4",
    ),
    "dequantized floats": (
        dequantized_floats,
        "NET:w: DequantizeLinear cannot be imported: it dequantizes 'floats', which is float32",
    ),
    "flattened behind its last axis": (
        lambda: between([("Flatten", ["real"], "f")], axis=5),
        "NET:f: Flatten cannot be imported: its axis 5 is not one of 4",
    ),
    "bias out of reach": (
        lambda: bias_of_a_shared_product((4,), shared=False, value=float("inf")),
        "NET:bias: Add cannot be imported: its bias 'b' reaches inf steps of its scale",
    ),
    "negative pads": (
        lambda: small(conv={"pads": [-1, 0, 0, 0]}),
        "NET:conv: QLinearConv cannot be imported: its strides (1, 1), dilations (1, 1) or pads (-1, 0, 0, 0) "
        "are not those of an image",
    ),
    "convolution along one axis": (
        one_dimensional,
        "NET:conv: QLinearConv cannot be imported: its weights have 3 axes, "
        "and two-dimensional convolutions (4 axes) are supported",
    ),
    "constant operand": (
        constant_added,
        "NET:add: QLinearAdd cannot be imported: it computes with the constant 'ones' where an activation is expected; "
        + PREPROCESS,
    ),
    "mean over channels": (
        lambda: between([("ReduceMean", ["real"], "m")], axes=[1]),
        "NET:m: ReduceMean cannot be imported: it reduces axes [1] of [1, 4, 6, 6], "
        "and height and width (2, 3) are supported",
    ),
    "transposed activation": (
        lambda: between([("Transpose", ["real"], "t")]),
        "NET:t: Transpose cannot be imported: it transposes an activation, and only weights can be transposed",
    ),
    "dangling input": (lambda: rewired(conv="nowhere"), "NET:conv: reads 'nowhere', which nothing produces"),
    "made twice": (twice_made, "NET:again: tensor 'x_q' is produced more than once"),
    "cycle": (cyclic, "NET: nodes first, second form a cycle"),
}


def quantized(source: str = "x", **changes: object) -> onnx.ModelProto:
    """x -> Quant -> y, or the constant w -> Quant -> Gemm, with one thing changed."""
    model = Model()
    x = model.input("x", (1, 4), np.float32)
    parts = {"scale": 0.5, "zero": 0.0, "bits": 4.0} | {
        key: changes.pop(key) for key in ("scale", "zero", "bits") if key in changes
    }
    names = [model.constant(value, np.float32, name) for name, value in parts.items()]
    if source == "w":
        model.constant(np.ones((3, 4)), np.float32, "w")
        model.node("Quant", ["w", *names], "wq", name="quant", domain=QONNX, **changes)
        x = model.dequantize(model.quantize(x, model.encoding(1.0, 0, INT8)), model.encoding(1.0, 0, INT8))
        model.node("Gemm", [x, "wq"], "y", name="gemm", transB=1)
    else:
        model.node("Quant", [x, *names], "y", name="quant", domain=QONNX, **changes)
    proto = model.proto("y")
    proto.opset_import.append(helper.make_opsetid(QONNX, 1))
    return proto


def clipped(low: object, high: object, dtype: object = np.int8) -> onnx.ModelProto:
    model = Model()
    by = model.encoding(0.5, 3, INT8)
    bounds = [model.constant(value, dtype, name) for name, value in (("low", low), ("high", high))]
    model.node("Clip", [model.quantize(model.input("x", (1, 4)), by), *bounds], "c", name="clip")
    model.node("DequantizeLinear", ["c", *by], "y", name="dequantize")
    return model.proto("y")


def normalized(
    op_type: str = "BatchNormalization", size: int = 4, twice: bool = False, **changes: object
) -> onnx.ModelProto:
    """x -> DequantizeLinear -> Conv -> normalization -> QuantizeLinear, with one thing changed."""
    model = Model()
    by = model.encoding(0.5, 0, INT8)
    last = model.encoding(0.5, 0, changes.pop("dtype", INT8))
    weights = changes.pop("weights", np.ones((4, 3, 1, 1), np.int8))
    kernel = model.dequantize(model.constant(weights), model.encoding(0.25, 0, INT8))
    model.node("Conv", [model.dequantize(model.input("x", (1, 3, 4, 4), INT8), by), kernel], "c", name="conv")
    parts = {"gamma": 1.0, "beta": 0.0, "mean": 0.0, "variance": 1.0}
    constants = [
        model.constant(np.full(size, changes.pop(name, value)), np.float32, name) for name, value in parts.items()
    ]
    if op_type == "BatchNormalization":
        model.node(op_type, ["c", *constants], "n", name="norm", **changes)
    else:
        steps = model.constant(changes.pop("steps", np.arange(15.0)[None]), np.float32, "steps")
        changes = {"out_dtype": "UINT4"} | changes
        model.node(op_type, ["c", steps], "n", name="norm", domain=QONNX, **changes)
    if twice:
        model.node("BatchNormalization", ["n", *constants], "m", name="again")
    model.quantize("m" if twice else "n", last)
    proto = model.proto(f"{'m' if twice else 'n'}_q")
    proto.opset_import.append(helper.make_opsetid(QONNX, 1))
    return proto


def truncated(fine: float = 0.125, zero: float = 0.0, inputs: int = 6, **changes: object) -> onnx.ModelProto:
    model = Model()
    names = [model.constant(value, np.float32, name) for name, value in (("fine", fine), ("zero", zero), ("bits", 6.0))]
    names += [model.constant(0.5, np.float32, "coarse"), model.constant(4.0, np.float32, "few")]
    x = [model.input("x", (1, 4), np.float32), *names][:inputs]
    model.node("Trunc", x, "y", name="trunc", domain=QONNX, **({"rounding_mode": "ROUND"} | changes))
    proto = model.proto("y")
    proto.opset_import.append(helper.make_opsetid(QONNX, 2))
    return proto


CASES |= {
    "truncated downwards": (
        lambda: truncated(rounding_mode="FLOOR"),
        "NET:trunc: Trunc cannot be imported: it rounds activations by FLOOR, and what rounds results is the machine's "
        "requantizer; export it with rounding_mode ROUND",
    ),
    "truncated by version 1": (
        lambda: truncated(inputs=5),
        "NET:trunc: Trunc cannot be imported: it has 5 inputs, and the 6 of QONNX's version 2 are supported; "
        "export it with a newer Brevitas, whose Trunc states the scale of its result",
    ),
    "truncated to a finer scale": (
        lambda: truncated(fine=2.0),
        "NET:trunc: Trunc cannot be imported: its scales are not one fine and one coarser one",
    ),
    "truncated beside zero": (
        lambda: truncated(zero=2.0),
        "NET:trunc: Trunc cannot be imported: its zero point 'zero' is not 0",
    ),
    "normalization of another size": (
        lambda: normalized(size=3),
        "NET:norm: BatchNormalization cannot be imported: its scale 'gamma' has shape [3] for 4 channels",
    ),
    "normalization by nothing": (
        lambda: normalized(variance=-1.0),
        "NET:norm: BatchNormalization cannot be imported: its scale / sqrt(variance + epsilon), or what that makes of "
        "its mean, is not finite",
    ),
    "normalization that learns": (
        lambda: normalized(training_mode=1),
        "NET:norm: BatchNormalization cannot be imported: it is in training mode",
    ),
    "normalized twice": (
        lambda: normalized(twice=True),
        f"NET:again: BatchNormalization cannot be imported: its input 'n' is normalized already; {MERGED}",
    ),
    "thresholds in three axes": (
        lambda: normalized("MultiThreshold", steps=np.zeros((1, 1, 4))),
        "NET:norm: MultiThreshold cannot be imported: its thresholds 'steps' have shape [1, 1, 4], and 4 or 1 rows of "
        "up to 255 are expected",
    ),
    "thresholds beyond the type": (
        lambda: normalized("MultiThreshold", out_dtype="INT4"),
        "NET:norm: MultiThreshold cannot be imported: its 15 thresholds make 0 to 15, beyond its INT4",
    ),
    "thresholds of floats": (
        lambda: normalized("MultiThreshold", out_dtype="FLOAT32"),
        "NET:norm: MultiThreshold cannot be imported: its out_dtype is 'FLOAT32', and INT, UINT with a width, BINARY "
        "and BIPOLAR are supported",
    ),
    "threshold bias between steps": (
        lambda: normalized("MultiThreshold", out_bias=0.5),
        "NET:norm: MultiThreshold cannot be imported: its out_bias 0.5 is no multiple of its out_scale 1",
    ),
    "threshold scale of zero": (
        lambda: normalized("MultiThreshold", out_scale=0.0),
        "NET:norm: MultiThreshold cannot be imported: its out_scale is 0, and scales are positive and finite",
    ),
    "thresholds of images with channels last": (
        lambda: normalized("MultiThreshold", data_layout="NHWC"),
        "NET:norm: MultiThreshold cannot be imported: its data_layout is NHWC, and NC and NCHW are supported",
    ),
    "thresholds that are no numbers": (
        lambda: normalized("MultiThreshold", steps=np.array([[0.0, np.nan]])),
        "NET:norm: MultiThreshold cannot be imported: its thresholds 'steps' are not all numbers",
    ),
    "normalization that turns -128 around": (
        lambda: normalized(gamma=-1.0, weights=np.full((4, 3, 1, 1), -128, np.int8), dtype=np.dtype(np.int16)),
        "NET:conv: Conv cannot be imported: its normalized result has no integer form; a normalization is taken in "
        "where one quantizer reads its result, of up to 8 bits unless weights can be negated, or where it is the "
        "network's output",
    ),
    "half a bit": (
        lambda: quantized(bits=2.5),
        "NET:quant: Quant cannot be imported: its bit width is 2.5, and whole numbers from 1 to 32 are supported",
    ),
    "no bit": (
        lambda: quantized(bits=0.0),
        "NET:quant: Quant cannot be imported: its bit width is 0, and whole numbers from 1 to 32 are supported",
    ),
    "wide activations": (
        lambda: quantized(bits=17.0),
        "NET:quant: Quant cannot be imported: it makes int17 activations, and up to 16 bits are supported",
    ),
    "wide weights": (
        lambda: quantized("w", bits=17.0),
        "NET:gemm: Gemm cannot be imported: its weights 'wq' are int17, and up to 16 bits are supported",
    ),
    "activations that round down": (
        lambda: quantized(rounding_mode="FLOOR"),
        "NET:quant: Quant cannot be imported: it rounds activations by FLOOR, and what rounds results is the machine's "
        "requantizer; export it with rounding_mode ROUND",
    ),
    "unknown rounding": (
        lambda: quantized(rounding_mode="NEAREST"),
        "NET:quant: Quant cannot be imported: its rounding_mode is 'NEAREST', and ROUND, HALF_EVEN, CEIL, FLOOR, UP, "
        "DOWN, HALF_UP, HALF_DOWN are QONNX's",
    ),
    "activations by channel": (
        lambda: quantized(scale=np.full((1, 4), 0.5)),
        "NET:quant: Quant cannot be imported: its scale 'scale' has 4 values, and activations take one",
    ),
    "half a zero point": (
        lambda: quantized(zero=1.5),
        "NET:quant: Quant cannot be imported: its zero point 'zero' is 1.5, which is not whole",
    ),
    "zero point beyond the type": (
        lambda: quantized(zero=9.0),
        "NET:quant: Quant cannot be imported: its zero point is 9, which int4 does not hold",
    ),
    "scale of zero": (
        lambda: quantized(scale=0.0),
        "NET:quant: Quant cannot be imported: its scale 'scale' is 0, and scales are positive and finite",
    ),
    "weight scale of zero": (
        lambda: quantized("w", scale=np.array([[1.0], [0.0], [1.0]])),
        "NET:quant: Quant cannot be imported: its scale 'scale' is 0, and scales are positive and finite",
    ),
    "weight scales of another size": (
        lambda: quantized("w", scale=np.ones((2, 1))),
        "NET:quant: Quant cannot be imported: its scale 'scale' has shape [2, 1] for [3, 4], and one axis is supported",
    ),
    "a range of one value": (
        lambda: quantized(bits=1.0, signed=0, narrow=1),
        "NET:quant: Quant cannot be imported: its narrow range of uint1 has one value",
    ),
    "misspelt attribute of QONNX": (
        lambda: quantized(narow=1),
        "NET:quant: Quant cannot be imported: its attribute narow is none of Quant's",
    ),
    "integers clipped to nothing": (
        lambda: clipped(7, -8),
        "NET:clip: Clip cannot be imported: its minimum 7 is above its maximum -8",
    ),
    "integers clipped to two bounds": (
        lambda: clipped([-8, -8], 7),
        "NET:clip: Clip cannot be imported: its min 'low' is not one integer",
    ),
    "integers clipped beside their zero": (
        lambda: clipped(-2, 1),
        "NET:clip: Clip cannot be imported: its bounds -2 and 1 leave out the zero point 3",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_message(case: str, tmp_path: Path) -> None:
    build, expected = CASES[case]
    path = tmp_path / "net.onnx"
    onnx.save(build(), str(path))
    with pytest.raises(AccelError) as error:
        load_network(path)
    assert str(error.value) == expected.replace("NET", str(path))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_a_float_bias_at_an_extreme_scale_is_refused_without_a_warning(scale: float, tmp_path: Path) -> None:
    model = Model()
    encodings = [model.encoding(scale, 0, INT8), model.encoding(0.1, 0, INT8)]
    real = model.dequantize(model.input("x", (2, 4), INT8), encodings[0])
    weights = [model.constant(np.ones((4, 4)), np.int8), *model.encoding(scale, 0, INT8)]
    operands = [real, model.dequantize(weights[0], weights[1:]), model.constant(np.ones(4), np.float32)]
    model.quantize(model.node("Gemm", operands, "y"), encodings[1])
    with pytest.raises(AccelError):
        load_network(model.save(tmp_path / "net.onnx", "y_q"))


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(AccelError) as error:
        load_network(tmp_path / "none.onnx")
    assert str(error.value) == f"{tmp_path}/none.onnx: no such file"


def test_a_directory(tmp_path: Path) -> None:
    with pytest.raises(AccelError) as error:
        load_network(tmp_path)
    assert str(error.value) == f"{tmp_path}: is a directory; name the .onnx file in it"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"this is no network\n", "is not an ONNX model, or is cut short (19 bytes); export or copy the file again"),
        (b"\x00" * 64, "is not an ONNX model, or is cut short (64 bytes); export or copy the file again"),
    ],
)
def test_not_onnx(data: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(data)
    with pytest.raises(AccelError) as error:
        load_network(path)
    assert str(error.value) == f"{path}: {message}"


def test_every_cut_is_noticed(tmp_path: Path) -> None:
    whole = small().SerializeToString()
    path = tmp_path / "net.onnx"
    for length in range(1, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(AccelError):
            load_network(path)


def test_missing_external_data(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    onnx.save(small(), str(path), save_as_external_data=True, location="net.data", size_threshold=0)
    (tmp_path / "net.data").unlink()
    with pytest.raises(AccelError) as error:
        load_network(path)
    assert (
        str(error.value) == f"{path}: its external data net.data is missing; keep the data file beside the .onnx file"
    )


def test_external_data_is_read(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    onnx.save(small(), str(path), save_as_external_data=True, location="net.data", size_threshold=0)
    assert [node.name for node in load_network(path).nodes] == ["quantize", "conv", "dequantize"]
