"""The model card, in a browser."""

import pytest
from playwright.sync_api import expect

from tests.app.page.conftest import Visitor

pytestmark = pytest.mark.slow


def test_the_card_tells_what_the_service_tells(visitor: Visitor) -> None:
    visitor.go("#model")
    model = visitor.service.get("/model").json()
    card = visitor.page.locator("#model-card")
    expect(card).to_contain_text(f"{model['name']} {model['version']} knows {model['tree']['trained']:,}")
    for name, scores in model["evaluation"]["sets"].items():
        row = card.get_by_role("row").filter(has_text=name)
        expect(row.first).to_contain_text(f"{scores['ap50']:.3g}")
    expect(card).to_contain_text(model["training"]["network"])
    name, category = next(iter(model["evaluation"]["sets"].items()))
    card.get_by_text(f"{name}: categories").click()
    expect(card.locator("details[open] .ranking a")).to_have_count(len(category["categories"]))
