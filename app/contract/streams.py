"""What the service sends over /detect/stream. The client sends frames, and parameters as `FrameParameters`."""

from pydantic import Field

from app.contract.schemas import DetectedObject, DetectionResult, Problem


class TrackedObject(DetectedObject):
    """One object in a frame, with the name that all frames so far give it."""

    track: int = Field(ge=1, description="The object's number: the same in every frame in which it is seen.")


class StreamAnswer(DetectionResult):
    """What was found in a frame of a stream, best first."""

    frame: int = Field(ge=0, description="Which frame: the first one that was sent is 0.")
    seconds: float = Field(ge=0, description="When the frame arrived, since the stream began.")
    skipped: int = Field(ge=0, description="Frames before it that gave way to it, and are not answered.")
    detections: list[TrackedObject]  # type: ignore[assignment]  # read only


class StreamProblem(Problem):
    """What was wrong with a frame, or with parameters; the stream goes on."""

    frame: int | None = Field(default=None, description="Which frame; absent where parameters were wrong.")
    skipped: int = Field(default=0, ge=0, description="Frames before it that gave way to it, and are not answered.")
