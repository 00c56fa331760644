import pytest

from model.archives.kinds import kind_of


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.jpg", "picture"),
        ("deep/a.JPEG", "picture"),
        ("a.avif", "picture"),
        ("a.tar", "tar"),
        ("a.TAR.GZ", "tar"),
        ("a.tgz", "tar"),
        ("train-00001.parquet", "parquet"),
        ("a.txt", None),
        ("jpg", None),
        ("a.jpg.json", None),
    ],
)
def test_the_name_tells(name: str, kind: str | None) -> None:
    assert kind_of(name) == kind


def test_every_file() -> None:
    assert kind_of("4f2a", every_file=True) == "picture"
    assert kind_of("4f2a.tar", every_file=True) == "tar"
