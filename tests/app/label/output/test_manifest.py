from pathlib import Path

import pytest

from app.label.output.manifest import Listing, Manifest, read_manifest
from model.archives.errors import OutputError
from model.archives.locations import LocalFolder
from tests.app.label.archives import plan


@pytest.fixture
def manifest(tmp_path: Path, tiny_model: Path) -> Manifest:
    return plan(tmp_path / "source", tmp_path, tiny_model)[0].manifest


def test_it_is_kept(tmp_path: Path, manifest: Manifest) -> None:
    location = LocalFolder(tmp_path / "output")
    assert read_manifest(location) is None
    listed = manifest.model_copy(update={"listing": Listing(digest="x", shards=1, shard_size=2, passed_over=3)})
    listed.write(location)
    assert read_manifest(location) == listed
    listed.check_same(manifest, "output")


def test_what_is_different_is_named(tmp_path: Path, tiny_model: Path, manifest: Manifest) -> None:
    other = plan("/elsewhere", tmp_path, tiny_model, parameters={"threshold": 0.3, "under": ["n02084071"]})[0].manifest
    with pytest.raises(OutputError) as caught:
        manifest.check_same(other, "output")
    for part in (
        f"the source is /elsewhere and was {tmp_path}/source",
        "threshold is 0.3 and was 0.25",
        'under is ["n02084071"] and was []',
    ):
        assert part in str(caught.value)
    model = manifest.model.model_copy(update={"digest": "sha256:other"})
    with pytest.raises(OutputError, match='digest is "sha256:other" and was "sha256:'):
        manifest.check_same(manifest.model_copy(update={"model": model}), "output")


def test_a_folder_of_somebody_else(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("x")
    with pytest.raises(OutputError, match="not empty and was not made by this program"):
        read_manifest(LocalFolder(tmp_path))


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"format": "yolo9000 labels 2"}', "\0"])
def test_a_manifest_of_no_use(tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(OutputError, match=r"manifest\.json is damaged, or of another version"):
        read_manifest(LocalFolder(tmp_path))
