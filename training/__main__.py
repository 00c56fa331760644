"""`python -m training COMMAND`: trains, exports and evaluates, and prepares what training needs.

look             see what is in data sets, before training on them
index            look at every picture of large sets once, for runs that start at once
wordtree         build a WordTree of a list of labels from WordNet
anchors          find a detector's anchors by k-means over the boxes of data sets
pretrain         train a backbone, Darknet-19 or an EfficientNet-Lite, on pictures with labels
train            train a detector on pictures with boxes and pictures with labels
teach            teach a model file new concepts, from a few pictures of each
remember         keep of a model's training pictures what teach needs
refit            learn the class layer of a yolov2-lite anew, on the boxes its run finds
export           write a run's weights as one model file
evaluate         score a model file on detection sets
quantize         have a model file compute with 8 bits, if it answers as well
import-darknet   turn darknet's cfg and weights into a model file
export-darknet   turn a checkpoint of a darknet network back into cfg and weights

`python -m training COMMAND --help` lists the options of a command.
"""

import logging
import sys
from collections.abc import Callable, Sequence

PROGRAM = "python -m training"
FAILED = 2  # what argparse returns, too, for a command line that cannot be used
STOPPED = 130  # what a shell reports of a program ended by Ctrl-C


def look(arguments: Sequence[str]) -> int:
    """Look at data sets."""
    from training.command_line import configure
    from training.looking.look import LookConfiguration
    from training.looking.look import look as look_at_sets

    configuration = configure(LookConfiguration, f"{PROGRAM} look", arguments)
    report = look_at_sets(configuration)
    sys.stdout.write(f"{report.table()}\n")
    return 0 if report.usable(strict=configuration.strict) else FAILED


def index(arguments: Sequence[str]) -> int:
    """Index sets."""
    from training.command_line import configure
    from training.looking.index import IndexConfiguration, build_index

    lines = build_index(configure(IndexConfiguration, f"{PROGRAM} index", arguments))
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    return 0


def wordtree(arguments: Sequence[str]) -> int:
    """Build a WordTree."""
    from training.command_line import configure
    from training.commands.wordtree import WordTreeConfiguration, build_wordtree

    sys.stdout.write(f"{build_wordtree(configure(WordTreeConfiguration, f'{PROGRAM} wordtree', arguments)).table()}\n")
    return 0


def anchors(arguments: Sequence[str]) -> int:
    """Find anchors."""
    from training.command_line import configure
    from training.commands.anchors import AnchorsConfiguration, find_anchors

    sys.stdout.write(f"{find_anchors(configure(AnchorsConfiguration, f'{PROGRAM} anchors', arguments)).table()}\n")
    return 0


def pretrain(arguments: Sequence[str]) -> int:
    """Pre-train a backbone."""
    from training.command_line import configure
    from training.commands.pretrain import train_classifier
    from training.configurations.pretrain import PretrainConfiguration

    result = train_classifier(configure(PretrainConfiguration, f"{PROGRAM} pretrain", arguments))
    if result.scores is not None:
        sys.stdout.write(f"{result.scores.table()}\n")
    return 0 if result.finished else STOPPED


def train(arguments: Sequence[str]) -> int:
    """Train a detector."""
    from training.command_line import configure
    from training.commands.train import train_detector
    from training.configurations.train import TrainConfiguration

    return 0 if train_detector(configure(TrainConfiguration, f"{PROGRAM} train", arguments)) else STOPPED


def refit(arguments: Sequence[str]) -> int:
    """Refit a run's class layer."""
    from training.command_line import configure
    from training.commands.refit import RefitConfiguration, refit_run

    configuration = configure(RefitConfiguration, f"{PROGRAM} refit", arguments)
    count = refit_run(configuration)
    sys.stdout.write(f"{configuration.output}: a class layer learned from {count} objects\n")
    return 0


def teach(arguments: Sequence[str]) -> int:
    """Teach a model file."""
    from training.command_line import configure
    from training.teaching.teach import TeachConfiguration
    from training.teaching.teach import teach as teach_model

    sys.stdout.write(f"{teach_model(configure(TeachConfiguration, f'{PROGRAM} teach', arguments)).table()}\n")
    return 0


def remember(arguments: Sequence[str]) -> int:
    """Keep what teaching needs."""
    from training.command_line import configure
    from training.teaching.remember import RememberConfiguration
    from training.teaching.remember import remember as remember_pictures

    sys.stdout.write(f"{remember_pictures(configure(RememberConfiguration, f'{PROGRAM} remember', arguments))}\n")
    return 0


def export(arguments: Sequence[str]) -> int:
    """Export a run."""
    from training.command_line import configure
    from training.commands.export import ExportConfiguration, export_classifier_run, export_run
    from training.weights.flat_classifier import is_classifier_run

    configuration = configure(ExportConfiguration, f"{PROGRAM} export", arguments)
    if is_classifier_run(configuration.run):
        difference = export_classifier_run(configuration)
        size = configuration.output.stat().st_size
        sys.stdout.write(
            f"{configuration.output}: {size / 1e6:.1f} MB; largest difference to torch {difference:.1g} in "
            f"probabilities\n"
        )
        return 0
    report = export_run(configuration)
    sys.stdout.write(
        f"{configuration.output}: {report.size / 1e6:.1f} MB; largest differences to torch: {report.boxes:.1g} cells "
        f"in boxes, {report.objectness:.1g} in objectness, {report.probabilities:.1g} in probabilities\n"
    )
    return 0


