"""The view of one photo, in a browser."""

import io
import json
import re
import shlex
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image
from playwright.sync_api import Route, expect

from app.engine.captions import label_text
from app.http.routes.page import PAGE
from tests.app.page.conftest import DOG, DOG_PICTURE, Visitor

pytestmark = pytest.mark.slow

DROP = """([bytes, type]) => {
  const files = new DataTransfer();
  files.items.add(new File([new Uint8Array(bytes)], 'given.jpg', { type: 'image/jpeg' }));
  document.dispatchEvent(type === 'paste'
    ? new ClipboardEvent('paste', { clipboardData: files, bubbles: true, cancelable: true })
    : new DragEvent('drop', { dataTransfer: files, bubbles: true, cancelable: true }));
}"""


CAT_PICTURE = PAGE / "samples" / "cat.jpg"


def ask(service: httpx.Client, photo: Path = DOG_PICTURE, /, **parameters: Any) -> Any:
    """What the service itself answers to a photo."""
    content = photo.read_bytes()
    response = service.post("/detect", params=parameters, content=content, headers={"content-type": "image/jpeg"})
    assert response.status_code == 200, response.text
    return response.json()


def names(result: Any) -> list[str]:
    """The labels of an answer with what each hesitates between, as the list of objects shows them."""
    return [
        label_text(found["label"]["name"], [(other["name"], other["probability"]) for other in found["alternatives"]])
        for found in result["detections"]
    ]


def kind_of_cat(service: httpx.Client) -> str:
    """What the service calls the only object of the cat's photo."""
    (found,) = ask(service, CAT_PICTURE)["detections"]
    assert "cat" in [step["name"] for step in found["path"]]
    name: str = found["label"]["name"]
    return name


def test_an_upload_shows_what_the_service_answers_by_default(visitor: Visitor) -> None:
    visitor.go()
    expect(visitor.page.locator("h1:visible")).to_have_count(1)
    visitor.upload()
    answer = ask(visitor.service)
    expected = answer["detections"]
    expect(visitor.objects).to_have_text(names(answer))
    expect(visitor.page.locator("#summary")).to_contain_text(f"{len(expected)} objects · 768 × 576 px")
    # The boxes lie over the photo where the service says.
    photo = visitor.page.locator("#photo").bounding_box()
    drawn = [box.bounding_box() for box in visitor.page.locator(".box").all()]
    assert photo
    assert len(drawn) == len(expected)
    scale = photo["width"] / 768
    for box, found in zip(drawn, expected, strict=True):
        assert box
        assert box["x"] - photo["x"] == pytest.approx(found["box"]["x1"] * scale, abs=1)
        assert box["y"] - photo["y"] == pytest.approx(found["box"]["y1"] * scale, abs=1)
        assert box["width"] == pytest.approx((found["box"]["x2"] - found["box"]["x1"]) * scale, abs=1.5)


def test_sliders_give_the_service_s_answers_without_asking_it(visitor: Visitor) -> None:
    visitor.go()
    visitor.upload()
    seen = set()
    for specificity, objectness, overlap in ((0, 0.25, 0.45), (0.3, 0.25, 0.45), (1, 0.1, 0.2), (1, 0.05, 1)):
        visitor.slide("hierarchy", specificity)
        visitor.slide("objectness", objectness)
        visitor.slide("iou", overlap)
        parameters = {
            "threshold": objectness,
            "hierarchy_threshold": round(1 - specificity**2, 4),
            "iou_threshold": overlap,
        }
        expected = names(ask(visitor.service, **parameters))
        expect(visitor.objects).to_have_text(expected)
        expect(visitor.page.locator(".box-label")).to_have_count(len(expected))
        seen.add(tuple(expected))
    assert len(seen) == 4
    assert visitor.detections_asked == 1


def test_an_object_shows_its_path_with_a_bar_at_each_level(visitor: Visitor) -> None:
    visitor.go()
    visitor.upload()
    first = ask(visitor.service)["detections"][0]
    label, box = first["label"]["name"], first["box"]
    # in another order, as scores are others, and unsuppressed, as another box may be the better one then
    every = ask(visitor.service, hierarchy_threshold=0, iou_threshold=1, max_detections=300)["detections"]
    (full,) = (found["path"] for found in every if found["box"] == box)
    visitor.page.locator(".box").first.hover()
    levels = visitor.page.locator(".levels li")
    expect(levels.locator("a")).to_have_text([step["name"] for step in full])
    expect(levels.locator(".probability")).to_have_text([f"{step['probability']:.2f}" for step in full])
    expect(visitor.page.locator(".levels li[aria-current] a")).to_have_text(label)
    bar = levels.last.locator(".bar")
    whole, filled = bar.bounding_box(), bar.locator(".bar-filled").bounding_box()
    assert whole
    assert filled
    assert filled["width"] / whole["width"] == pytest.approx(full[-1]["probability"], abs=0.02)
    visitor.slide("hierarchy", 0)
    expect(visitor.page.locator(".levels li[aria-current] a")).to_have_text("object")
    expect(visitor.page.locator(".levels li.beyond")).to_have_count(len(full) - 1)


