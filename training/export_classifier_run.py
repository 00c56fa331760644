"""`export` of a classifier's run: an ONNX file for ONNX Runtime anywhere."""

from pathlib import Path

from training.checkpoint import AVERAGE_PREFIX, InvalidCheckpointError, load_checkpoint, tensors_of
from training.classifier_state import ClassifierState
from training.classify_configuration import ClassifyConfiguration
from training.darknet.classifier_export import ClassifierMetadata, export_classifier
from training.export_run import ExportConfiguration, read_record
from training.networks.classifiers import build_classifier
from training.rounding import fold_norms
from training.run_folder import CONFIGURATION, load_tree


def export_classifier_run(configuration: ExportConfiguration) -> float:
    """Export a classifier's averaged weights; return the largest difference to torch in probabilities.

    Of the settings its sizes and thresholds are a detector's: the file takes any size, and names the run's last one.

    Raises:
        ConfigurationError: the run's configuration cannot be read.
        InvalidCheckpointError: the run has no usable checkpoint.
        ExportError: the file does not compute what torch does.
    """
    folder: Path = configuration.run
    tensors, state = load_checkpoint(folder)
    run = read_record(ClassifyConfiguration, folder / CONFIGURATION)
    classifier, tree = ClassifierState.read(folder, state), load_tree(folder, state)
    nodes: list[int] = state["trained"]
    network = build_classifier(classifier.network, len(nodes))
    try:
        network.load_state_dict(tensors_of(tensors, AVERAGE_PREFIX))
    except RuntimeError as error:
        raise InvalidCheckpointError(f"{folder}: its weights are not those of {classifier.network}") from error
    fold_norms(network.eval())
    subset = tree.subset(nodes) if classifier.softmax == "hierarchical" else None
    metadata = ClassifierMetadata(
        name=configuration.name or classifier.network,
        version=configuration.version,
        wnids=tuple(tree.wnids[node] for node in nodes),
        names=tuple(tree.names[node] for node in nodes),
        parents=None if subset is None else tuple(subset.parents.tolist()),
        default_size=run.sizes[-1],
        training={
            "network": classifier.network,
            "softmax": classifier.softmax,
            "classification_sets": [source.folder.name for source in run.classification],
            "steps": state["step"],
            "batch": run.optimizer.batch,
            "sizes": list(run.sizes),
            "seed": run.seed,
        },
        licence=configuration.licence,
    )
    return export_classifier(network, metadata, subset, configuration.output, half_storage=configuration.half_storage)
