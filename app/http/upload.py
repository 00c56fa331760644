"""Taking a picture out of a request. Bytes are counted as they arrive, so no body that is too large is held.

A body is either one picture as it is, or a form (multipart/form-data, RFC 7578) with its pictures in fields called
`image`. What a picture really is, is told from its bytes: its content type may be any image/*, one that says nothing,
or none.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from app.contract.errors import MalformedUploadError, UnsupportedUploadError, UploadTimeoutError, UploadTooLargeError
from model.pictures.opening import is_picture

FIELD = "image"

UNTOLD = frozenset({"application/octet-stream", "application/x-www-form-urlencoded"})
"""Content types that tell nothing of a body: what programs send that were not told one (the last is curl's)."""

HOW_TO_SEND = (
    f"send a picture as the body, with a content type image/*, or as the field {FIELD!r} of a form "
    f"(curl -F {FIELD}=@photo.jpg)"
)

MAX_PARTS = 64
"""Parts a form may have beside its pictures; each costs time, however few bytes it has."""


@dataclass(frozen=True)
class UploadLimits:
    """How much may arrive, and for how long.

    Attributes:
        max_bytes: the longest body allowed, the form around the pictures included.
        seconds: how long it may take to arrive.
    """

    max_bytes: int
    seconds: float


async def read_picture(request: Request, limits: UploadLimits, count_bytes: Callable[[int], None]) -> bytes:
    """Read the one picture of a request.

    Args:
        request: a request whose body nobody has read.
        limits: how much may arrive, and for how long.
        count_bytes: told of what arrives; raises QueueFullError where all requests together hold too much.

    Returns:
        The picture file; it is not empty, but may be no picture.

    Raises:
        MalformedUploadError: the body is empty, a broken form, or a form without exactly one picture.
        UploadTimeoutError: the body did not arrive in time.
        UploadTooLargeError: the body is too long.
        QueueFullError: all requests together hold as many bytes as they may.
        UnsupportedUploadError: the content type is another, or none, and the body no picture; or it is compressed.
    """
    _refuse_encoded(request)
    content_type = _content_type(request)
    untold = content_type in UNTOLD or not request.headers.get("content-type")
    if content_type.startswith("image/") or untold:
        body = bytearray()
        async for chunk in _counted(request, limits, count_bytes):
            body += chunk
        if not body:
            raise MalformedUploadError(f"the request body is empty; {HOW_TO_SEND}")
        if untold and not is_picture(body):
            raise UnsupportedUploadError(f"the body is not a picture; {HOW_TO_SEND}")
        return bytes(body)
    pictures = await read_pictures(request, limits, count_bytes)
    if len(pictures) > 1:
        raise MalformedUploadError(
            f"the form has {len(pictures)} fields {FIELD!r}; POST /detect/batch takes several pictures"
        )
    return pictures[0]


async def read_pictures(
    request: Request, limits: UploadLimits, count_bytes: Callable[[int], None], max_pictures: int | None = None
) -> list[bytes]:
    """Read the pictures of a form, at least one, in the order sent.

    Args:
        request: a request whose body nobody has read.
        limits: how much may arrive, all pictures together, and for how long.
        count_bytes: as `read_picture` has it.
        max_pictures: the most pictures allowed; None for no limit but that on all parts.

    Raises:
        MalformedUploadError: the form is broken, ends early, or has no picture.
        UploadTimeoutError: the body did not arrive in time.
        UploadTooLargeError: the body is too long, or there are too many pictures or other parts.
        QueueFullError: all requests together hold as many bytes as they may.
        UnsupportedUploadError: the content type is not multipart/form-data, or the body is compressed.
    """
    _refuse_encoded(request)
    header = request.headers.get("content-type", "")
    if _content_type(request) != "multipart/form-data":
        given = f"not {header[:100]!r}" if header else "but there is none"
        raise UnsupportedUploadError(f"the content type must be image/* or multipart/form-data, {given}; {HOW_TO_SEND}")
    boundary = parse_options_header(header)[1].get(b"boundary")
    if not boundary:
        raise MalformedUploadError("the content type multipart/form-data has no boundary")
    form = _Form(MAX_PARTS + (max_pictures or 0))
    try:
        parser = MultipartParser(boundary, form.callbacks())  # type: ignore[arg-type]
        async for chunk in _counted(request, limits, count_bytes):
            parser.write(chunk)
    except FormParserError as error:
        raise MalformedUploadError("the form is not valid multipart/form-data") from error
    if not form.complete:
        raise MalformedUploadError("the form is empty or ends before its last boundary")
    if not form.pictures:
        raise MalformedUploadError(f"the form has no field {FIELD!r}")
    if max_pictures is not None and len(form.pictures) > max_pictures:
        raise UploadTooLargeError(
            f"{len(form.pictures)} pictures are more than the limit of {max_pictures} in one request"
        )
    return [bytes(picture) for picture in form.pictures]


def _refuse_encoded(request: Request) -> None:
    """Refuse a body that was compressed on its way: pictures are compressed already (RFC 9110, 15.5.16).

    Raises:
        UnsupportedUploadError: it was.
    """
    encoding = request.headers.get("content-encoding", "").strip()
    if encoding.lower() not in {"", "identity"}:
        raise UnsupportedUploadError(
            f"the body is compressed (Content-Encoding: {encoding[:50]}); send it uncompressed",
            {"Accept-Encoding": "identity"},
        )


def _content_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def _counted(request: Request, limits: UploadLimits, count_bytes: Callable[[int], None]) -> AsyncIterator[bytes]:
    """Yield the body as it arrives; stop at a declared or real length above the limit, and at its deadline."""
    max_bytes = limits.max_bytes
    too_large = UploadTooLargeError(f"the request body is longer than the limit of {max_bytes} bytes")
    declared = request.headers.get("content-length", "")
    # Compared by its digits first: Python refuses to read a number of thousands of digits.
    digits = declared.lstrip("0") if declared.isdecimal() else ""
    if len(digits) > len(str(max_bytes)) or int(digits or 0) > max_bytes:
        raise too_large
    end = asyncio.get_running_loop().time() + limits.seconds
    received = 0
    chunks = request.stream()
    while True:
        try:
            async with asyncio.timeout_at(end):
                chunk = await anext(chunks)
        except StopAsyncIteration:
            return
        except TimeoutError as error:
            raise UploadTimeoutError(limits.seconds) from error
        received += len(chunk)
        if received > max_bytes:
            raise too_large
        count_bytes(len(chunk))
        yield chunk


class _Form:
    """Collects the pictures of a form as the parser calls back; other parts are dropped as they come."""

    def __init__(self, max_parts: int) -> None:
        self.pictures: list[bytearray] = []
        self.complete = False
        self._max_parts = max_parts
        self._parts = 0
        self._header_name = bytearray()
        self._header_value = bytearray()
        self._disposition = b""
        self._picture: bytearray | None = None

    def callbacks(self) -> dict[str, object]:
        return {
            "on_part_begin": self._part_begin,
            "on_header_field": self._header_field,
            "on_header_value": self._header_text,
            "on_header_end": self._header_end,
            "on_headers_finished": self._headers_finished,
            "on_part_data": self._part_data,
            "on_end": self._end,
        }

    def _part_begin(self) -> None:
        self._parts += 1
        if self._parts > self._max_parts:
            raise UploadTooLargeError(f"the form has more than {self._max_parts} parts")
        self._disposition = b""
        self._picture = None

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _header_text(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _header_end(self) -> None:
        if self._header_name.lower() == b"content-disposition":
            self._disposition = bytes(self._header_value)
        self._header_name.clear()
        self._header_value.clear()

    def _headers_finished(self) -> None:
        options = parse_options_header(self._disposition)[1]
        if options.get(b"name") == FIELD.encode():
            self._picture = bytearray()
            self.pictures.append(self._picture)

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        if self._picture is not None:
            self._picture += data[start:end]

    def _end(self) -> None:
        self.complete = True
