"""What the runs of a proof have in common, and how one differs."""

from pathlib import Path

import pytest

from training.proofs.runs import configuration_of, with_changes
from training.proofs.unseen_boxes import CONFIGURATION


def test_changes_go_into_nested_values() -> None:
    before = {"a": 1, "b": {"c": 2, "d": 3}}
    assert with_changes(before, {"b": {"d": 4}, "e": {"f": 5}}) == {"a": 1, "b": {"c": 2, "d": 4}, "e": {"f": 5}}
    assert before == {"a": 1, "b": {"c": 2, "d": 3}}


@pytest.mark.parametrize("changes", [{}, {"seed": 3}, {"loss": {"object_scale": 2}}])
def test_a_run_differs_in_what_is_changed_alone(changes: dict[str, object]) -> None:
    whole = configuration_of(CONFIGURATION, 7, {"output": "a"})
    changed = configuration_of(CONFIGURATION, 7, {**changes, "output": "a"})
    assert (changed.optimizer.steps, changed.output) == (7, Path("a"))
    before, after = (one.model_dump(mode="json") for one in (whole, changed))
    assert after == with_changes(before, changes)
    assert (after != before) == bool(changes)
