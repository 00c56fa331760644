"""`python -m training COMMAND`: trains, exports and evaluates.

detect     joint training of a detector on pictures with boxes and pictures with labels
export     write a run's weights as one model file
evaluate   score a model file on detection sets
"""

import logging
import sys
from collections.abc import Callable, Sequence

from training.command_line import ConfigurationError, configure

PROGRAM = "python -m training"
STOPPED = 130  # what a shell reports of a program ended by Ctrl-C


def detect(arguments: Sequence[str]) -> int:
    """Train a detector."""
    from training.configuration import DetectConfiguration
    from training.detect import train_detector

    return 0 if train_detector(configure(DetectConfiguration, f"{PROGRAM} detect", arguments)) else STOPPED


def export(arguments: Sequence[str]) -> int:
    """Export a run."""
    from training.export_run import ExportConfiguration, export_run

    report = export_run(configure(ExportConfiguration, f"{PROGRAM} export", arguments))
    sys.stdout.write(f"{report}\n")
    return 0


def evaluate(arguments: Sequence[str]) -> int:
    """Score a model file."""
    from training.evaluation.command import EvaluateConfiguration
    from training.evaluation.command import evaluate as score

    report = score(configure(EvaluateConfiguration, f"{PROGRAM} evaluate", arguments))
    sys.stdout.write(f"{report.table()}\n")
    return 0


COMMANDS: dict[str, Callable[[Sequence[str]], int]] = {
    "detect": detect,
    "export": export,
    "evaluate": evaluate,
}


def main(arguments: Sequence[str]) -> int:
    """Run a command; return the exit status."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    if not arguments or arguments[0] in {"-h", "--help"}:
        sys.stdout.write(__doc__ or "")
        return 0
    command = COMMANDS.get(arguments[0])
    if command is None:
        sys.stderr.write(f"{arguments[0]!r} is no command; there are: {', '.join(COMMANDS)}\n")
        return 2
    from model.bundle import InvalidBundleError
    from training.checkpoint import InvalidCheckpointError
    from training.data.coco import InvalidDatasetError

    try:
        return command(arguments[1:])
    except (ConfigurationError, InvalidBundleError, InvalidCheckpointError, InvalidDatasetError) as error:
        sys.stderr.write(f"{error}\n")
        return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
