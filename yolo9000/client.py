"""A service on another machine, or in another process: the same results over HTTP."""

import asyncio
import io
import itertools
import time
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Self

import httpx
import numpy as np
from PIL import Image

from model.pictures.decoding import decode_picture
from model.tree_files import packaged_tree
from yolo9000.detector import Picture
from yolo9000.problems import InternalError, ServiceError, error_of
from yolo9000.results import Result

RETRIES = 5
LONGEST_WAIT = 30.0  # seconds before another try, whatever Retry-After says
_AGAIN = frozenset({httpx.codes.TOO_MANY_REQUESTS, httpx.codes.SERVICE_UNAVAILABLE})
NOTHING: Mapping[str, Any] = MappingProxyType({})
_Read = tuple[bytes, Path | None]


class _Protocol:
    """What both clients share: how a question becomes a request, and an answer a result.

    Args:
        key: the API key.
        retries: tries after the first.
    """

    def __init__(self, key: str | None, retries: int) -> None:
        self.headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        self.retries = retries

    def request(self, method: str, path: str, params: Mapping[str, Any], files: Any) -> dict[str, Any]:
        """Return what httpx's `request` takes; a parameter that is None is the service's to choose."""
        given = {name: value for name, value in params.items() if value is not None}
        return {"method": method, "url": path, "params": given, "files": files}

    def wait(self, tries: int, response: httpx.Response | None) -> float | None:
        """Return the seconds to wait before another try; None: this was the last.

        429 and 503 mean "later", and a connection that broke may come back. Detection changes nothing on the service,
        so asking twice does no harm.

        Args:
            tries: how many there were.
            response: what came of the last; None: the connection broke.
        """
        if tries > self.retries or (response is not None and response.status_code not in _AGAIN):
            return None
        after = "" if response is None else response.headers.get("Retry-After", "")
        return min(float(after) if after.isdigit() else 2.0 ** (tries - 1), LONGEST_WAIT)

    def answer(self, response: httpx.Response) -> Any:
        """Return the JSON of an answer.

        Raises:
            ServiceError: it is a problem.
        """
        try:
            content = response.json()
        except ValueError:
            content = None
        if response.is_success and content is not None:
            return content
        request_id = response.headers.get("X-Request-ID", "")
        if isinstance(content, dict) and "type" in content:
            raise error_of(content, request_id)
        detail = f"{response.request.url} is not answered by this service ({response.status_code})"
        raise InternalError({"status": response.status_code, "title": "No such service", "detail": detail}, request_id)

    def result(self, content: dict[str, Any], read: _Read) -> Result:
        """Return the result of a picture."""
        data, source = read
        tree = packaged_tree()
        known = tree if content["model"]["tree"] == tree.digest else None
        return Result.from_dict(content, source=source, tree=known, picture=partial(decode_picture, data))

    def results(self, content: dict[str, Any], reads: Sequence[_Read]) -> list[Result | ServiceError]:
        """Return the results of a batch."""
        return [
            self.result(one, read) if "detections" in one else error_of(one)
            for one, read in zip(content["results"], reads, strict=True)
        ]


def _read(picture: Picture) -> _Read:
    """Return a picture's bytes and, if it is one, its file."""
    if isinstance(picture, bytes):
        return picture, None
    if isinstance(picture, (str, Path)):
        path = Path(picture)
        return path.read_bytes(), path
    image = Image.fromarray(picture) if isinstance(picture, np.ndarray) else picture
    file = io.BytesIO()
    image.save(file, "PNG", exif=image.getexif())
    return file.getvalue(), None


def _files(reads: Iterable[_Read]) -> list[tuple[str, tuple[str, bytes]]]:
    return [("image", ("picture" if source is None else source.name, data)) for data, source in reads]


