"""The dashboard, as far as it can be told without Grafana."""

import itertools
import json
import re

import pytest

from tests.deploy.files import DASHBOARD, dashboard_queries, panels

DATA = json.loads(DASHBOARD.read_text())


def test_it_shows_what_an_operator_asks_for() -> None:
    asked = " ".join(dashboard_queries())
    for metric in (
        "yolo9000_request_duration_seconds",
        "yolo9000_stage_duration_seconds",
        "yolo9000_queue_length",
        "yolo9000_batch_size",
        "yolo9000_problems_total",
        "process_resident_memory_bytes",
        "yolo9000_model_info",
    ):
        assert metric in asked


@pytest.mark.parametrize("panel", panels(), ids=lambda panel: str(panel["title"]))
def test_a_panel_is_explained_and_lies_within_the_grid(panel: dict[str, object]) -> None:
    assert panel["title"]
    assert panel["description"]
    place = panel["gridPos"]
    assert isinstance(place, dict)
    assert 0 <= place["x"] < place["x"] + place["w"] <= 24


def test_panels_do_not_overlap() -> None:
    for one, other in itertools.combinations([panel["gridPos"] for panel in panels()], 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        above = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or above


def test_variables_are_declared() -> None:
    declared = {variable["name"] for variable in DATA["templating"]["list"]}
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(DATA))) - {"__rate_interval", "__all"}
    assert used == declared