def evaluate(arguments: Sequence[str]) -> int:
    """Score a model file."""
    from training.command_line import configure
    from training.commands.evaluate import EvaluateConfiguration
    from training.commands.evaluate import evaluate as score

    report = score(configure(EvaluateConfiguration, f"{PROGRAM} evaluate", arguments))
    sys.stdout.write(f"{report.table()}\n")
    return 0


def quantize(arguments: Sequence[str]) -> int:
    """Quantise a model file."""
    from training.command_line import configure
    from training.commands.quantize import quantize as quantize_file
    from training.configurations.quantize import QuantizeConfiguration

    report = quantize_file(configure(QuantizeConfiguration, f"{PROGRAM} quantize", arguments))
    sys.stdout.write(f"{report.table()}\n")
    return 0


def import_darknet(arguments: Sequence[str]) -> int:
    """Import a darknet network."""
    from training.command_line import configure
    from training.commands.import_darknet import ImportDarknetConfiguration
    from training.commands.import_darknet import import_darknet as import_network

    report = import_network(configure(ImportDarknetConfiguration, f"{PROGRAM} import-darknet", arguments))
    sys.stdout.write(
        f"{report.output}: {report.size / 1e6:.1f} MB, {report.concepts} concepts; largest difference to torch "
        f"{report.difference:.1g} in probabilities\n"
        f"weights file: {report.sha256}\n"
    )
    return 0


def export_darknet(arguments: Sequence[str]) -> int:
    """Write a checkpoint as darknet's files."""
    from training.command_line import configure
    from training.commands.export_darknet import ExportDarknetConfiguration
    from training.commands.export_darknet import export_darknet as export_network

    report = export_network(configure(ExportDarknetConfiguration, f"{PROGRAM} export-darknet", arguments))
    sys.stdout.write(f"{report.cfg}\n{report.weights}: {report.weights.stat().st_size / 1e6:.1f} MB\n")
    return 0


COMMANDS: dict[str, Callable[[Sequence[str]], int]] = {
    "look": look,
    "index": index,
    "wordtree": wordtree,
    "anchors": anchors,
    "pretrain": pretrain,
    "train": train,
    "teach": teach,
    "remember": remember,
    "refit": refit,
    "export": export,
    "evaluate": evaluate,
    "quantize": quantize,
    "import-darknet": import_darknet,
    "export-darknet": export_darknet,
}
RENAMED = {"detect": "train", "classify": "pretrain"}  # `yolo9000 detect` predicts


def main(arguments: Sequence[str]) -> int:
    """Run a command; return the exit status: 0, 2 after an error that is told, 130 after a stop."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    if not arguments or arguments[0] in {"-h", "--help"}:
        sys.stdout.write(__doc__ or "")
        return 0
    command = COMMANDS.get(arguments[0])
    if command is None:
        now = RENAMED.get(arguments[0])
        known = f"it is now {now!r}" if now else f"use one of: {', '.join(COMMANDS)}"
        sys.stderr.write(f"There is no command {arguments[0]!r}; {known}.\n")
        return FAILED
    try:
        return _run(command, arguments[1:])
    except KeyboardInterrupt:
        return STOPPED
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] in {"model", "training"}:
            raise
        sys.stderr.write(f"{error.name} is not installed; training needs `pip install yolo9000[train,cpu]`\n")
        return FAILED


def _run(command: Callable[[Sequence[str]], int], arguments: Sequence[str]) -> int:
    """Run a command; tell the errors that whoever called it can do something about."""
    from model.files.access import why_unreadable

    try:
        return command(arguments)
    except PermissionError as error:
        sys.stderr.write(f"{error.filename}: {why_unreadable(error)}\n")
        return FAILED
    except _told() as error:
        sys.stderr.write(f"{error}\n")
        return FAILED


def _told() -> tuple[type[Exception], ...]:
    """Return those errors. Their modules import torch, which a command may not need unless something is wrong."""
    from model.metadata import InvalidModelError
    from model.session import ProviderUnavailableError
    from training.command_line import ConfigurationError
    from training.darknet.errors import DarknetError
    from training.data.formats.detection_set import InvalidDatasetError
    from training.export.model_file import ExportError
    from training.export.quantization.errors import QuantizationError
    from training.teaching.file.seen import NotTeachableError
    from training.teaching.memory import InvalidMemoryError
    from training.weights.checkpoint import FolderInUseError, InvalidCheckpointError

    return (
        ConfigurationError,
        DarknetError,
        ExportError,
        FloatingPointError,
        FolderInUseError,
        InvalidModelError,
        InvalidCheckpointError,
        InvalidDatasetError,
        InvalidMemoryError,
        NotTeachableError,
        OSError,
        ProviderUnavailableError,
        QuantizationError,
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