class Client:
    """Asks a service. Threads may share one.

    Args:
        url: where the service is, such as "http://127.0.0.1:8000".
        key: the API key, if the service wants one.
        timeout: seconds that a connection, or a pause in an answer, may take.
        retries: tries after the first one, on 429 and 503 as `Retry-After` says, and when a connection breaks.
        transport: of httpx, for tests.
    """

    def __init__(
        self,
        url: str,
        key: str | None = None,
        *,
        timeout: float = 60,
        retries: int = RETRIES,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._protocol = _Protocol(key, retries)
        self._http = httpx.Client(base_url=url, headers=self._protocol.headers, timeout=timeout, transport=transport)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def detect(self, picture: Picture, **parameters: Any) -> Result:
        """Find the objects in a picture.

        Args:
            picture: a file, bytes, a Pillow image or an array.
            parameters: of POST /detect: threshold, hierarchy_threshold, iou_threshold, max_detections, under, size,
                model.

        Raises:
            ServiceError: the service answers with a problem; a class for each type.
            httpx.TransportError: it cannot be reached.
        """
        read = _read(picture)
        return self._protocol.result(self._ask("POST", "/detect", params=parameters, files=_files([read])), read)

    def detect_batch(self, pictures: Iterable[Picture], **parameters: Any) -> list[Result | ServiceError]:
        """Find the objects in several pictures with one request; a picture that fails gives its error in its place.

        Raises:
            ServiceError: the request as a whole fails, for instance because it has too many pictures.
        """
        reads = [_read(picture) for picture in pictures]
        return self._protocol.results(self._ask("POST", "/detect/batch", params=parameters, files=_files(reads)), reads)

    def concepts(self, query: str | None = None, **parameters: Any) -> list[dict[str, Any]]:
        """Search the concepts, or list the children of `parent`; GET /classes."""
        found: list[dict[str, Any]] = self._ask("GET", "/classes", params={"query": query, **parameters})["items"]
        return found

    def concept(self, wnid: str) -> dict[str, Any]:
        """Return a concept with its path and children; GET /classes/{wnid}."""
        found: dict[str, Any] = self._ask("GET", f"/classes/{wnid}")
        return found

    def model(self, name: str | None = None) -> dict[str, Any]:
        """Return the model card; GET /model."""
        found: dict[str, Any] = self._ask("GET", "/model", params={"model": name})
        return found

    def health(self) -> dict[str, Any]:
        """Return the state of a service that is ready; GET /health/ready.

        Raises:
            NotReadyError: it is not, and did not become so within the retries.
        """
        found: dict[str, Any] = self._ask("GET", "/health/ready")
        return found

    def _ask(self, method: str, path: str, params: Mapping[str, Any] = NOTHING, files: Any = None) -> Any:
        request = self._protocol.request(method, path, params, files)
        for tries in itertools.count(1):
            try:
                response = self._http.request(**request)
            except httpx.TransportError:
                seconds = self._protocol.wait(tries, None)
                if seconds is None:
                    raise
            else:
                seconds = self._protocol.wait(tries, response)
                if seconds is None:
                    return self._protocol.answer(response)
            time.sleep(seconds)
        raise AssertionError("the last try returns or raises")


class AsyncClient:
    """The same, to be awaited; see `Client`."""

    def __init__(
        self,
        url: str,
        key: str | None = None,
        *,
        timeout: float = 60,
        retries: int = RETRIES,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._protocol = _Protocol(key, retries)
        self._http = httpx.AsyncClient(
            base_url=url, headers=self._protocol.headers, timeout=timeout, transport=transport
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def detect(self, picture: Picture, **parameters: Any) -> Result:
        """Find the objects in a picture, see `Client.detect`."""
        read = await asyncio.to_thread(_read, picture)
        content = await self._ask("POST", "/detect", params=parameters, files=_files([read]))
        return self._protocol.result(content, read)

    async def detect_batch(self, pictures: Iterable[Picture], **parameters: Any) -> list[Result | ServiceError]:
        """Find the objects in several pictures with one request, see `Client.detect_batch`."""
        reads = [await asyncio.to_thread(_read, picture) for picture in pictures]
        content = await self._ask("POST", "/detect/batch", params=parameters, files=_files(reads))
        return self._protocol.results(content, reads)

    async def concepts(self, query: str | None = None, **parameters: Any) -> list[dict[str, Any]]:
        """Search the concepts, see `Client.concepts`."""
        content = await self._ask("GET", "/classes", params={"query": query, **parameters})
        found: list[dict[str, Any]] = content["items"]
        return found

    async def concept(self, wnid: str) -> dict[str, Any]:
        """Return a concept, see `Client.concept`."""
        found: dict[str, Any] = await self._ask("GET", f"/classes/{wnid}")
        return found

    async def model(self, name: str | None = None) -> dict[str, Any]:
        """Return the model card, see `Client.model`."""
        found: dict[str, Any] = await self._ask("GET", "/model", params={"model": name})
        return found

    async def health(self) -> dict[str, Any]:
        """Return the state of a service that is ready, see `Client.health`."""
        found: dict[str, Any] = await self._ask("GET", "/health/ready")
        return found

    async def _ask(self, method: str, path: str, params: Mapping[str, Any] = NOTHING, files: Any = None) -> Any:
        request = self._protocol.request(method, path, params, files)
        for tries in itertools.count(1):
            try:
                response = await self._http.request(**request)
            except httpx.TransportError:
                seconds = self._protocol.wait(tries, None)
                if seconds is None:
                    raise
            else:
                seconds = self._protocol.wait(tries, response)
                if seconds is None:
                    return self._protocol.answer(response)
            await asyncio.sleep(seconds)
        raise AssertionError("the last try returns or raises")
