"""Trains and scores one run of a proof; what is there already is not done again."""

import argparse
from pathlib import Path
from typing import Any

from training.command_line import read_record, read_yaml
from training.commands.evaluate import EvaluateConfiguration, evaluate
from training.commands.export import ExportConfiguration, export_run
from training.commands.train import train_detector
from training.configurations.train import TrainConfiguration
from training.evaluation.report import Report, SetReport
from training.weights.checkpoint import has_checkpoint


def parse(description: str | None, configuration: Path, output: Path) -> argparse.Namespace:
    """Read the options that the proofs have in common."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--configuration", type=Path, default=configuration, help="of the runs (default: %(default)s)")
    parser.add_argument("--data", type=Path, default=Path("../shared/data/detection"), help="default: %(default)s")
    parser.add_argument("--output", type=Path, default=output, help="folder of the runs (default: %(default)s)")
    parser.add_argument("--steps", type=int, help="of each run, to try the proof out (default: the configuration's)")
    parser.add_argument("--seeds", type=int, default=1, help="runs of each kind, each with its seed (default: 1)")
    return parser.parse_args()


def with_changes(values: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Return nested values, some of them replaced."""
    merged = dict(values)
    for key, value in changes.items():
        before = merged.get(key)
        merged[key] = with_changes(before, value) if isinstance(value, dict) and isinstance(before, dict) else value
    return merged


def configuration_of(path: Path, steps: int | None, changes: dict[str, Any]) -> TrainConfiguration:
    """Read the configuration that a proof's runs share, and apply what is different in one of them."""
    values = with_changes(read_yaml(path), changes)
    if steps is not None:
        values = with_changes(values, {"optimizer": {"steps": steps}})
    return TrainConfiguration.model_validate(values)


def train_and_score(configuration: TrainConfiguration, annotations: Path, pictures: Path, size: int) -> SetReport:
    """Train a run to its end, export it and score it on a set; `report.json` in its folder keeps the scores.

    Args:
        configuration: of the run; a checkpoint in its folder is gone on from.
        annotations, pictures: of the set.
        size: input size that is scored, px.

    Raises:
        KeyboardInterrupt: the run was stopped; the proof goes on from there when it is started again.
    """
    folder = configuration.output
    report = folder / "report.json"
    if not report.is_file():
        resume = has_checkpoint(folder)
        if not train_detector(configuration.model_copy(update={"resume": resume})):
            raise KeyboardInterrupt
        model = folder / "model.onnx"
        export_run(ExportConfiguration(run=folder, output=model, sizes=(size,), default_size=size))
        evaluate(EvaluateConfiguration(model=model, sets=(f"{annotations}:{pictures}",), output=report))
    return read_record(Report, report).sets[0]
