"""The `wordtree` command: builds a WordTree of a list of labels, writes it, and compares it with another."""

from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, field_validator

from model.tree_files import packaged_tree, read_word_tree
from model.wordtree import WordTree
from training.command_line import ConfigurationError
from training.data.formats.imagenet import imagenet_wnids
from training.files import replace_file
from training.wordtree.assemble import assemble
from training.wordtree.compare import Comparison, compare
from training.wordtree.files import SUFFIXES, write_tree
from training.wordtree.labels import Label, is_wnid, read_labels
from training.wordtree.wordnet import DEFAULT_FOLDER, WordNet

IMAGENET_1K: Final = "imagenet-1k"
PACKAGED: Final = "packaged"


class WordTreeConfiguration(BaseModel):
    """Build a WordTree of a list of labels from WordNet 3.0, by the rule of the YOLO9000 paper."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    labels: str = Field(
        description=(
            "text file with a WordNet id, an id and a name, or a name of your own on each line; a CSV file "
            "of your own hierarchy, label,parent; a folder with a folder per label; a COCO JSON file; "
            "imagenet-1k: its 1,000 classes; "
            "packaged: the 9,418 of the packaged tree"
        )
    )
    wordnet: Path = Field(
        DEFAULT_FOLDER, description="folder with WordNet 3.0's data.noun; needed if a label is a concept of WordNet"
    )
    output: Path | None = Field(
        None,
        description=(
            "file to write: .tsv, .tsv.gz, .json (a model file's metadata) or .tree (darknet's, "
            "with the names in .names); default: only describe the tree"
        ),
    )
    without: tuple[str, ...] = Field(
        ("n00001740", "n00001930", "n00002137"),
        description=(
            "WordNet ids to leave out unless they are labels; default: entity, physical entity "
            "and abstraction, which say nothing about a picture"
        ),
    )
    contract: bool = Field(
        True,
        description="leave out unlabelled concepts with a single child, which always have that child's probability",
    )
    own_root: str = Field(
        "own",
        description="id of the root above your own labels that name no parent: a word or a WordNet id",
        min_length=1,
    )
    compare: str | None = Field(None, description="tree to compare with: packaged, or a .tsv or .tsv.gz file")
    report: Path | None = Field(None, description="write the description as JSON to this file")

    @field_validator("output")
    @classmethod
    def _known_format(cls, output: Path | None) -> Path | None:
        if output is not None and output.suffix not in SUFFIXES:
            raise ValueError(f"{output} must end in {', '.join(SUFFIXES)}")
        return output

    @field_validator("own_root")
    @classmethod
    def _one_word(cls, own_root: str) -> str:
        if own_root.split() != [own_root]:
            raise ValueError(f"{own_root!r} must be a word without white space")
        return own_root


class WordTreeReport(BaseModel):
    """What was built.

    Attributes:
        labels: number of labels. nodes: of concepts in the tree, labels among them.
        roots, leaves, groups, levels: see `WordTree`. largest_group: number of siblings in it.
        digest: the tree's.
        written: the files.
        comparison: with the tree of `compare`.
    """

    model_config = ConfigDict(frozen=True)

    labels: int
    nodes: int
    roots: tuple[str, ...]
    leaves: int
    groups: int
    largest_group: int
    levels: int
    digest: str
    written: tuple[Path, ...]
    comparison: Comparison | None

    def table(self) -> str:
        """Return it as text."""
        lines = [
            f"{self.labels} labels in a tree of {self.nodes} nodes and {self.levels} levels",
            f"{self.leaves} leaves, {self.groups} sibling groups of up to {self.largest_group}",
            f"roots: {', '.join(self.roots)}",
            f"digest: {self.digest}",
            *(f"written: {path}" for path in self.written),
        ]
        if self.comparison is not None:
            lines += ["", self.comparison.table()]
        return "\n".join(lines)


def build_wordtree(configuration: WordTreeConfiguration) -> WordTreeReport:
    """Build a tree, write and compare it as the configuration says.

    Raises:
        ConfigurationError: WordNet or the tree to compare with cannot be used.
        InvalidDatasetError: the labels cannot be used; it names the line or record.
    """
    labels = _labels(configuration.labels)
    given = {configuration.own_root, *(node for label in labels for node in (label.node, label.parent) if node)}
    alone = not any(is_wnid(node) for node in given)
    wordnet = WordNet(configuration.wordnet, b"") if alone else WordNet.read(configuration.wordnet)
    reference = None if configuration.compare is None else _reference(configuration.compare)
    tree = assemble(
        labels,
        wordnet,
        without=configuration.without,
        contract=configuration.contract,
        own_root=configuration.own_root,
    )

    def hypernyms(node: str) -> tuple[str, ...]:
        return wordnet.hypernyms(node) if is_wnid(node) and node in wordnet else ()

    report = WordTreeReport(
        labels=len(labels),
        nodes=len(tree),
        roots=tuple(tree.names[root] for root in tree.roots),
        leaves=len(tree.leaves),
        groups=len(tree.group_size),
        largest_group=int(tree.group_size.max()),
        levels=tree.levels,
        digest=tree.digest,
        written=() if configuration.output is None else write_tree(configuration.output, tree),
        comparison=None if reference is None else compare(tree, reference, hypernyms),
    )
    if configuration.report is not None:
        replace_file(configuration.report, f"{report.model_dump_json(indent=1)}\n".encode())
    return report


def _labels(given: str) -> tuple[Label, ...]:
    if given not in {IMAGENET_1K, PACKAGED}:
        return read_labels(Path(given))
    wnids = imagenet_wnids() if given == IMAGENET_1K else packaged_tree().wnids
    return tuple(Label(wnid, "", None, given) for wnid in wnids)


def _reference(given: str) -> WordTree:
    if given == PACKAGED:
        return packaged_tree()
    try:
        return read_word_tree(Path(given))
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"compare: {given} cannot be read as a tree: {error}") from error
