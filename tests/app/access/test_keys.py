import hashlib
from pathlib import Path

import pytest

from app.access.keys import InvalidKeyEntryError, KeyEntry, KeyRing, make_key, read_entries


def test_a_made_key_is_known_by_its_entry() -> None:
    key, entry = make_key("camera-7")
    ring = KeyRing([make_key("other")[1], KeyEntry.parse(str(entry))])
    assert ring.name_of(key) == "camera-7"
    assert ring.name_of(key[:-1]) is None
    assert ring.name_of("") is None
    assert ring.name_of("é\udcff") is None


def test_the_entry_holds_the_digest_not_the_key() -> None:
    key, entry = make_key("a")
    assert str(entry) == f"a:sha256:{hashlib.sha256(key.encode()).hexdigest()}"
    assert key.removeprefix("y9k_") not in str(entry)
    assert make_key("a")[0] != key
    assert len(key) >= 43


@pytest.mark.parametrize("text", ["", "a", "a:sha256:ab", f"a:md5:{'0' * 64}", f"a b:sha256:{'0' * 64}", "y9k_secret"])
def test_what_is_no_entry_is_refused_without_being_repeated(text: str) -> None:
    with pytest.raises(InvalidKeyEntryError, match="NAME:sha256:DIGEST") as caught:
        KeyEntry.parse(text)
    assert "secret" not in str(caught.value)


def test_names_differ() -> None:
    with pytest.raises(InvalidKeyEntryError, match="two API keys have the name a"):
        KeyRing([make_key("a")[1], make_key("a")[1]])


def test_a_file_of_entries(tmp_path: Path) -> None:
    first, second = make_key("first")[1], make_key("second")[1]
    file = tmp_path / "keys"
    file.write_text(f"# our keys\n\n{first}\n  {second}  \n")
    assert read_entries(file) == [first, second]
    file.write_text(f"{first}\nsecret\n")
    with pytest.raises(InvalidKeyEntryError, match="line 2") as caught:
        read_entries(file)
    assert "secret" not in str(caught.value)
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InvalidKeyEntryError, match="line 1"):
        read_entries(file)
