"""Which scores are the best, and when a run has waited long enough."""

from collections.abc import Mapping

import pytest

from training.runs.watch import Standing, Watch


def watch(best_by: str = "ap50", every: int = 4, patience: int = 0) -> Watch:
    return Watch(dict, best_by, every, patience)


@pytest.mark.parametrize(
    ("best_by", "scores", "better"),
    [
        ("ap50", [{"ap50": 0.1}, {"ap50": 0.2}, {"ap50": 0.15}, {"ap50": 0.2}], [True, True, False, False]),
        ("loss", [{"loss": 3}, {"loss": 4}, {"loss": 2}], [True, False, True]),
        ("ap50", [{"ap50": 0, "loss": 9}, {"ap50": 0, "loss": 8}, {"ap50": 0, "loss": 8}], [True, True, False]),
        ("ap50", [{"ap50": 0, "loss": 9}, {"ap50": 0}, {"ap50": 0.1}], [True, False, True]),
        ("lineage", [{"ap50": 0.3}, {"lineage": 0.4}], [False, True]),
    ],
)
def test_the_best_scores_are_known(best_by: str, scores: list[Mapping[str, float]], better: list[bool]) -> None:
    watched = watch(best_by)
    assert [watched.take(step, one) for step, one in enumerate(scores)] == better


def test_patience_ends_and_begins_anew_with_a_better_score() -> None:
    watched = watch(patience=2)
    ended = []
    for step, score in enumerate([0.1, 0.1, 0.2, 0.1, 0.1]):
        watched.take(step, {"ap50": score})
        ended.append(watched.exhausted)
    assert ended == [False, False, False, False, True]
    assert watched.standing == Standing(best=0.2, step=2, since=2)


def test_without_patience_it_never_ends() -> None:
    watched = watch()
    for step in range(9):
        watched.take(step, {"ap50": 0})
    assert not watched.exhausted


def test_it_goes_on_where_it_was() -> None:
    first, second = watch(patience=2), watch(patience=2)
    first.take(4, {"ap50": 0.5, "loss": 1})
    first.take(8, {"ap50": 0.4, "loss": 1})
    second.resume(first.state())
    assert not second.take(12, {"ap50": 0.5, "loss": 1})
    assert second.exhausted


def test_when_it_is_due() -> None:
    assert [step for step in range(1, 11) if watch().due(step, 10)] == [4, 8, 10]


def test_what_it_says() -> None:
    watched = watch()
    assert watched.sentence(4, {"loss": 2.345, "seconds": 3.2}) == "step 4: loss 2.35 (3 s)"
    scores = {"ap50": 0.312, "recall": 0.5, "lineage": 0.25, "loss": 2.0}
    watched.take(4, scores)
    assert watched.sentence(4, scores) == "step 4: AP50 31.2%, recall 50.0%, right names 25.0%, loss 2; the best so far"
    worse = {"ap50": 0.3}
    watched.take(8, worse)
    assert watched.sentence(8, worse) == "step 8: AP50 30.0%; best is step 4, AP50 31.2%"
