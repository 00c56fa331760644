"""Answers that never change while the service runs: made once, compressed once, sent with what caches need."""

import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from fastapi import Request, Response

from app.http.negotiation import accepts_coding, matches_etag

WORTH_COMPRESSING = 0.9
"""Compressed bytes are kept where they are fewer than this share of the plain ones."""


@dataclass(frozen=True)
class StoredAnswer:
    """The body of an answer with its type, its ETag, and its gzip form if that is worth it."""

    body: bytes
    media_type: str
    etag: str
    compressed: bytes | None

    @classmethod
    def of(cls, body: bytes, media_type: str) -> Self:
        """Compress a body; the ETag is weak, because both forms share it."""
        compressed = gzip.compress(body, mtime=0)
        small = len(compressed) < WORTH_COMPRESSING * len(body)
        etag = f'W/"{hashlib.sha256(body).hexdigest()[:32]}"'
        return cls(body, media_type, etag, compressed if small else None)

    def response(self, request: Request, headers: Mapping[str, str]) -> Response:
        """Answer a request: 304 if the client has it already, compressed if it can take that."""
        common = {"ETag": self.etag, "Vary": "Accept-Encoding", **headers}
        if matches_etag(request.headers.get("if-none-match"), self.etag.removeprefix("W/")):
            return Response(status_code=304, headers=common)
        if self.compressed is None or not accepts_coding(request.headers.get("accept-encoding"), "gzip"):
            return Response(self.body, media_type=self.media_type, headers=common)
        return Response(self.compressed, media_type=self.media_type, headers={**common, "Content-Encoding": "gzip"})
