"""From darknet's cfg and weights to the one file the service loads; a classifier becomes an ONNX file of its own."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple, Self

import torch
from pydantic import BaseModel, ConfigDict, Field, FilePath, JsonValue, model_validator

from model.metadata import ModelMetadata, Thresholds, TreeMetadata
from model.tree_files import packaged_tree
from model.wordtree import WordTree
from training.command_line import ConfigurationError
from training.configurations.validation import InputSize
from training.darknet.cfg import Cfg, read_cfg
from training.darknet.detectors import UnderRoot
from training.darknet.download import Digest, download
from training.darknet.errors import InvalidLabelsError
from training.darknet.labels import Labels, known_labels, read_labels, read_tree
from training.darknet.network import DarknetClassifier, DarknetDetector, DarknetNetwork, build_network
from training.darknet.presets import PRESETS, Preset, PresetName
from training.darknet.weights import Header, check_weights, file_size, read_weights
from training.data.reading import read_letterboxed
from training.export.classifier import ClassifierMetadata, export_classifier
from training.export.model_file import export_detector
from training.networks.parts.detector import Detector
from training.weights.checkpoint import NETWORK_PREFIX, FolderInUseError, has_checkpoint, save_checkpoint

STATE: str = "darknet"
"""What a checkpoint's state has of the files it came from: the cfg's text and the weights' header."""


