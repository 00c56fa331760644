"""The service: FastAPI over ONNX Runtime. It imports `model`, never `training`, and never torch."""
