"""The network as written: its IR, its import from ONNX, its integer reference."""
