"""What a run shows of itself: its first batch, how it went, and what its best weights confuse."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model.tree_files import packaged_tree
from tests.training.tiny_data import RACCOON, tiny_run, write_data
from training.__main__ import main
from training.commands.train import train_detector
from training.configurations.mixing import read_data, trained_index
from training.configurations.train import TrainConfiguration
from training.data.mixture import Mixture
from training.evaluation.confusions import Confusion
from training.evaluation.report import SetReport
from training.files import replace_file
from training.pages.drawing import GREEN
from training.validation.batch_picture import draw_first_batch
from training.validation.results import draw_results, keep_reports


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_data(folder)
    return folder


def mixture_of(run: TrainConfiguration) -> tuple[Mixture, list[int]]:
    tree = packaged_tree()
    data = read_data(run, tree, ())
    index = trained_index(data.trained, len(tree))
    return Mixture(data.sources, index, run.augmentation, run.seed), data.trained.tolist()


@pytest.mark.parametrize(("batch", "cells"), [(2, (2, 1)), (6, (4, 2)), (30, (4, 4))])
def test_the_first_batch_is_drawn_as_a_grid(root: Path, tmp_path: Path, batch: int, cells: tuple[int, int]) -> None:
    run = tiny_run(root, tmp_path, optimizer={"steps": 4, "batch": batch}, sizes=[96])
    mixture, trained = mixture_of(run)
    draw_first_batch(run, mixture, packaged_tree().subset(trained))
    with Image.open(tmp_path / "batch.jpg") as image:
        assert image.size == tuple(count * 100 - 4 for count in cells)


def green_in(content: bytes) -> int:
    with Image.open(io.BytesIO(content)) as image:
        return int((np.abs(np.asarray(image, int) - GREEN).max(2) < 40).sum())


def test_boxes_and_labels_are_in_it(root: Path, tmp_path: Path) -> None:
    only = [{"folder": root / "labelled"}]
    for name, changes in (("boxes", {"classification": []}), ("both", {"classification": only})):
        run = tiny_run(root, tmp_path / name, optimizer={"steps": 4, "batch": 16}, sizes=[96], **changes)
        mixture, trained = mixture_of(run)
        draw_first_batch(run, mixture, packaged_tree().subset(trained))
        assert green_in((tmp_path / name / "batch.jpg").read_bytes()) > 500


def log(folder: Path, *entries: dict[str, float], rest: str = "") -> None:
    lines = "".join(f"{json.dumps(entry)}\n" for entry in entries)
    replace_file(folder / "log.jsonl", f"{lines}{rest}".encode())


def size_of(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


def test_scores_and_losses_are_plotted_over_the_steps(tmp_path: Path) -> None:
    first = {"step": 50, "loss": 3.0, "classes": 1.0, "learning_rate": 0.1, "pictures_per_second": 9.0}
    log(
        tmp_path,
        first,
        {**first, "step": 100, "loss": 2.0},
        {"step": 100, "validation/ap50": 0.5, "validation/loss": 2.5},
    )
    assert draw_results(tmp_path) == ()
    assert size_of(tmp_path / "results.png") == (1600, 600)  # AP50, loss, classes, rate; pictures a second
    assert not (tmp_path / "confusions.png").exists()


def test_half_a_line_and_steps_taken_again_harm_nothing(tmp_path: Path) -> None:
    log(tmp_path, {"step": 50, "loss": 3.0}, {"step": 100, "loss": 9.0}, {"step": 50, "loss": 2.0}, rest='{"step": 15')
    draw_results(tmp_path)
    assert size_of(tmp_path / "results.png") == (400, 300)


def test_nothing_logged_is_nothing_plotted(tmp_path: Path) -> None:
    assert draw_results(tmp_path) == ()
    assert list(tmp_path.iterdir()) == []


def report(*counts: int) -> SetReport:
    confused = tuple(
        Confusion(
            truth=RACCOON, truth_name="raccoon", said="n1", said_name=f"{{$ {count}", count=count, probability=0.5
        )
        for count in counts
    )
    fields: dict[str, object] = dict.fromkeys(SetReport.model_fields)
    fields |= {"name": "tiny", "pictures": 1, "boxes": 1, "matched": 0, "lineage": (), "categories": (), "depths": ()}
    fields |= {"specificity": (), "confusions": confused, "expanded": {"categories": 0, "ap50": None}}
    return SetReport.model_validate(fields)


def test_confusions_of_all_sets_are_plotted_the_most_frequent_first(tmp_path: Path) -> None:
    keep_reports(tmp_path / "best", (report(5, 1), report(3)))
    assert [one.count for one in draw_results(tmp_path)] == [5, 3, 1]
    assert size_of(tmp_path / "confusions.png")[0] > 400


@pytest.mark.slow
def test_a_run_leaves_them_all(root: Path, tmp_path: Path) -> None:
    sets = [{"annotations": root / "annotations/tiny.json", "pictures": root / "images/tiny"}]
    assert train_detector(tiny_run(root, tmp_path / "run", validation={"sets": sets, "every": 2}))
    left = {path.name for path in (tmp_path / "run").iterdir()}
    assert {"batch.jpg", "results.png", "best"} <= left
    assert {path.name for path in (tmp_path / "run/best").iterdir()} >= {"validation.json", "configuration.json"}
    assert main(["export", f"--run={tmp_path}/run/best", f"--output={tmp_path}/best.onnx", "--sizes=64"]) == 0
