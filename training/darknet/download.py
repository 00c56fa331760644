"""Fetching a weights file: resumed after a cut, checked against its digest, complete or not there at all."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Final, Self

import httpx2
from tqdm import tqdm

from training.darknet.errors import DownloadError

logger = logging.getLogger(__name__)

TIMEOUT: Final = 30.0  # seconds without a byte
ATTEMPTS: Final = 5  # at one address, counted anew whenever bytes arrive
PAUSE: Final = 1.0  # seconds before asking again where nothing arrived
DIGEST_LENGTHS: Final = {"sha256": 64, "sha1": 40, "md5": 32}  # hexadecimal digits


@dataclass(frozen=True)
class Digest:
    """What a file's bytes hash to: "sha256:9b8b...". Older publications have only sha1 or md5."""

    algorithm: str
    value: str

    def __post_init__(self) -> None:
        digits = set(self.value) <= set("0123456789abcdef")
        if DIGEST_LENGTHS.get(self.algorithm) != len(self.value) or not digits:
            raise ValueError(f"{self} is no digest: it takes sha256: and 64 hexadecimal digits")

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.value}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a digest; digits alone are sha256's.

        Raises:
            ValueError: it is none.
        """
        algorithm, _, value = text.strip().lower().rpartition(":")
        return cls(algorithm or "sha256", value)

    @classmethod
    def of(cls, path: Path, algorithm: str = "sha256") -> Self:
        """Return the digest of a file."""
        with path.open("rb") as file:
            # md5 and sha1 tell a damaged file from a whole one as well, and no one has published better ones of some.
            hashed = hashlib.file_digest(file, lambda: hashlib.new(algorithm, usedforsecurity=False))
        return cls(algorithm, hashed.hexdigest())


def download(addresses: Sequence[str], path: Path, digest: Digest | None, *, most: int) -> Digest:
    """Fetch a file, unless it is there already; return its sha256.

    What has arrived is kept beside the file under a name ending in .part, and the next call goes on from there.

    Args:
        addresses: tried in order until one has the file.
        path: where it is to be.
        digest: what the file's is to be; None where no one has published it: then it is only told.
        most: bytes; a longer file is not fetched to its end.

    Raises:
        DownloadError: no address has it, the connection was cut for good, or the digest is another one.
    """
    if path.exists():
        _check_digest(path, digest, f"{path} was there already and is another file: move it away, or give its digest")
        return Digest.of(path)
    partial = path.with_name(f".{path.name}.part")
    path.parent.mkdir(parents=True, exist_ok=True)
    reasons = []
    for address in addresses:
        try:
            _fetch(address, partial, most)
        except DownloadError as error:
            reasons.append(str(error))
            continue
        try:
            _check_digest(partial, digest, f"{address} gave another file than it should")
        except DownloadError as error:
            partial.unlink()
            reasons.append(str(error))
            continue
        partial.replace(path)
        found = Digest.of(path)
        if digest is None:
            logger.warning("no one has published a digest of %s; this one's is %s", path.name, found)
        return found
    raise DownloadError("\n".join(reasons))


def _check_digest(path: Path, digest: Digest | None, problem: str) -> None:
    if digest is not None:
        found = Digest.of(path, digest.algorithm)
        if found != digest:
            raise DownloadError(f"{problem}: its digest is {found}, not {digest}")


def _fetch(address: str, partial: Path, most: int) -> None:
    """Fetch into `partial`, going on from what it holds; ask again after a cut."""
    attempts = ATTEMPTS
    while True:
        before = partial.stat().st_size if partial.exists() else 0
        try:
            _fetch_once(address, partial, before, most)
        except httpx2.InvalidURL as error:
            raise DownloadError(f"{address}: is no address ({error})") from error
        except (httpx2.HTTPError, OSError) as error:
            after = partial.stat().st_size if partial.exists() else 0
            attempts = ATTEMPTS if after > before else attempts - 1
            if isinstance(error, OSError) or not attempts:
                raise DownloadError(
                    f"{address}: {_reason(error)}; {after} bytes are kept, and the same command goes on from them"
                ) from error
            logger.warning("%s: %s; going on from byte %d", address, _reason(error), after)
            if after == before:
                time.sleep(PAUSE)
        else:
            return


def _fetch_once(address: str, partial: Path, start: int, most: int) -> None:
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
    with httpx2.stream("GET", address, headers=headers, follow_redirects=True, timeout=TIMEOUT) as response:
        if response.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            # All of it is there, or of something longer: the digest tells.
            if response.headers.get("Content-Range") == f"bytes */{start}":
                return
            partial.unlink()
            raise httpx2.RemoteProtocolError("what is kept does not fit", request=response.request)
        if response.status_code not in {HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT}:
            raise DownloadError(f"{address}: the server answers {response.status_code} {response.reason_phrase}")
        if response.headers.get("Content-Type", "").startswith("text/html"):
            raise DownloadError(f"{address}: the server answers with a web page, not with the file")
        if not response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
            start = 0  # the server sends all of it
        length = int(response.headers.get("Content-Length", 0))
        if start + length > most:
            raise DownloadError(f"{address}: has {start + length} bytes, where {most} at most are right")
        with (
            partial.open("r+b" if start else "wb") as file,
            tqdm(
                desc=address.rpartition("/")[2], initial=start, total=start + length or None, unit="B", unit_scale=True
            ) as bar,
        ):
            file.seek(start)
            file.truncate()
            for chunk in response.iter_raw():
                file.write(chunk)
                bar.update(len(chunk))
                if file.tell() > most:
                    raise DownloadError(f"{address}: has more than the {most} bytes that are right")


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__