class ImportDarknetConfiguration(BaseModel):
    """Turn a darknet network into one model file, checked against torch before it gets its name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    output: Path = Field(
        description="the file to write (.onnx): of a detector the model file to serve, of a classifier an ONNX file"
    )
    preset: PresetName | None = Field(
        None,
        description="a published network: its cfg and its labels are here already, and --download fetches the rest",
    )
    cfg: Path | None = Field(None, description="darknet's cfg file; not with a preset")
    weights: Path | None = Field(None, description="darknet's weights file; default with --download: PRESET.weights")
    download: bool = Field(False, description="fetch the preset's weights first, unless they are there already")
    address: str | None = Field(None, description="where to fetch them from, instead of the published addresses")
    sha256: str | None = Field(
        None,
        description="what the weights file must hash to; default: with --download the published digest",
    )
    tree: Path | None = Field(None, description="darknet's tree file; by default, for 9,418 classes, the published one")
    names: Path | None = Field(None, description="names of the tree's nodes or of the labels, line by line")
    labels: Path | None = Field(
        None, description="flat labels: a line with a name, a WordNet id, or both with a tab between"
    )
    checkpoint: Path | None = Field(
        None, description="folder to write a checkpoint to as well, which export-darknet turns back"
    )
    name: str | None = Field(None, min_length=1, description="the model's name; default: the cfg's")
    version: str = Field("1", min_length=1, description="the model's version")
    sizes: tuple[InputSize, ...] = Field(
        (), description="input sizes to allow, px, multiples of 32; default: the cfg's, and 320, 352 ... 608"
    )
    default_size: InputSize | None = Field(
        None, description="input size where a request names none, px; default: the cfg's"
    )
    objectness: float = Field(
        0.25, ge=0, le=1, description="least objectness of a box where a request names none, 0 to 1"
    )
    half_storage: bool = Field(False, description="store weights as float16: half the file, 11 bits a weight")
    pictures: tuple[FilePath, ...] = Field(
        (), description="pictures to compare a detector's file with torch on; by default coloured noise"
    )
    licence: str = Field("not stated", description="terms of the weights, for the metadata")

    @model_validator(mode="after")
    def _check_sources(self) -> Self:
        if (self.preset is None) == (self.cfg is None):
            raise ValueError("needs either preset or cfg")
        if self.download and self.preset is None:
            raise ValueError("download needs a preset, which has the addresses")
        if self.address is not None and not self.download:
            raise ValueError("address says where to download from, so it needs download")
        if self.weights is None and not self.download:
            raise ValueError("weights is needed, or download")
        if self.preset is not None and (self.tree or self.labels or self.names):
            raise ValueError("a preset has its labels already: give cfg instead of preset to use others")
        if self.tree and self.labels:
            raise ValueError("classes are either a tree's nodes or flat labels, not both")
        return self


class ImportReport(NamedTuple):
    """What an import gave.

    output: the file. size: its bytes. classes: of the network. concepts: nodes of the tree or flat labels that answer.
    difference: the largest to torch in probabilities. sha256: of the weights file.
    """

    output: Path
    size: int
    classes: int
    concepts: int
    difference: float
    sha256: Digest


def import_darknet(configuration: ImportDarknetConfiguration) -> ImportReport:
    """Import a network.

    Raises:
        DarknetError: a file cannot be used.
        ConfigurationError: sizes, a digest or a picture do not fit.
        FolderInUseError: the checkpoint's folder holds a checkpoint.
        ExportError: the file does not compute what torch does.
    """
    if configuration.checkpoint is not None and has_checkpoint(configuration.checkpoint):
        raise FolderInUseError(f"{configuration.checkpoint} holds a checkpoint already: give another folder")
    preset = None if configuration.preset is None else PRESETS[configuration.preset]
    if preset is None:
        assert configuration.cfg is not None
        (cfg, text), stem = read_cfg(configuration.cfg), configuration.cfg.stem
    else:
        (cfg, text), stem = preset.cfg(), preset.name
    with torch.device("meta"):  # nothing is allocated before the weights file proves to be as large
        outline = build_network(cfg)
    concepts = _concepts(configuration, preset, cfg, outline.classes)
    weights, sha256 = _weights(configuration, preset, outline)
    check_weights(outline, weights)
    network = build_network(cfg)
    header = read_weights(network, weights)
    network.eval()
    training: dict[str, JsonValue] = {
        "network": stem,
        "start": "imported from darknet",
        "weights_sha256": sha256.value,
        "pictures_seen": header.seen,
    }
    name = configuration.name or stem
    if isinstance(network, DarknetDetector):
        difference = _export_detector(configuration, network, concepts, cfg.input_size(), name, training)
    else:
        difference = _export_classifier(configuration, network, concepts, cfg.input_size(), name, training)
    if configuration.checkpoint is not None:
        save_darknet_checkpoint(configuration.checkpoint, network, text, header)
    count = len(concepts) if isinstance(concepts, WordTree) else len(concepts.names)
    size = configuration.output.stat().st_size
    return ImportReport(configuration.output, size, network.classes, count, difference, sha256)


def _weights(
    configuration: ImportDarknetConfiguration, preset: Preset | None, outline: DarknetNetwork
) -> tuple[Path, Digest]:
    """Return the weights file, fetched if that is asked for, and its sha256."""
    try:
        digest = None if configuration.sha256 is None else Digest.parse(configuration.sha256)
    except ValueError as error:
        raise ConfigurationError(str(error)) from error
    if configuration.download:
        assert preset is not None
        path = configuration.weights or Path(f"{preset.name}.weights")
        addresses = preset.addresses if configuration.address is None else (configuration.address,)
        return path, download(addresses, path, digest or preset.digest, most=file_size(outline))
    assert configuration.weights is not None
    check_weights(outline, configuration.weights)  # before hashing: the file may be of any length
    found = Digest.of(configuration.weights)
    if digest is not None and Digest.of(configuration.weights, digest.algorithm) != digest:
        raise ConfigurationError(f"{configuration.weights}: its digest is {found}, not {digest}")
    return configuration.weights, found


def _concepts(
    configuration: ImportDarknetConfiguration, preset: Preset | None, cfg: Cfg, classes: int
) -> WordTree | Labels:
    """Return what the classes are."""
    concepts: WordTree | Labels
    if preset is not None:
        concepts = packaged_tree() if preset.labels == "tree" else known_labels(preset.labels)
    elif configuration.labels is not None:
        concepts = read_labels(configuration.labels, configuration.names)
    elif configuration.tree is not None:
        concepts = read_tree(configuration.tree, configuration.names)
    elif any("tree" in section.options for section in cfg.layers) and classes == len(packaged_tree()):
        concepts = packaged_tree()
    else:
        raise InvalidLabelsError(f"the network has {classes} classes: --labels or --tree must say what they are")
    count = len(concepts) if isinstance(concepts, WordTree) else len(concepts.names)
    if count != classes:
        kind = "a tree of" if isinstance(concepts, WordTree) else "labels for"
        raise InvalidLabelsError(f"the network has {classes} classes, but there is {kind} {count}")
    has_tree = any("tree" in section.options for section in cfg.layers)
    if has_tree != isinstance(concepts, WordTree):
        raise InvalidLabelsError(
            "the cfg has a tree, so it needs --tree, not --labels"
            if has_tree
            else "the cfg has no tree, so its classes are flat: it needs --labels, not --tree"
        )
    return concepts


def _export_detector(
    configuration: ImportDarknetConfiguration,
    network: DarknetDetector,
    concepts: WordTree | Labels,
    cfg_size: int,
    name: str,
    training: dict[str, JsonValue],
) -> float:
    default_size = configuration.default_size or cfg_size
    sizes = tuple(sorted({*(configuration.sizes or (*range(320, 609, 32), default_size))}))
    if default_size not in sizes:
        raise ConfigurationError(f"the default size {default_size} is not one of the sizes {list(sizes)}")
    if any(size % network.stride for size in sizes):
        raise ConfigurationError(
            f"the sizes {list(sizes)} are not all multiples of the network's stride, {network.stride}"
        )
    detector: Detector
    labelled: tuple[int, ...]
    if isinstance(concepts, WordTree):
        detector, tree, labelled = network, concepts, ()
    else:
        detector, tree = UnderRoot(network), concepts.two_level_tree()
        labelled = tuple(range(1, len(tree)))
    metadata = ModelMetadata(
        name=name,
        version=configuration.version,
        tree=TreeMetadata.of(tree),
        trained=tuple(range(len(tree))),
        labelled=labelled,
        anchors=tuple((float(width), float(height)) for width, height in network.anchors.tolist()),
        stride=network.stride,
        sizes=sizes,
        default_size=default_size,
        thresholds=Thresholds(objectness=configuration.objectness),
        training=training,
        licence=configuration.licence,
    )
    batches = [read_letterboxed(path, default_size) for path in configuration.pictures]
    report = export_detector(
        detector, metadata, configuration.output, half_storage=configuration.half_storage, pictures=batches
    )
    return report.probabilities


def _export_classifier(
    configuration: ImportDarknetConfiguration,
    network: DarknetClassifier,
    concepts: WordTree | Labels,
    cfg_size: int,
    name: str,
    training: dict[str, JsonValue],
) -> float:
    tree = concepts if isinstance(concepts, WordTree) else None
    metadata = ClassifierMetadata(
        name=name,
        version=configuration.version,
        wnids=concepts.wnids,
        names=concepts.names,
        parents=None if tree is None else tuple(tree.parents.tolist()),
        default_size=configuration.default_size or cfg_size,
        training=training,
        licence=configuration.licence,
    )
    return export_classifier(network, metadata, tree, configuration.output, half_storage=configuration.half_storage)


def save_darknet_checkpoint(folder: Path, network: DarknetNetwork, text: str, header: Header) -> None:
    """Write a checkpoint that knows the cfg and the header it came from."""
    tensors = {f"{NETWORK_PREFIX}{key}": value for key, value in network.state_dict().items()}
    save_checkpoint(folder, tensors, {"step": 0, STATE: {"cfg": text, "header": asdict(header)}})
