"""The page of the interface in a browser that reaches no other host."""

import re
from typing import Any

import pytest
from playwright.sync_api import Route, expect

from tests.app.page.conftest import Visitor

pytestmark = pytest.mark.slow


@pytest.fixture
def blocked(visitor: Visitor) -> list[str]:
    """Addresses of other hosts that were asked for; none is reached."""
    asked: list[str] = []

    def answer(route: Route) -> None:
        address = route.request.url
        if address.startswith((str(visitor.service.base_url), "data:", "blob:")):
            route.continue_()
        else:
            asked.append(address)
            route.abort()

    visitor.page.route("**/*", answer)
    return asked


def test_the_tab_leads_to_every_operation(visitor: Visitor, blocked: list[str]) -> None:
    visitor.go()
    visitor.page.get_by_role("link", name="API").click()
    visitor.page.wait_for_url(re.compile("/docs$"))
    document: dict[str, Any] = visitor.service.get("/openapi.json").json()
    operations = sum(len(methods) for methods in document["paths"].values())
    expect(visitor.page.locator(".opblock")).to_have_count(operations)
    expect(visitor.page.locator(".opblock-summary-path").first).to_be_visible()
    assert not blocked
    assert not visitor.complaints


def test_an_operation_is_tried_out(visitor: Visitor, blocked: list[str]) -> None:
    visitor.page.goto(f"{visitor.service.base_url}/docs")
    block = visitor.page.locator(".opblock", has_text="/health/live")
    block.locator(".opblock-summary").click()
    block.get_by_role("button", name="Try it out").click()
    block.get_by_role("button", name="Execute").click()
    expect(block.locator(".live-responses-table td.response-col_status").last).to_have_text(re.compile("200"))
    assert not blocked
