"""GET /: the web page. Its files lie in app/page and are served as they are; nothing is built.

Scripts, styles and pictures have a path that names the content of all of them, so that a browser may keep them
for good; the page itself, a few kilobytes, it asks for anew each time.
"""

import functools
import hashlib
from dataclasses import dataclass
from pathlib import Path

from fastapi import APIRouter, Request, Response

from app.contract.errors import NotFoundError
from app.http.stored_answer import StoredAnswer

PAGE = Path(__file__).parents[2] / "page"

MEDIA_TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".jpg": "image/jpeg",
}

VERSION_PLACEHOLDER = b"{{version}}"
"""Stands in index.html where the paths of the other files name their content."""

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob:",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)

_PAGE_HEADERS = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Permissions-Policy": "camera=(self)",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_FILE_HEADERS = {
    "Cache-Control": "public, max-age=31536000, immutable",
    "X-Content-Type-Options": "nosniff",
}

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class StoredPage:
    """The page and the files it loads, by their path below app/page, and what their content is called."""

    version: str
    index: StoredAnswer
    files: dict[str, StoredAnswer]


@functools.cache
def stored_page() -> StoredPage:
    """Read the files of the page, once."""
    bodies = {
        path.relative_to(PAGE).as_posix(): path.read_bytes()
        for path in sorted(PAGE.rglob("*"))
        if path.suffix in MEDIA_TYPES
    }
    digest = hashlib.sha256()
    for name, body in bodies.items():
        digest.update(f"{name} {len(body)}\n".encode() + body)
    version = digest.hexdigest()[:16]
    index = bodies.pop("index.html").replace(VERSION_PLACEHOLDER, version.encode())
    return StoredPage(
        version=version,
        index=StoredAnswer.of(index, MEDIA_TYPES[".html"]),
        files={name: StoredAnswer.of(body, MEDIA_TYPES[Path(name).suffix]) for name, body in bodies.items()},
    )


@router.api_route("/", methods=["GET", "HEAD"])
async def show_page(request: Request) -> Response:
    """The page."""
    return stored_page().index.response(request, _PAGE_HEADERS)


@router.api_route("/page/{version}/{name:path}", methods=["GET", "HEAD"])
async def show_file(request: Request, version: str, name: str) -> Response:
    """One of the files the page loads."""
    page = stored_page()
    if version != page.version or name not in page.files:
        raise NotFoundError("there is no such file of the page, or it has changed; load the page again")
    return page.files[name].response(request, _FILE_HEADERS)
