"""What the runs of a proof have in common, and how one differs."""

from pathlib import Path

import pytest

from training.proofs.ablation import CONFIGURATION, VARIANTS
from training.proofs.runs import configuration_of, with_changes


def test_changes_go_into_nested_values() -> None:
    before = {"a": 1, "b": {"c": 2, "d": 3}}
    assert with_changes(before, {"b": {"d": 4}, "e": {"f": 5}}) == {"a": 1, "b": {"c": 2, "d": 4}, "e": {"f": 5}}
    assert before == {"a": 1, "b": {"c": 2, "d": 3}}


@pytest.mark.parametrize("name", VARIANTS)
def test_each_variant_differs_in_one_thing(name: str) -> None:
    changed = configuration_of(CONFIGURATION, 7, {**VARIANTS[name], "output": "a"})
    whole = configuration_of(CONFIGURATION, 7, {"output": "a"})
    assert changed.optimizer.steps == 7
    assert changed.output == Path("a")
    assert len(changed.network.design().anchors) == len(whole.network.design().anchors)
    differences = [
        first != second
        for first, second in (
            (changed.network.design().anchors, whole.network.design().anchors),
            (changed.network.location, whole.network.location),
            (changed.network.passthrough, whole.network.passthrough),
            (changed.sizes, whole.sizes),
        )
    ]
    assert sum(differences) == (0 if name == "all four" else 1)
    assert changed.model_copy(update={"network": whole.network, "sizes": whole.sizes}) == whole
