"""Debian's chromium on a real server with the embedded model: one of each for all tests of the page."""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, Playwright, Request, expect, sync_playwright

from tests.app.servers import serving

ROOT = Path(__file__).parents[3]
DOG_PICTURE = ROOT / "docs" / "dog.jpg"
DOG = "n02084071"

PATIENCE_MILLISECONDS = 60_000
"""How long anything on the page may take: many times what it does, for busy machines."""

ARGUMENTS = [
    "--no-sandbox",  # as root, as in CI, there is none
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
]


@dataclass
class Visitor:
    """A person with a browser of their own, at the page."""

    page: Page
    service: httpx.Client
    requests: list[Request] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    streams: list[str] = field(default_factory=list)

    def go(self, address: str = "") -> None:
        """Open the page afresh, at a `#` address if given, and wait until it works."""
        self.page.goto("about:blank")
        self.page.goto(f"{self.service.base_url}{address}")
        expect(self.page.locator("#theme")).to_be_visible()
        expect(self.page.locator("#tree-size")).to_have_text(re.compile(r"^\d"))

    def upload(self, *, name: str = "dog.jpg", content: bytes | None = None) -> None:
        """Choose a photo, by default that of the dog, and wait until the page has an answer."""
        data = DOG_PICTURE.read_bytes() if content is None else content
        self.page.set_input_files("#file", {"name": name, "mimeType": "image/jpeg", "buffer": data})
        self.answered()

    def answered(self) -> None:
        """Wait until the page has an answer, be it an error."""
        expect(self.page.locator("#result")).to_be_visible()
        expect(self.page.locator("#waiting")).to_be_hidden()

    def slide(self, name: str, position: float) -> None:
        """Move a slider to a position of 0 to 1, from its left end."""
        self.page.locator(f"#slider-{name}").fill(str(position))
        self.page.evaluate("() => new Promise(requestAnimationFrame)")

    def request(self, request: Request) -> None:
        """Note what the page asks for."""
        self.requests.append(request)

    @property
    def objects(self) -> Locator:
        """The names in the list of objects."""
        return self.page.locator("#objects .object-name")

    @property
    def detections_asked(self) -> int:
        """How many pictures the page has sent."""
        return sum("/detect?" in request.url for request in self.requests)


@pytest.fixture(scope="package")
def service() -> Iterator[httpx.Client]:
    with serving("--threads", "2") as client:
        yield client


@pytest.fixture(scope="package")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as playwright:
        yield playwright


@contextmanager
def launched(playwright: Playwright, *arguments: str) -> Iterator[Browser]:
    """Start a browser; arguments that come later count more."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not installed (Debian's package chromium)")
    browser = playwright.chromium.launch(
        executable_path=chromium, args=[*ARGUMENTS, *arguments], timeout=PATIENCE_MILLISECONDS
    )
    yield browser
    browser.close()


@pytest.fixture(scope="package")
def browser(playwright: Playwright) -> Iterator[Browser]:
    with launched(playwright) as browser:
        yield browser


@pytest.fixture
def options() -> dict[str, Any]:
    """What the browser of a test is like; to be overridden."""
    return {"viewport": {"width": 1280, "height": 860}}


@pytest.fixture
def visitor(browser: Browser, service: httpx.Client, options: dict[str, Any]) -> Iterator[Visitor]:
    """A visitor; afterwards, that no other host was asked for anything and nothing went wrong unseen."""
    context: BrowserContext = browser.new_context(**options)
    context.set_default_timeout(PATIENCE_MILLISECONDS)
    expect.set_options(timeout=PATIENCE_MILLISECONDS)
    visitor = Visitor(context.new_page(), service)
    visitor.page.on("request", visitor.request)
    visitor.page.on("websocket", lambda socket: visitor.streams.append(socket.url))
    visitor.page.on("pageerror", lambda error: visitor.complaints.append(str(error)))
    visitor.page.on(
        "console", lambda message: visitor.complaints.append(message.text) if message.type == "error" else None
    )
    yield visitor
    context.close()
    hosts = {httpx.URL(request.url).host for request in visitor.requests if request.url.startswith("http")}
    assert hosts | {httpx.URL(address).host for address in visitor.streams} <= {service.base_url.host}
    # The browser itself writes a line for every answer with an error status, and for every stream that is not opened.
    own = re.compile("Failed to load resource|WebSocket connection to '[^']*' failed")
    assert [text for text in visitor.complaints if not own.search(text)] == []
