"""GET /docs: the interface, to read and to try out. Swagger UI comes with the package; no other host is asked."""

import functools
from pathlib import Path

from fastapi import APIRouter, Request, Response

from app.http.stored_files import StoredFiles, content_security_policy, page_headers

API_PAGE = Path(__file__).parents[2] / "api_page"

DOCS_POLICY = content_security_policy(img_src="data: blob:")
"""Swagger UI's styles hold small pictures, and it shows pictures that are answered from memory."""

_HEADERS = page_headers(DOCS_POLICY, "camera=()")

router = APIRouter(include_in_schema=False)


@functools.cache
def stored_docs() -> StoredFiles:
    """Read the files of the page, once."""
    return StoredFiles.read(API_PAGE)


@router.api_route("/docs", methods=["GET", "HEAD"])
async def show_docs(request: Request) -> Response:
    """The page."""
    return stored_docs().index.response(request, _HEADERS)


@router.api_route("/docs/{version}/{name:path}", methods=["GET", "HEAD"])
async def show_file(request: Request, version: str, name: str) -> Response:
    """One of the files the page loads."""
    return stored_docs().file(request, version, name)
