"""One stream, from its first frame to its end: one frame is looked at at a time, and the newest one is next."""

import asyncio
import logging
from collections.abc import Callable
from time import monotonic
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError
from starlette.websockets import WebSocket

from app.contract.errors import DeadlineError, InternalError, MalformedUploadError, NotReadyError, UploadTooLargeError
from app.contract.schemas import FrameParameters
from app.contract.streams import StreamAnswer, StreamProblem
from app.engine.admission import AdmittedRequest
from app.engine.engine import Engine, beside
from app.engine.following import Following
from app.engine.models import Models
from app.engine.pipeline import Question
from app.http.problems import error_of, invalid_parameters
from app.http.serializers import stream_answer
from app.http.streaming.inbox import Frame, Inbox
from app.observe.request_record import note_frame, note_problem
from app.settings import Settings
from model.runtime import OnnxDetector

LONGEST_TEXT: Final = 16_384
"""Characters of a message with parameters."""

PROBLEM_SECONDS: Final = 0.02
"""How long a stream rests after a frame that cannot be answered: rubbish is found out fast, and could come fast."""

_OBJECT: Final = TypeAdapter(dict[str, Any])

_logger = logging.getLogger(__name__)


class Stream:
    """Answers the frames of one client.

    Args:
        websocket: accepted.
        engine: looks at the frames.
        models: those that are served.
        admitted: counts its bytes, and is its lane.
        parameters: what is asked of the first frame.
        settings: for how long things may take.
        wait: called before each frame: seconds until the client's key may have another one answered; 0: it may.
    """

    def __init__(
        self,
        websocket: WebSocket,
        engine: Engine,
        models: Models,
        admitted: AdmittedRequest,
        parameters: FrameParameters,
        settings: Settings,
        wait: Callable[[], float],
    ) -> None:
        self._websocket, self._engine, self._models, self._admitted = websocket, engine, models, admitted
        self._parameters, self._deadline, self._wait = parameters, settings.deadline, wait
        self._inbox = Inbox(websocket.receive, admitted, settings.upload_timeout, self._take_parameters)
        self._following: Following | None = None
        self._began = monotonic()

    async def run(self) -> None:
        """Answer frames until the end.

        Raises:
            ClientDisconnect: the client went away.
            UploadTimeoutError: it sent nothing for too long.
            DeadlineError: it did not read its answers.
            NotReadyError: the service is stopping.
        """
        async with beside(self._inbox.fill()), beside(self._end()):
            while await self._inbox.arrived() and await self._turn():
                frame = self._inbox.take()
                self._inbox.busy = True
                try:
                    answer = await self._answer(frame)
                finally:
                    self._inbox.let_go(frame)
                await self._send(answer)
                note_frame(monotonic() - frame.arrived, frame.skipped, refused=isinstance(answer, StreamProblem))
                self._inbox.busy = False
                if isinstance(answer, StreamProblem):
                    await asyncio.sleep(PROBLEM_SECONDS)
        raise NotReadyError("the service is stopping")

    async def _end(self) -> None:
        await self._engine.closing.wait()
        self._inbox.end()

    async def _turn(self) -> bool:
        """Wait until the client's key may ask again; return whether it came to that before the end."""
        while seconds := self._wait():
            try:
                async with asyncio.timeout(seconds):
                    await self._engine.closing.wait()
            except TimeoutError:
                continue
            return False
        return True

    async def _answer(self, frame: Frame) -> StreamAnswer | StreamProblem:
        if frame.refused is not None:
            return _problem(frame.refused, frame)
        try:
            detector = self._models.detector(self._parameters.model)
            question = Question.of(self._parameters, detector)
            following = self._followed_by(detector)
            async with self._engine.hold_frame():
                answer = await self._engine.follow(self._admitted, following, frame.data, question, frame.arrived)
        except Exception as error:  # noqa: BLE001 - it is told, and the next frame may be better
            return _problem(error, frame)
        return stream_answer(answer, detector, frame.number, round(frame.arrived - self._began, 6), frame.skipped)

    def _followed_by(self, detector: OnnxDetector) -> Following:
        """Return what follows the objects. Another model knows nothing of what the one before saw, and begins anew."""
        if self._following is None or self._following.detector is not detector:
            self._following = Following(detector, 0 if self._following is None else self._following.count)
        return self._following

    async def _take_parameters(self, text: str) -> None:
        """Change what is asked of the frames from now on; what cannot be asked changes nothing."""
        try:
            self._parameters = self._changed(text)
        except Exception as error:  # noqa: BLE001 - it is told, and what was asked before goes on
            await self._send(_problem(error))

    def _changed(self, text: str) -> FrameParameters:
        if len(text) > LONGEST_TEXT:
            raise UploadTooLargeError(f"a message of parameters has at most {LONGEST_TEXT} characters")
        try:
            change = _OBJECT.validate_json(text)
        except ValidationError:
            raise MalformedUploadError("a text message must be a JSON object of parameters") from None
        merged = {**self._parameters.model_dump(exclude_unset=True), **change}
        given = {name: value for name, value in merged.items() if value is not None}
        try:
            parameters = FrameParameters.model_validate(given)
        except ValidationError as error:
            raise invalid_parameters(error.errors()) from None
        Question.of(parameters, self._models.detector(parameters.model))
        return parameters

    async def _send(self, answer: StreamAnswer | StreamProblem) -> None:
        try:
            async with asyncio.timeout(self._deadline):
                await self._websocket.send_text(answer.model_dump_json(exclude_none=isinstance(answer, StreamProblem)))
        except TimeoutError:
            raise DeadlineError(f"an answer was not read within {self._deadline:g} s") from None


def _problem(error: Exception, frame: Frame | None = None) -> StreamProblem:
    """Describe what is wrong with a frame, or with parameters."""
    known = error_of(error)
    if isinstance(known, InternalError):
        _logger.error("A frame of a stream failed.", exc_info=error)
    note_problem(known.kind, of_picture=True)
    of_frame = {} if frame is None else {"frame": frame.number, "skipped": frame.skipped}
    return StreamProblem.model_validate({**known.problem().model_dump(), **of_frame})
