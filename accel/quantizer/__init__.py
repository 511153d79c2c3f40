"""Post-training quantization: from a float ONNX network and images to integers of any width."""
