"""For whom the page works: keyboard alone, narrow screens, assistive technology; and what it costs to load."""

import re
from pathlib import Path
from typing import Any

import axe_playwright_python
import pytest
from playwright.sync_api import expect

from app.http.routes.page import PAGE
from tests.app.page.conftest import DOG, Visitor

pytestmark = pytest.mark.slow

DOG_SAMPLE = PAGE / "samples" / "dog.jpg"

AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()
RUN_AXE = (
    "async () => (await axe.run()).violations.map(({id, impact, nodes}) => [id, impact, nodes.map((n) => n.html)])"
)
MOST_BYTES = 300_000
TRANSFERRED = """() => performance.getEntriesByType('resource').concat(performance.getEntriesByType('navigation'))
  .reduce((sum, entry) => sum + entry.transferSize, 0)"""


def violations(visitor: Visitor) -> list[Any]:
    visitor.page.evaluate(AXE)
    found: list[Any] = visitor.page.evaluate(RUN_AXE)
    return found


@pytest.fixture(params=["light", "dark"])
def options(request: pytest.FixtureRequest) -> dict[str, Any]:
    scheme: dict[str, Any] = {"color_scheme": request.param, "reduced_motion": "reduce"}
    return {"viewport": {"width": 1280, "height": 860}, **scheme}


def test_no_view_violates_what_axe_checks(visitor: Visitor) -> None:
    visitor.go()
    assert violations(visitor) == []
    visitor.upload()
    visitor.page.get_by_text("The same with curl").click()
    assert violations(visitor) == []
    visitor.upload(content=b"no photo")
    expect(visitor.page.locator("#problem")).to_be_visible()
    assert violations(visitor) == []
    visitor.go(f"#{DOG}")
    expect(visitor.page.locator("#concept h2")).to_be_visible()
    assert violations(visitor) == []
    visitor.page.fill("#search", "retriever")
    expect(visitor.page.locator("#found a").first).to_be_visible()
    assert violations(visitor) == []
    visitor.go("#model")
    expect(visitor.page.locator("#model-card table").first).to_be_visible()
    visitor.page.locator("#model-card summary").last.click()
    assert violations(visitor) == []


class TestKeyboard:
    @pytest.fixture
    def options(self) -> dict[str, Any]:
        return {"viewport": {"width": 1280, "height": 860}}

    def test_a_photo_is_looked_at_with_keys_alone(self, visitor: Visitor) -> None:
        visitor.go()
        page = visitor.page
        reach(visitor, "button", "Porch")
        page.keyboard.press("Enter")
        visitor.answered()
        reach(visitor, "slider", "Specificity")
        page.keyboard.press("Home")
        expect(visitor.objects.first).to_have_text(re.compile("^object: "))
        page.keyboard.press("End")
        finest = dogs(visitor, hierarchy_threshold=0)[0]
        button = page.locator("#objects button", has_text=finest)
        was_open = button.get_attribute("aria-expanded") == "true"
        reach(visitor, "button", finest)
        for now in ("false", "true") if was_open else ("true", "false", "true"):
            page.keyboard.press("Enter")
            expect(button).to_have_attribute("aria-expanded", now)
        reach(visitor, "link", "dog")
        page.keyboard.press("Enter")
        expect(page.locator("#concept h2")).to_have_text(f"dog{DOG}")
        reach(visitor, "button", "Detect only this")
        page.keyboard.press("Enter")
        visitor.answered()
        expect(visitor.objects).to_have_text(dogs(visitor, under=DOG, hierarchy_threshold=0))


def dogs(visitor: Visitor, **parameters: Any) -> list[str]:
    """What the service itself calls the dogs on the sample, the surest first."""
    data, kind = DOG_SAMPLE.read_bytes(), {"content-type": "image/jpeg"}
    found = visitor.service.post("/detect", params=parameters, content=data, headers=kind).json()["detections"]
    return [one["label"]["name"] for one in found if DOG in [step["wnid"] for step in one["path"]]]


def reach(visitor: Visitor, role: Any, name: str) -> None:
    """Press Tab until the focus is where it is wanted, and seen to be there."""
    target = visitor.page.get_by_role(role, name=name, exact=True).or_(
        visitor.page.get_by_role(role, name=name).filter(visible=True)
    )
    for _ in range(80):
        visitor.page.keyboard.press("Tab")
        if target.first.evaluate("(element) => element === document.activeElement"):
            assert target.first.evaluate("(element) => getComputedStyle(element).outlineStyle") != "none"
            return
    raise AssertionError(f"80 presses of Tab do not lead to the {role} {name}")


class TestPhone:
    @pytest.fixture
    def options(self) -> dict[str, Any]:
        return {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}

    def test_every_view_fits_a_screen_390_pixels_wide(self, visitor: Visitor) -> None:
        visitor.go()
        self.fits(visitor)
        visitor.upload()
        self.fits(visitor)
        photo = visitor.page.locator("#photo").bounding_box()
        assert photo
        assert photo["width"] <= 390
        visitor.page.locator(".box").nth(1).tap()
        expect(visitor.page.locator(".levels")).to_be_in_viewport()
        expect(visitor.page.locator("#photo")).to_be_in_viewport()
        for address, shown in ((f"#{DOG}", "#concept h2"), ("#model", "#model-card table")):
            visitor.go(address)
            expect(visitor.page.locator(shown).first).to_be_visible()
            self.fits(visitor)

    def fits(self, visitor: Visitor) -> None:
        assert visitor.page.evaluate("document.documentElement.scrollWidth") <= 390
        for control in visitor.page.locator("button:visible, .bar a:visible").all():
            box = control.bounding_box()
            assert box
            assert box["height"] >= 24, control.inner_text()  # WCAG 2.2, 2.5.8
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= 390


class TestCost:
    @pytest.fixture
    def options(self) -> dict[str, Any]:
        return {}

    def test_the_page_is_small_and_loaded_once(self, visitor: Visitor) -> None:
        visitor.go()
        visitor.page.wait_for_load_state("networkidle")
        first = visitor.page.evaluate(TRANSFERRED)
        assert any(request.url.endswith("/tree") for request in visitor.requests)
        assert 100_000 < first < MOST_BYTES
        visitor.page.reload()
        visitor.page.wait_for_load_state("networkidle")
        assert visitor.page.evaluate(TRANSFERRED) < first / 10

    def test_colours_can_be_chosen_and_are_remembered(self, visitor: Visitor) -> None:
        visitor.go()
        ground = "getComputedStyle(document.body).backgroundColor"
        light = visitor.page.evaluate(ground)
        button = visitor.page.get_by_role("button", name="Colours")
        button.click()
        button.click()
        expect(button).to_have_accessible_name("Colours: Dark")
        assert visitor.page.evaluate(ground) != light
        visitor.page.reload()
        expect(button).to_have_accessible_name("Colours: Dark")
