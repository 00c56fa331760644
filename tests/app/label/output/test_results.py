import json
from pathlib import Path

from app.label.output.results import write_failures
from app.label.output.tables import ShardTables
from model.archives.locations import LocalFolder
from tests.app.label.output.test_tables import TREE, found


def written(folder: Path) -> LocalFolder:
    """Two shards: two pictures, one of them damaged; and two, one of them with nothing in it."""
    location = LocalFolder(folder)
    with ShardTables(location, 0, TREE) as tables:
        tables.add("ü.jpg", 20, 10, found("beagle", "car"))
        tables.add_failure("b.jpg", "it is damaged")
        tables.commit()
    with ShardTables(location, 1, TREE) as tables:
        tables.add("nothing.jpg", 20, 10, found())
        tables.add("c.jpg", 20, 10, found("beagle"))
        tables.commit()
    return location


def test_failures(tmp_path: Path) -> None:
    assert write_failures(written(tmp_path), [0, 1]) == (4, 1)
    (line,) = (tmp_path / "failures.jsonl").read_text().splitlines()
    assert json.loads(line) == {"picture_id": 1, "picture": "b.jpg", "failure": "it is damaged"}


def test_nothing_at_all(tmp_path: Path) -> None:
    assert write_failures(LocalFolder(tmp_path), []) == (0, 0)
