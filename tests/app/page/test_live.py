"""The camera, live, in a browser whose camera shows a film of ours."""

import io
import math
import re
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image
from playwright.sync_api import Browser, Playwright, expect
from prometheus_client.parser import text_string_to_metric_families
from websockets.sync.client import connect

from app.access.keys import make_key
from tests.app.page.conftest import DOG, DOG_PICTURE, Visitor, launched
from tests.app.page.test_access import violations
from tests.app.servers import Running, running, serving

pytestmark = pytest.mark.slow

SELECTED = """() => {
  const item = document.querySelector('#objects li:has([aria-expanded=true])');
  const box = document.querySelector('.box.selected');
  return item && box && [item.dataset.id, box.style.left];
}"""
"""The number of the object that is selected, and where its box is."""

KEY, ENTRY = make_key("page")


def film(path: Path) -> Path:
    """Write a film in which the view wanders over the dog's photo in four seconds: JPEGs, one after the other."""
    frames = []
    with Image.open(DOG_PICTURE) as picture:
        for step in range(120):
            left = round(32 - 32 * math.cos(2 * math.pi * step / 120))
            file = io.BytesIO()
            picture.crop((left, 24, left + 704, 552)).save(file, "JPEG", quality=85)
            frames.append(file.getvalue())
    path.write_bytes(b"".join(frames))
    return path