def test_other_objects_can_be_selected_and_folded(visitor: Visitor) -> None:
    visitor.go()
    visitor.upload()
    third = visitor.page.locator(".object").nth(2)  # the bicycle: no alternatives, for which its label has no room
    third.click()
    expect(third).to_have_attribute("aria-expanded", "true")
    expect(visitor.page.locator(".levels")).to_have_count(1)
    expect(visitor.page.locator(".box.selected .box-label")).to_have_text(visitor.objects.nth(2).inner_text())
    third.click()
    expect(visitor.page.locator(".levels")).to_have_count(0)


def test_what_is_shown_can_be_taken_away(visitor: Visitor) -> None:
    visitor.go()
    visitor.upload(name="my dog's.jpg")
    visitor.slide("hierarchy", 0.4)
    visitor.slide("objectness", 0.3)
    expected = ask(visitor.service, threshold=0.3, hierarchy_threshold=0.84)
    with visitor.page.expect_download() as download:
        visitor.page.get_by_role("button", name="Save JSON").click()
    saved = json.loads(download.value.path().read_text())
    assert download.value.suggested_filename == "my dog's.json"
    assert set(saved) == set(expected)
    for name in ("image", "model"):
        assert saved[name] == expected[name]
    assert names(saved) == names(expected)
    assert [set(found) for found in saved["detections"]] == [set(found) for found in expected["detections"]]

    with visitor.page.expect_download() as download:
        visitor.page.get_by_role("button", name="Save picture").click()
    with Image.open(download.value.path()) as picture, Image.open(DOG_PICTURE) as original:
        assert (picture.format, picture.size) == ("JPEG", original.size)
        box = expected["detections"][0]["box"]
        on_edge = round(box["x1"]), round((box["y1"] + box["y2"]) / 2)
        assert picture.getpixel(on_edge) != original.getpixel(on_edge)

    visitor.page.get_by_text("The same with curl").click()
    program, option, field, address = shlex.split(visitor.page.locator("#curl").inner_text())
    assert (program, option, field) == ("curl", "-F", 'image=@"my dog\'s.jpg"')
    answer = visitor.service.post(address, files={"image": DOG_PICTURE.read_bytes()})
    assert names(answer.json()) == names(expected)


@pytest.mark.parametrize("way", ["drop", "paste"])
def test_photos_can_be_dropped_and_pasted(visitor: Visitor, way: str) -> None:
    visitor.go("#model")
    visitor.page.evaluate(DROP, [list(CAT_PICTURE.read_bytes()), way])
    visitor.answered()
    expect(visitor.objects).to_have_text([kind_of_cat(visitor.service)])


def test_a_sample_can_be_tried(visitor: Visitor) -> None:
    visitor.go()
    visitor.page.get_by_role("button", name="Cat").click()
    visitor.answered()
    expect(visitor.objects).to_have_text([kind_of_cat(visitor.service)])


def test_detection_restricted_to_a_concept(visitor: Visitor) -> None:
    visitor.go(f"#{DOG}")
    visitor.page.get_by_role("button", name="Detect only this").click()
    visitor.upload()
    expect(visitor.page.locator("#scope")).to_contain_text("Looking only for dog")
    expect(visitor.objects).to_have_text(names(ask(visitor.service, under=DOG)))
    visitor.slide("hierarchy", 0.2)
    expect(visitor.objects).to_have_text(names(ask(visitor.service, under=DOG, hierarchy_threshold=0.96)))
    assert visitor.detections_asked == 1
    visitor.page.get_by_role("button", name="Look for everything").click()
    visitor.answered()
    expect(visitor.page.locator("#scope")).to_be_hidden()
    assert visitor.detections_asked == 2


def test_a_file_that_is_no_photo(visitor: Visitor) -> None:
    visitor.go()
    visitor.upload(name="notes.jpg", content=b"These are words.")
    problem = visitor.page.get_by_role("alert").filter(visible=True)
    expect(problem).to_contain_text(re.compile("Unsupported type|Unreadable picture"))
    expect(visitor.page.locator("#stage")).to_be_hidden()
    expect(visitor.page.get_by_role("button", name="Try again")).to_have_count(0)
    visitor.upload()
    expect(problem).to_have_count(0)
    expect(visitor.objects.first).to_be_visible()


