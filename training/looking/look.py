"""The `look` command."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt
from pydantic_settings import CliPositionalArg

from model.tree_files import packaged_tree
from model.wordtree import WordTree
from training.data.formats.label_map import known_names, label_map_of
from training.data.formats.read import LAYOUTS
from training.files import replace_file
from training.looking.report import LookReport, look_at_sets
from training.looking.sets import read_sets


class LookConfiguration(BaseModel):
    """See what is in data sets before training on them: counts, sizes, classes, and what is wrong or odd.

    The exit status is 2 if training would refuse a set.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    sets: CliPositionalArg[tuple[str, ...]] = Field(
        description="the sets: each ANNOTATIONS:FOLDER with the folder of the pictures, a data.yaml, a NAME in the "
        f"data folder, or a folder with a folder of pictures for each class. Annotations: {LAYOUTS}",
        min_length=1,
    )
    data: Path = Field(Path("data"), description="folder of the sets given by NAME, see `evaluate`")
    label_map: Path | None = Field(
        None, description="file with a line 'WNID NAME' for each class whose name is unclear"
    )
    label_map_out: Path | None = Field(
        None, description="write a label map of all classes to this file, to correct where they are unclear"
    )
    tree: Path | None = Field(
        None, description="WordTree of the classes, as `wordtree` writes it; default: the packaged one"
    )
    strict: bool = Field(False, description="exit with 2 also if anything is told or odd")
    output: Path | None = Field(None, description="write what was found as JSON to this file")
    html: Path | None = Field(None, description="write it as one HTML file, with plots and pictures, to this file")
    drawn: NonNegativeInt = Field(24, description="pictures of each set in the HTML file, with their boxes")


def look(configuration: LookConfiguration) -> LookReport:
    """Look at sets, and write what was found as the configuration says.

    Raises:
        InvalidDatasetError: the label map cannot be read.
        ConfigurationError: the tree cannot be used.
    """
    tree = chosen_tree(configuration.tree)
    known = known_names(configuration.label_map)
    sets = [
        one
        for given in configuration.sets
        for one in read_sets(given, configuration.data, tree, configuration.label_map)
    ]
    report = look_at_sets(sets, tree)
    if configuration.label_map_out is not None:
        found = {category.name: category.wnid for one in sets for category in one.categories}
        clear = {name: wnid for name, wnid in found.items() if wnid}
        names = [name for name, wnid in found.items() if name != wnid]
        replace_file(configuration.label_map_out, label_map_of(names, tree, {**(known or {}), **clear}).encode())
    if configuration.output is not None:
        replace_file(configuration.output, f"{report.model_dump_json(indent=1)}\n".encode())
    if configuration.html is not None:
        from training.looking.page import page

        replace_file(configuration.html, page(report, sets, tree, configuration.drawn).encode())
    return report


def chosen_tree(path: Path | None) -> WordTree:
    """Return the tree of a file; None: the packaged one.

    Raises:
        ConfigurationError: it cannot be used.
    """
    if path is None:
        return packaged_tree()
    from training.weights.run_folder import read_tree_file  # with torch, which takes longer to load than most sets

    return read_tree_file(path)
