"""From trained weights to ONNX files."""