@pytest.fixture(scope="module")
def browser(playwright: Playwright, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    shown = film(tmp_path_factory.mktemp("camera") / "film.mjpeg")
    with launched(playwright, f"--use-file-for-fake-video-capture={shown}") as browser:
        yield browser


@pytest.fixture(scope="module")
def service() -> Iterator[httpx.Client]:
    with serving("--threads", "2", "--max-streams", "2") as client:
        yield client


def watch(visitor: Visitor) -> None:
    """Use the camera, and wait for the first answers."""
    visitor.page.get_by_role("button", name="Use the camera").click()
    expect(visitor.page.locator("#live-rate")).to_have_text(re.compile(r"^[0-9.]+ frames/s · \d+ ms$"))


def accessible(visitor: Visitor) -> None:
    """Check a paused picture: while a label changes its colour, it has another one for a moment."""
    visitor.page.get_by_role("button", name="Pause").click()
    visitor.page.wait_for_timeout(1500)
    assert violations(visitor) == []


def metric(service: httpx.Client, name: str, **labels: str) -> float:
    for family in text_string_to_metric_families(service.get("/metrics").text):
        for sample in family.samples:
            if sample.name == name and sample.labels == labels:
                return sample.value
    raise KeyError(name)


def answered(visitor: Visitor) -> float:
    return metric(visitor.service, "yolo9000_stream_frames_total", outcome="answered")


def test_the_picture_moves_and_its_objects_are_followed(visitor: Visitor) -> None:
    visitor.go()
    watch(visitor)
    page = visitor.page
    expect(page.locator("#summary")).to_have_text("Live")
    expect(page.locator("#objects .object-name").first).to_have_text(re.compile(r"^#\d+ "))
    places: dict[str, set[str]] = {}
    for _ in range(400):  # a busy machine looks at few frames a second, and may lose one object or another
        page.wait_for_timeout(100)
        found = page.evaluate(SELECTED)
        if found is not None:
            places.setdefault(found[0], set()).add(found[1])
        if any(len(seen) > 3 for seen in places.values()):
            break
    else:
        raise AssertionError(places)
    video = page.locator("#live-video").bounding_box()
    assert video
    for one in page.locator(".box").all():
        box = one.bounding_box()
        if box:  # it may have gone meanwhile
            assert box["x"] >= video["x"] - 2
            assert box["x"] + box["width"] <= video["x"] + video["width"] + 2
    assert page.locator("#photo").is_hidden()
    accessible(visitor)


def test_sliders_change_what_the_next_frames_are_asked(visitor: Visitor) -> None:
    visitor.go()
    watch(visitor)
    visitor.slide("hierarchy", 0.0)
    expect(visitor.objects.first).to_have_text(re.compile(r"^#\d+ object"))
    visitor.slide("hierarchy", 1.0)
    expect(visitor.page.locator("#objects")).not_to_contain_text("object:")
    visitor.slide("objectness", 1.0)
    expect(visitor.objects).to_have_count(0)
    visitor.slide("objectness", 0.3)
    expect(visitor.objects.first).to_be_visible()
    visitor.page.locator("#live-size").select_option("256")
    before = answered(visitor)
    visitor.page.wait_for_timeout(1500)
    assert answered(visitor) > before


def test_only_some_concepts(visitor: Visitor) -> None:
    visitor.go(f"#{DOG}")
    visitor.page.get_by_role("button", name="Detect only this").click()
    watch(visitor)
    expect(visitor.page.locator("#scope")).to_contain_text("Looking only for dog")
    expect(visitor.objects).to_have_count(1)
    visitor.page.get_by_role("button", name="Look for everything").click()
    expect(visitor.objects.nth(1)).to_be_visible()


def test_pause_keeps_the_picture_and_asks_about_it_alone(visitor: Visitor) -> None:
    visitor.go()
    watch(visitor)
    page = visitor.page
    page.get_by_role("button", name="Pause").click()
    expect(page.locator("#summary")).to_have_text("Paused")
    page.wait_for_timeout(1500)  # for the frame that was under way, and the one that is shown
    before = answered(visitor)
    page.wait_for_timeout(1500)
    assert answered(visitor) == before
    visitor.slide("hierarchy", 0.0)
    expect(visitor.objects.first).to_have_text(re.compile(r"^#\d+ object"))
    page.get_by_role("button", name="Go on").click()
    expect(page.locator("#summary")).to_have_text("Live")
    page.wait_for_timeout(1500)
    assert answered(visitor) > before + 2


def test_a_photo_can_be_taken(visitor: Visitor) -> None:
    visitor.go()
    watch(visitor)
    visitor.page.get_by_role("button", name="Take a photo").click()
    visitor.answered()
    expect(visitor.page.locator("#summary")).to_contain_text("704 × 528 px")
    expect(visitor.page.locator("#photo")).to_be_visible()
    expect(visitor.page.locator("#live")).to_be_hidden()
    assert not visitor.page.evaluate("document.querySelector('#live-video').srcObject")
    assert visitor.detections_asked >= 1  # once more where there are more boxes than one answer has


def test_stop_lets_go_of_the_camera_and_the_stream(visitor: Visitor) -> None:
    visitor.go()
    watch(visitor)
    visitor.page.get_by_role("button", name="Stop").click()
    expect(visitor.page.locator("#result")).to_be_hidden()
    expect(visitor.page.locator("#welcome")).to_be_visible()
    assert not visitor.page.evaluate("document.querySelector('#live-video').srcObject")
    visitor.page.wait_for_timeout(300)
    assert metric(visitor.service, "yolo9000_streams") == 0
    visitor.upload()
    watch(visitor)
    visitor.page.get_by_role("button", name="Stop").click()  # back to the photo from before
    visitor.answered()
    expect(visitor.page.locator("#photo")).to_be_visible()
    expect(visitor.objects.first).to_be_visible()


def test_another_photo_ends_it(visitor: Visitor) -> None:
    visitor.go()
    watch(visitor)
    visitor.upload()
    expect(visitor.page.locator("#live")).to_be_hidden()
    expect(visitor.page.locator("#summary")).to_contain_text("768 × 576 px")
    visitor.page.wait_for_timeout(300)
    assert metric(visitor.service, "yolo9000_streams") == 0


def test_another_view_lets_go_of_the_camera(visitor: Visitor) -> None:
    visitor.go()
    watch(visitor)
    visitor.page.get_by_role("link", name="Model").click()
    expect(visitor.page.locator("#model-card table").first).to_be_visible()
    assert not visitor.page.evaluate("document.querySelector('#live-video').srcObject")


def test_where_all_streams_are_taken_it_waits(visitor: Visitor) -> None:
    address = f"ws://{visitor.service.base_url.host}:{visitor.service.base_url.port}/detect/stream"
    visitor.go()
    with ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(connect(address, proxy=None))
        visitor.page.get_by_role("button", name="Use the camera").click()
        expect(visitor.page.locator("#summary")).to_have_text(re.compile(r"^Queue full: trying again in \d+ s$"))
    expect(visitor.page.locator("#summary")).to_have_text("Live")


def test_on_a_keyboard_alone(visitor: Visitor) -> None:
    visitor.go()
    visitor.page.locator("#camera").focus()
    visitor.page.keyboard.press("Enter")
    expect(visitor.page.locator("#live-rate")).to_have_text(re.compile("frames/s"))
    visitor.page.locator("#live-pause").focus()
    visitor.page.keyboard.press("Enter")
    expect(visitor.page.locator("#live-pause")).to_have_text("Go on")
    expect(visitor.page.locator("#live-pause")).to_be_focused()


class TestPhone:
    @pytest.fixture
    def options(self) -> dict[str, Any]:
        return {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}

    def test_it_fits_a_phone(self, visitor: Visitor) -> None:
        visitor.go()
        asked: list[Any] = []

        def noted(wish: Any) -> None:  # a method of a list has no place for what Playwright notes of it
            asked.append(wish)

        visitor.page.expose_function("noted", noted)
        visitor.page.evaluate(
            """() => {
              const real = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
              navigator.mediaDevices.getUserMedia = (wish) => (noted(wish.video), real(wish));
            }"""
        )
        watch(visitor)
        assert asked[0]["facingMode"] == {"ideal": "environment"}
        width = visitor.page.evaluate("document.documentElement.scrollWidth")
        assert width <= 390
        accessible(visitor)


class TestTwoCameras:
    @pytest.fixture(scope="class")
    @classmethod
    def browser(cls, playwright: Playwright) -> Iterator[Browser]:
        with launched(playwright, "--use-fake-device-for-media-stream=device-count=2") as browser:
            yield browser

    def test_the_other_one_can_be_taken(self, visitor: Visitor) -> None:
        visitor.go()
        watch(visitor)
        camera = "document.querySelector('#live-video').srcObject.getVideoTracks()[0].getSettings().deviceId"
        first = visitor.page.evaluate(camera)
        visitor.page.get_by_role("button", name="Other camera").click()
        visitor.page.wait_for_function(
            f"() => document.querySelector('#live-video').srcObject && {camera} !== '{first}'"
        )
        before = answered(visitor)
        visitor.page.wait_for_timeout(1500)
        assert answered(visitor) > before


class TestNoCamera:
    def test_one_that_may_not_be_used_is_told_of(self, visitor: Visitor) -> None:
        visitor.go()
        visitor.page.evaluate(
            """() => (navigator.mediaDevices.getUserMedia =
              () => Promise.reject(new DOMException('', 'NotAllowedError')))"""
        )
        visitor.page.get_by_role("button", name="Use the camera").click()
        expect(visitor.page.locator("#problem")).to_contain_text("The browser does not let this page use the camera.")
        expect(visitor.page.locator("#problem").get_by_role("button", name="Try again")).to_be_visible()
        expect(visitor.page.locator("#live")).to_be_hidden()

    def test_one_that_stops_is_told_of(self, visitor: Visitor) -> None:
        visitor.go()
        watch(visitor)
        visitor.page.evaluate(
            """() => document.querySelector('#live-video').srcObject.getVideoTracks()[0]
              .dispatchEvent(new Event('ended'))"""
        )
        expect(visitor.page.locator("#problem")).to_contain_text("The camera has stopped.")

    def test_where_the_page_may_have_none_the_phone_takes_the_photo(self, visitor: Visitor) -> None:
        visitor.page.add_init_script("Object.defineProperty(navigator, 'mediaDevices', { value: undefined })")
        visitor.go()
        with visitor.page.expect_file_chooser() as chooser:
            visitor.page.get_by_role("button", name="Take a photo").click()
        chooser.value.set_files(DOG_PICTURE)
        visitor.answered()
        expect(visitor.objects.first).to_be_visible()


class TestKey:
    @pytest.fixture(scope="class")
    @classmethod
    def service(cls) -> Iterator[httpx.Client]:
        with serving("--threads", "2", "--api-keys", str(ENTRY), "--metrics", "open") as client:
            yield client

    def test_the_key_that_the_person_gave_opens_the_stream(self, visitor: Visitor) -> None:
        page = visitor.page
        page.goto(str(visitor.service.base_url))
        page.locator("#key").fill(KEY)
        page.get_by_role("button", name="Use it").click()
        watch(visitor)
        expect(page.locator("#summary")).to_have_text("Live")


class TestStopped:
    @pytest.fixture(scope="class")
    @classmethod
    def server(cls) -> Iterator[Running]:
        with running("--threads", "2") as server:
            yield server

    @pytest.fixture(scope="class")
    @classmethod
    def service(cls, server: Running) -> httpx.Client:
        return server.client

    def test_a_service_that_stops_is_told_of(self, visitor: Visitor, server: Running) -> None:
        visitor.go()
        watch(visitor)
        server.process.send_signal(signal.SIGTERM)
        server.process.wait(30)
        expect(visitor.page.locator("#problem")).to_contain_text("The service cannot be reached.")
        expect(visitor.page.locator("#live")).to_be_hidden()
        visitor.complaints.clear()
