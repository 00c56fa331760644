"""What an archive of training pictures holds."""

import io
import re
from pathlib import Path

import pytest

from model.archives.parquets import RowGroups, UnusableColumnsError
from model.archives.tars import DamagedArchiveError
from tests.archives import parquet, tar
from tests.training.data.shards.shards import CAT, DOG, annotations, jpeg, write_parquet
from training.data.shards.samples import Fault, Sample, archive_class, parquet_samples, tar_samples

PICTURE = jpeg(0)
NOTHING = b'{"annotations": []}'


def read(path: Path) -> list[Sample | Fault]:
    with path.open("rb") as file:
        return list(tar_samples(file, path.name))


@pytest.mark.parametrize(
    ("members", "label"),
    [
        ([("a/1.jpg", PICTURE), ("a/1.cls", b" dog\n")], "dog"),
        ([("a/1.cls", b"17"), ("a/1.jpg", PICTURE)], "17"),
        ([("1.jpg", PICTURE), ("1.json", b'{"label": 17, "width": 3}')], "17"),
        ([("x/cat/1.JPEG", PICTURE)], "cat"),
        ([("1.jpg", PICTURE)], None),
        ([("1.jpg", PICTURE), ("1.json", b"{}")], None),
        ([("1.jpg", PICTURE), ("1.mask.png", PICTURE), ("1.cls", b"dog")], "dog"),
    ],
)
def test_where_a_label_is(tmp_path: Path, members: list[tuple[str, bytes]], label: str | None) -> None:
    (sample,) = read(tar(tmp_path / "a.tar", members))
    assert isinstance(sample, Sample)
    assert (sample.label, sample.boxes, sample.data) == (label, None, PICTURE)


def test_bare_pictures_of_one_beginning_are_several(tmp_path: Path) -> None:
    found = read(tar(tmp_path / "a.tar", [("dog/x.1.jpg", PICTURE), ("dog/x.2.jpg", PICTURE)]))
    assert [(one.name, one.label) for one in found if isinstance(one, Sample)] == [
        ("dog/x.1.jpg", "dog"),
        ("dog/x.2.jpg", "dog"),
    ]


@pytest.mark.parametrize("ending", ["tar", "tar.gz"])
def test_offsets_lead_to_the_bytes(tmp_path: Path, ending: str) -> None:
    pictures = [jpeg(seed) for seed in range(3)]
    members = [part for n, one in enumerate(pictures) for part in ((f"{n}.jpg", one), (f"{n}.json", NOTHING))]
    path = tar(tmp_path / f"a.{ending}", members, "w:gz" if ending == "tar.gz" else "w")
    whole = b"".join(pictures) if ending == "tar.gz" else path.read_bytes()
    for sample, picture in zip(read(path), pictures, strict=True):
        assert isinstance(sample, Sample)
        assert whole[sample.offset : sample.offset + len(picture)] == picture
        assert sample.boxes == ()


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("1.json", b"{", "Invalid JSON"),
        ("1.json", b'{"annotations": [{"bbox": [1, 2, 3], "category": "dog"}]}', r"annotations.0.bbox.*Field required"),
        ("1.json", b'{"annotations": [{"bbox": [1, 2, NaN, 3], "category": "dog"}]}', "finite"),
        ("1.json", b'{"annotations": [{"bbox": [1, 2, 3, 4]}]}', "annotations.0.category: Field required"),
        ("1.cls", b"\xff", "invalid start byte"),
    ],
)
def test_labels_that_cannot_be_read(tmp_path: Path, name: str, content: bytes, told: str) -> None:
    (fault,) = read(tar(tmp_path / "a.tar", [("1.jpg", PICTURE), (name, content)]))
    assert isinstance(fault, Fault)
    assert fault.name == "1.jpg"
    assert re.search(told, fault.reason)


def test_labels_of_two_pictures(tmp_path: Path) -> None:
    (fault,) = read(tar(tmp_path / "a.tar", [("1.jpg", PICTURE), ("1.png", PICTURE), ("1.cls", b"dog")]))
    assert fault == Fault("1.jpg", "its labels could be those of several pictures")


def test_a_damaged_archive_gives_what_is_before_the_damage(tmp_path: Path) -> None:
    path = tar(tmp_path / "a.tar", [("1.jpg", PICTURE), ("2.jpg", PICTURE), ("3.jpg", PICTURE)])
    path.write_bytes(path.read_bytes()[: 3 * len(PICTURE)])
    found: list[Sample | Fault] = []
    with path.open("rb") as file, pytest.raises(DamagedArchiveError):
        found.extend(iter(tar_samples(file, "a.tar")))
    assert len(found) >= 1


@pytest.mark.parametrize("boxed", [False, True])
def test_parquet(tmp_path: Path, *, boxed: bool) -> None:
    pictures = write_parquet(tmp_path / "a.parquet", 5, boxed=boxed)
    with (tmp_path / "a.parquet").open("rb") as file:
        found = list(parquet_samples(file, RowGroups(1, 2, 2, 3), None))
    whole = b"".join(pictures[2:])
    for seed, sample in enumerate(found, start=2):
        assert isinstance(sample, Sample)
        assert whole[sample.offset : sample.offset + len(sample.data)] == sample.data == pictures[seed]
        if boxed:
            assert [box.model_dump() for box in sample.boxes or ()] == [
                {**one, "bbox": tuple(one["bbox"]), "iscrowd": False} for one in annotations(seed)
            ]
        else:
            assert sample.label == (DOG, CAT)[seed % 2]


def test_parquet_of_other_forms(tmp_path: Path) -> None:
    columns = {
        "image": [PICTURE, None, PICTURE],
        "label": ["dog", "cat", None],
        "objects": [[{"bbox": [0.0, 0.0, 9.0, 9.0], "category": "cat"}], [], [{"bbox": [0.0], "category": "cat"}]],
    }
    path = parquet(tmp_path / "a.parquet", columns)
    with path.open("rb") as file:
        first, *others = list(parquet_samples(file, RowGroups(0, 1, 0, 3), None))
    assert isinstance(first, Sample)
    assert (first.label, [box.category for box in first.boxes or ()]) == ("dog", ["cat"])
    assert [(one.name, one.reason[:21]) for one in others if isinstance(one, Fault)] == [
        ("1", "the row has no bytes"),
        ("2", "its labels cannot be "),
    ]
    with pytest.raises(UnusableColumnsError):
        list(
            parquet_samples(
                io.BytesIO(parquet(tmp_path / "b.parquet", {"a": [1]}).read_bytes()), RowGroups(0, 0, 0, 0), None
            )
        )


def test_metadata_that_is_no_hugging_face(tmp_path: Path) -> None:
    path = parquet(tmp_path / "a.parquet", {"image": [PICTURE], "label": [7]})
    with path.open("rb") as file:
        (sample,) = parquet_samples(file, RowGroups(0, 1, 0, 1), None)
    assert isinstance(sample, Sample)
    assert sample.label == "7"


@pytest.mark.parametrize(
    ("name", "label"),
    [("x/n02084071.tar", "n02084071"), ("dog.tar.gz", "dog"), ("dog.tgz", "dog"), ("a.b.parquet", "a.b")],
)
def test_the_class_of_an_archive(name: str, label: str) -> None:
    assert archive_class(name) == label
