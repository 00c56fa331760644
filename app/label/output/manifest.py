"""What an output folder was begun with. Whoever goes on with it must want the same."""

import hashlib
import json
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from app.label.archive.shards import put_text
from model.archives.errors import OutputError
from model.archives.locations import Location
from model.runtime import OnnxDetector

NAME = "manifest.json"


class ModelFile(BaseModel):
    """Which model labels."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    version: str
    tree: str
    digest: str

    @classmethod
    def of(cls, detector: OnnxDetector, path: Path) -> Self:
        """Describe a model that was loaded from a file."""
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        metadata = detector.metadata
        return cls(name=metadata.name, version=metadata.version, tree=detector.tree.digest, digest=f"sha256:{digest}")


class LabelOptions(BaseModel):
    """What decides what the results are."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    threshold: float
    hierarchy_threshold: float
    iou_threshold: float
    max_detections: int
    under: list[str]
    size: int
    max_pixels: int
    max_bytes: int
    every_file: bool
    picture_column: str | None
    key_column: str | None


class Listing(BaseModel):
    """The source as it was listed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    digest: str
    shards: int
    shard_size: int
    passed_over: int


class Manifest(BaseModel):
    """The file `manifest.json` of an output folder.

    Attributes:
        format: of the folder.
        listing: None while the source is being listed.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal["yolo9000 labels 1"] = "yolo9000 labels 1"
    source: str
    model: ModelFile
    options: LabelOptions
    listing: Listing | None = None

    def write(self, location: Location) -> None:
        """Put the manifest into its folder."""
        put_text(location, self.model_dump_json(indent=2) + "\n", NAME)

    def check_same(self, wanted: "Manifest", folder: str) -> None:
        """Compare with what is wanted now, but for the listing.

        Raises:
            OutputError: something is different.
        """
        before, now = (manifest.model_dump(exclude={"listing"}) for manifest in (self, wanted))
        differences = [
            f"{name} is {_shown(now[part][name])} and was {_shown(value)}"
            for part in ("options", "model")
            for name, value in before[part].items()
            if now[part][name] != value
        ]
        if self.source != wanted.source:
            differences.insert(0, f"the source is {wanted.source} and was {self.source}")
        if differences:
            raise OutputError(
                f"{folder} was started with other options: {'; '.join(differences)}; use the same, or another folder"
            )


def read_manifest(location: Location) -> Manifest | None:
    """Read the manifest of a folder; None where the folder is empty or not there.

    Raises:
        OutputError: there is something else in it, or the manifest is of no use.
    """
    names = set(location.names("")) - {".lock", "tmp"}
    if not names:
        return None
    if NAME not in names:
        raise OutputError(f"{location.url} is not empty and was not made by this program; choose another folder")
    with location.open(NAME) as file:
        text = file.read()
    try:
        return Manifest.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise OutputError(
            f"{location.url}/{NAME} is damaged, or of another version of this program ({place}: {first['msg']})"
        ) from error


def _shown(value: object) -> str:
    return "not given" if value is None else json.dumps(value)
