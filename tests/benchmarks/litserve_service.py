"""LitServe around a model file: the same network, and our own code before and after it, in its way of serving.

python -m tests.benchmarks.litserve_service MODEL THRESHOLD ours|plain --port PORT

`plain` starts the session as ONNX Runtime's and LitServe's documentation do, with no more than the file and a provider;
`ours` as the service does, with what it does about memory and threads.
"""

import sys
from typing import Any

import litserve
from fastapi import Request

from app.engine.pipeline import Answer, StepTimes
from app.http.serializers import detection_result
from model.metadata import METADATA_KEY, ModelMetadata
from model.onnx_runtime import onnxruntime
from model.pictures.decoding import decode_letterboxed
from model.runtime import OnnxDetector


class DetectionAPI(litserve.LitAPI):  # type: ignore[misc]
    """Decodes, runs the network, and walks, one request after the other in a process beside the server's."""

    def __init__(self, model: str, threshold: float, session: str) -> None:
        super().__init__()
        self._path, self._threshold, self._session = model, threshold, session

    def setup(self, device: str) -> None:
        """Load the model file."""
        del device
        if self._session == "plain":
            session = onnxruntime.InferenceSession(self._path, providers=["CPUExecutionProvider"])
            text = session.get_modelmeta().custom_metadata_map[METADATA_KEY]
            self._detector = OnnxDetector(session, ModelMetadata.from_json(text))
        else:
            self._detector = OnnxDetector.load(self._path)

    def decode_request(self, request: Request) -> Any:
        """Decode the picture of a form; LitServe gives it when the annotation is this very class, and no text of it."""
        return decode_letterboxed(request["image"].file.read(), self._detector.metadata.default_size)

    def predict(self, prepared: Any) -> Any:
        """Run the network and walk."""
        pixels, frame = prepared
        (raw,) = self._detector.run(pixels[None], self._threshold)
        return frame, self._detector.postprocess(raw, frame)

    def encode_response(self, output: Any) -> Any:
        """Return what our own service answers."""
        frame, found = output
        answer = Answer(frame.width, frame.height, found, StepTimes())
        return detection_result(answer, self._detector).model_dump()


def main(model: str, threshold: str, session: str, _: str, port: str) -> None:
    """Serve on 127.0.0.1."""
    server = litserve.LitServer(DetectionAPI(model, float(threshold), session), accelerator="cpu", workers_per_device=1)
    server.run(host="127.0.0.1", port=int(port), generate_client_file=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
