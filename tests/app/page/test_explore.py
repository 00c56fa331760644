"""The view of the tree, in a browser."""

import re
from collections import Counter

import pytest
from playwright.sync_api import Position, Route, expect

from tests.app.page.conftest import DOG, Visitor

pytestmark = pytest.mark.slow

NODES = 9418


def test_a_link_leads_to_a_concept(visitor: Visitor) -> None:
    visitor.go(f"#{DOG}")
    page = visitor.page
    concept = visitor.service.get(f"/classes/{DOG}").json()
    panel = page.locator("#concept")
    expect(panel.get_by_role("heading", level=2)).to_have_text(f"dog{DOG}")
    expect(panel).to_contain_text(concept["definition"])
    expect(panel).to_contain_text("domestic dog")
    expect(panel.locator(".path li")).to_have_text([step["name"] for step in concept["path"]])
    expect(panel.locator("dd").nth(2)).to_have_text(str(concept["descendants"]))
    expect(page.locator("#tree [aria-selected=true] .row-name")).to_have_text("dog")
    expect(page.locator("#sunburst-caption")).to_contain_text("canine › dog")
    expect(page).to_have_title(re.compile("concepts"))
    # Links within the page, and the browser's way back, are such links too.
    panel.get_by_role("link", name="hunting dog", exact=True).click()
    expect(panel.get_by_role("heading", level=2)).to_contain_text("hunting dog")
    page.go_back()
    expect(panel.get_by_role("heading", level=2)).to_have_text(f"dog{DOG}")


def test_a_link_to_no_concept(visitor: Visitor) -> None:
    visitor.go("#n00000000")
    expect(visitor.page.locator("#concept")).to_contain_text("holds no n00000000")


def test_an_untrained_concept_cannot_be_detected(visitor: Visitor) -> None:
    found = visitor.service.get("/tree").json()
    trained = set(found["trained"])
    node = next(node for node, parent in enumerate(found["parents"]) if node not in trained and parent in trained)
    visitor.go(f"#{found['wnids'][node]}")
    expect(visitor.page.locator("#concept")).to_contain_text("not trained on it")
    answer = visitor.service.get(f"/classes/{found['wnids'][node]}").json()["answered_by"]
    expect(visitor.page.locator("#concept dd a")).to_have_text(answer["name"])
    expect(visitor.page.get_by_role("button", name="Detect only this")).to_be_disabled()


def test_search_finds_what_the_service_finds(visitor: Visitor) -> None:
    visitor.go("#explore")
    page = visitor.page
    for query in ("retriever", "domestic dog", DOG):
        expected = [item["name"] for item in visitor.service.get("/classes", params={"query": query}).json()["items"]]
        page.fill("#search", query)
        expect(page.locator("#search-count")).to_contain_text(f"{len(expected)} concept")
        links = page.locator("#found a .found-name")
        expect(links).to_have_count(len(expected))
        assert [text.partition(",")[0] for text in links.all_inner_texts()] == expected
    expect(page.locator("#tree")).to_be_hidden()
    page.fill("#search", "no such thing")
    expect(page.locator("#search-count")).to_contain_text("No concept")
    page.press("#search", "Escape")
    expect(page.locator("#tree")).to_be_visible()


def test_a_search_result_is_reached_by_keys(visitor: Visitor) -> None:
    visitor.go("#explore")
    page = visitor.page
    page.fill("#search", "golden retriever")
    expect(page.locator("#found a")).to_have_count(1)
    page.press("#search", "ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator("#concept h2")).to_contain_text("golden retriever")


def test_what_was_typed_before_the_tree_came_is_searched(visitor: Visitor) -> None:
    page = visitor.page
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/tree", hold)
    page.goto(f"{visitor.service.base_url}#explore")
    page.fill("#search", "golden retriever")
    while not held:
        page.wait_for_timeout(20)
    page.wait_for_timeout(300)  # longer than a pause in typing
    held[0].continue_()
    expect(page.locator("#found a")).to_have_count(1)


def test_the_tree_follows_the_keys(visitor: Visitor) -> None:
    visitor.go("#explore")
    page = visitor.page
    tree = page.get_by_role("tree")
    expect(tree.locator(".row-name")).to_have_text(
        [item["name"] for item in visitor.service.get("/classes").json()["items"]]
    )

    def active() -> str:
        return str(tree.evaluate("(tree) => document.getElementById(tree.getAttribute('aria-activedescendant')).id"))

    tree.focus()
    start = active()
    page.keyboard.press("ArrowDown")
    assert active() != start
    for key in ("Home", "o", "ArrowRight", "ArrowRight"):
        page.keyboard.press(key)
    row = tree.locator(".active")
    expect(row).to_have_attribute("aria-level", "2")
    expect(row).to_have_attribute("aria-posinset", "1")
    page.keyboard.press("Enter")
    name = row.locator(".row-name").inner_text()
    expect(page.locator("#concept h2")).to_contain_text(name)
    for key in ("ArrowLeft", "ArrowLeft"):
        page.keyboard.press(key)
    expect(tree.locator(".active")).to_have_attribute("aria-level", "1")
    expect(tree.locator("[aria-level='2']")).to_have_count(0)


def test_only_rows_in_sight_exist(visitor: Visitor) -> None:
    columns = visitor.service.get("/tree").json()
    largest, children = Counter(columns["parents"]).most_common(1)[0]
    visitor.go(f"#{columns['wnids'][largest]}")
    page = visitor.page
    page.locator("#tree [aria-selected=true] .twist").click()
    page.press("#tree", "End")
    rows = page.get_by_role("treeitem")
    expect(rows.last).to_be_visible()
    assert rows.count() < 80
    height = page.locator(".rows").evaluate("(rows) => rows.clientHeight")
    assert height / 32 > children > 100


def test_the_rings_are_entered_and_left(visitor: Visitor) -> None:
    visitor.go("#explore")
    page = visitor.page
    rings = page.locator("#sunburst")
    expect(page.locator("#sunburst-caption")).to_have_text(f"{NODES:,} concepts")
    box = rings.bounding_box()
    assert box
    # All that matters is `object` but for a slice at the top right: its ring is the first around the middle.
    at_object = Position(x=box["width"] / 2 - box["width"] / 8, y=box["height"] / 2)
    rings.hover(position=at_object)
    expect(page.locator("#sunburst-caption")).to_have_text(re.compile(r"^object · [\d,]+ below$"))
    rings.click(position=at_object)
    expect(page.locator("#concept h2")).to_contain_text("object")
    rings.click(position=Position(x=box["width"] / 2, y=box["height"] / 2))
    expect(page).to_have_url(re.compile("#explore$"))

    rings.focus()
    for key in ("ArrowUp", "ArrowRight", "ArrowUp"):
        page.keyboard.press(key)
    caption = page.locator("#sunburst-caption").inner_text()
    page.keyboard.press("Enter")
    expect(page.locator("#concept h2")).to_contain_text(caption.partition(" ·")[0].rpartition("› ")[2])
