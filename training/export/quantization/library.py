"""What is used of ONNX Runtime's quantisation tools, imported after its reports are switched off."""

from model import onnx_runtime  # noqa: F401 - first: it switches the reports off

# isort: split
from onnxruntime.quantization import CalibrationMethod, QuantType, create_calibrator
from onnxruntime.quantization.calibrate import CalibrationDataReader, TensorData, TensorsData
from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

__all__ = [
    "CalibrationDataReader",
    "CalibrationMethod",
    "QDQQuantizer",
    "QuantType",
    "TensorData",
    "TensorsData",
    "create_calibrator",
]
