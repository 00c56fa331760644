"""A web page and the files it loads, stored in a folder of the package and served as they are; nothing is built.

Scripts, styles and pictures have a path that names the content of all of them, so that a browser may keep them for
good; the page itself, a few kilobytes, it asks for anew each time.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from fastapi import Request, Response

from app.contract.errors import NotFoundError
from app.http.stored_answer import StoredAnswer

MEDIA_TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".jpg": "image/jpeg",
}

INDEX = "index.html"

VERSION_PLACEHOLDER = b"{{version}}"
"""Stands in index.html where the paths of the other files name their content."""

_FILE_HEADERS = {
    "Cache-Control": "public, max-age=31536000, immutable",
    "X-Content-Type-Options": "nosniff",
}


def content_security_policy(**allowed: str) -> str:
    """Return a policy that allows a page its own host's files, no frame around it, and what is named.

    Args:
        allowed: further sources, by the name of their directive with `_` for `-`: `img_src="data:"`.
    """
    policy = {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self'",
        "connect-src": "'self'",
        "form-action": "'self'",
        "base-uri": "'none'",
        "frame-ancestors": "'none'",
    }
    for directive, source in allowed.items():
        policy[directive.replace("_", "-")] += f" {source}"
    return "; ".join(f"{directive} {sources}" for directive, sources in policy.items())


def page_headers(policy: str, permissions: str) -> dict[str, str]:
    """Return the headers of a page.

    Args:
        policy: its Content-Security-Policy.
        permissions: its Permissions-Policy.
    """
    return {
        "Cache-Control": "no-cache",
        "Content-Security-Policy": policy,
        "Permissions-Policy": permissions,
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }


@dataclass(frozen=True)
class StoredFiles:
    """The page and the files it loads, by their path below their folder, and what their content is called."""

    version: str
    index: StoredAnswer
    files: Mapping[str, StoredAnswer]

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read a folder with an index.html."""
        bodies = {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.suffix in MEDIA_TYPES
        }
        digest = hashlib.sha256()
        for name, body in bodies.items():
            digest.update(f"{name} {len(body)}\n".encode() + body)
        version = digest.hexdigest()[:16]
        index = bodies.pop(INDEX).replace(VERSION_PLACEHOLDER, version.encode())
        return cls(
            version=version,
            index=StoredAnswer.of(index, MEDIA_TYPES[".html"]),
            files={name: StoredAnswer.of(body, MEDIA_TYPES[Path(name).suffix]) for name, body in bodies.items()},
        )

    def file(self, request: Request, version: str, name: str) -> Response:
        """Answer a request for one of the files.

        Raises:
            NotFoundError: there is no such file, or it has changed.
        """
        if version != self.version or name not in self.files:
            raise NotFoundError("no such file, or it has changed; reload the page")
        return self.files[name].response(request, _FILE_HEADERS)
