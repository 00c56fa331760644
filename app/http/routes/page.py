"""GET /: the web page."""

import functools
from pathlib import Path

from fastapi import APIRouter, Request, Response

from app.http.stored_files import StoredFiles, content_security_policy, page_headers

PAGE = Path(__file__).parents[2] / "page"

CONTENT_SECURITY_POLICY = content_security_policy(img_src="blob:")
"""Pictures that a visitor chooses are shown from memory."""

_HEADERS = page_headers(CONTENT_SECURITY_POLICY, "camera=(self)")

router = APIRouter(include_in_schema=False)


@functools.cache
def stored_page() -> StoredFiles:
    """Read the files of the page, once."""
    return StoredFiles.read(PAGE)


@router.api_route("/", methods=["GET", "HEAD"])
async def show_page(request: Request) -> Response:
    """The page."""
    return stored_page().index.response(request, _HEADERS)


@router.api_route("/page/{version}/{name:path}", methods=["GET", "HEAD"])
async def show_file(request: Request, version: str, name: str) -> Response:
    """One of the files the page loads."""
    return stored_page().file(request, version, name)