def test_nothing_found(visitor: Visitor) -> None:
    visitor.go()
    file = io.BytesIO()
    Image.new("RGB", (320, 240), (127, 127, 127)).save(file, "PNG")
    visitor.upload(name="grey.png", content=file.getvalue())
    expect(visitor.page.locator("#summary")).to_contain_text("0 objects")
    expect(visitor.page.locator("#nothing")).to_be_visible()


def test_a_picture_the_browser_cannot_show_is_made_into_one_it_can(visitor: Visitor) -> None:
    file = io.BytesIO()
    with Image.open(DOG_PICTURE) as original:
        original.save(file, "TIFF")
    visitor.go()
    visitor.upload(name="dog.tiff", content=file.getvalue())
    assert visitor.page.evaluate("document.querySelector('#photo').naturalWidth") == 768
    expect(visitor.objects.first).to_be_visible()


def test_a_full_queue_is_waited_for(visitor: Visitor) -> None:
    def full_at_first(route: Route) -> None:
        if visitor.detections_asked > 1:
            route.continue_()
            return
        body = {"type": "urn:yolo9000:problem:queue-full", "title": "Queue full", "status": 429, "detail": "Full."}
        route.fulfill(status=429, headers={"Retry-After": "2"}, json=body, content_type="application/problem+json")

    visitor.page.route("**/detect?*", full_at_first)
    visitor.go()
    visitor.page.set_input_files("#file", DOG_PICTURE)
    expect(visitor.page.locator("#waiting")).to_have_text(re.compile("Queue full: asking again in [12] s"))
    visitor.answered()
    expect(visitor.objects.first).to_be_visible()
    assert visitor.detections_asked == 2


def test_a_service_that_is_gone_can_be_tried_again(visitor: Visitor) -> None:
    visitor.go()
    visitor.page.route("**/detect?*", lambda route: route.abort())
    visitor.upload()
    expect(visitor.page.get_by_role("alert").filter(visible=True)).to_contain_text("cannot be reached")
    visitor.page.unroute("**/detect?*")
    visitor.page.get_by_role("button", name="Try again").click()
    expect(visitor.objects.first).to_be_visible()


def test_a_service_that_wants_a_key_is_given_one(visitor: Visitor) -> None:
    def guarded(route: Route) -> None:
        if route.request.headers.get("x-api-key") == "the key":
            route.continue_()
            return
        body = {"type": "urn:yolo9000:problem:unauthorized", "title": "Unauthorized", "status": 401, "detail": "No."}
        route.fulfill(status=401, json=body, content_type="application/problem+json")

    for path in ("model", "tree", "detect?*"):
        visitor.page.route(f"**/{path}", guarded)
    visitor.page.goto(str(visitor.service.base_url))
    for key in ("another", "the key"):
        dialog = visitor.page.get_by_role("dialog")
        expect(dialog).to_have_count(1)
        dialog.get_by_label("Key").fill(key)
        visitor.page.keyboard.press("Enter")
    expect(visitor.page.locator("#tree-size")).to_have_text(re.compile(r"^\d"))
    visitor.upload()
    expect(visitor.objects.first).to_be_visible()


def test_more_boxes_than_one_answer_holds(visitor: Visitor) -> None:
    """An answer as long as may be may lack boxes: the page asks for surer ones, and offers no others."""

    def crowded(route: Route) -> None:
        response = route.fetch()
        body = response.json()
        if "threshold=0.05&" in route.request.url:
            body["detections"] = (body["detections"] * 300)[:300]
        route.fulfill(response=response, json=body)

    visitor.page.route("**/detect?*", crowded)
    visitor.go()
    visitor.upload()
    expect(visitor.page.locator("#slider-objectness")).to_have_attribute("min", "0.1")
    expect(visitor.objects).to_have_text(names(ask(visitor.service)))
    assert visitor.detections_asked == 2


class TestWithoutJavaScript:
    @pytest.fixture
    def options(self) -> dict[str, Any]:
        return {"java_script_enabled": False}

    def test_a_form_sends_the_photo(self, visitor: Visitor) -> None:
        visitor.page.goto(str(visitor.service.base_url))
        expect(visitor.page.get_by_role("heading", level=1)).to_have_text("Find the objects in a photo")
        visitor.page.get_by_label("A photo", exact=True).set_input_files(DOG_PICTURE)
        with visitor.page.expect_navigation() as navigation:
            visitor.page.get_by_role("button", name="Send the photo").click()
        assert navigation.value.json()["detections"]
