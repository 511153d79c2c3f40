"""A quantization as a table: by layer, the widths and what rounding the weights cost."""

from __future__ import annotations

from rich.console import Group
from rich.table import Table
from rich.text import Text

from accel.quantization import Quantization
from accel.report.units import count


def quantization_table(quantization: Quantization) -> Group:
    """Every layer once, and below the table what holds for all of them."""
    table = Table(title=f"{quantization.network}, quantized", title_justify="left")
    table.add_column("layer")
    table.add_column("operator")
    for column in ("weights", "bits of\nweights", "reads", "weights'\nSQNR dB"):
        table.add_column(column, justify="right")
    for layer in quantization.layers:
        table.add_row(
            Text(layer.name),
            layer.op,
            count(layer.weights) if layer.weights else "",
            "" if layer.weight_bits is None else str(layer.weight_bits),
            layer.activation_type,
            "" if layer.weight_sqnr_db is None else f"{layer.weight_sqnr_db:.1f}",
        )
    weights = sum(layer.weights for layer in quantization.layers)
    lines = [
        f"{count(weights)} weights in {quantization.weight_bits / 8:,.0f} bytes; {quantization.images} calibration "
        f"images; {quantization.file_format.upper()}, opset {quantization.opset}",
        *(f"note: {note}" for note in quantization.notes),
        f"written: {quantization.path}",
    ]
    return Group(table, *map(Text, lines))
