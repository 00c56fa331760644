import io
import tarfile
from pathlib import Path
from typing import BinaryIO

import pytest

from model.archives.tars import MAX_HEADER, DamagedArchiveError, TarPictures, is_compressed
from tests.archives import tar

MEMBERS = [("a.jpg", b"a" * 700), ("a.json", b"{}"), ("deep/../../b.png", b"b"), ("c.jpg", b""), ("a.jpg", b"again")]


def read(file: BinaryIO, name: str = "x.tar", offset: int = 0) -> list[tuple[str, bytes]]:
    pictures = TarPictures(file, name, offset)
    return [(member.name, pictures.read(member)) for member in pictures]


def header(size: bytes, kind: bytes = tarfile.REGTYPE, name: bytes = b"x.jpg") -> bytes:
    """Make a header whose size field holds these bytes."""
    block = bytearray(tarfile.TarInfo(name.decode()).tobuf())
    block[124:136] = size.ljust(12, b"\0")
    block[156:157] = kind
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


@pytest.mark.parametrize(
    ("name", "mode"),
    [("x.tar", "w"), ("x.tar.gz", "w:gz"), ("x.tgz", "w:gz"), ("x.tar.bz2", "w:bz2"), ("x.tar.xz", "w:xz")],
)
def test_pictures_in_their_order(tmp_path: Path, name: str, mode: str) -> None:
    with tar(tmp_path / name, MEMBERS, mode).open("rb") as file:
        assert read(file, name) == [MEMBERS[0], MEMBERS[2], MEMBERS[3], MEMBERS[4]]
    assert is_compressed(name) == (name != "x.tar")


def test_reading_goes_on_at_any_picture(tmp_path: Path) -> None:
    members = [(f"{'long' * 60}{number}.jpg", b"%d" % number) for number in range(4)]
    with tar(tmp_path / "x.tar", members).open("rb") as file:
        pictures = TarPictures(file, "x.tar")
        offsets = [pictures.offset for _ in pictures]
        for number, offset in enumerate(offsets):
            assert read(file, offset=offset) == members[number:]


def test_no_header_is_kept(tmp_path: Path) -> None:
    with tar(tmp_path / "x.tar", [("a.jpg", b"a")] * 50).open("rb") as file:
        pictures = TarPictures(file, "x.tar")
        for _ in pictures:
            assert pictures._tar is not None
            assert len(pictures._tar.members) <= 1  # type: ignore[attr-defined]


def test_an_archive_without_members(tmp_path: Path) -> None:
    with tar(tmp_path / "x.tar", []).open("rb") as file:
        assert read(file) == []


@pytest.mark.parametrize(
    ("data", "name", "reason"),
    [
        (b"", "x.tar", "empty"),
        (b"no archive at all" * 100, "x.tar", "damaged"),
        (b"no archive", "x.tgz", "Not a gzipped file"),
        (header(b"77777777777") + b"x" * 512, "x.tar", "damaged|cut short"),
        (header((-1024 % 2**96).to_bytes(12, "big")) + b"\0" * 2048, "x.tar", "damaged|cut short"),
        (header(b"0") + header((-512 % 2**96).to_bytes(12, "big")) + b"\0" * 2048, "x.tar", "damaged"),
        # Long names of 16 megabytes.
        (header(b"00077777777", tarfile.GNUTYPE_LONGNAME) + b"\0" * 2048, "x.tar", "claims to have 16777216 bytes"),
        (header(b"00077777777", tarfile.XHDTYPE) + b"\0" * 2048, "x.tar", "claims to have 16777216 bytes"),
    ],
)
def test_what_is_no_archive(data: bytes, name: str, reason: str) -> None:
    with pytest.raises(DamagedArchiveError, match=reason):
        read(io.BytesIO(data), name)


def test_headers_for_headers_without_end() -> None:
    data = (header(b"00000000001", tarfile.GNUTYPE_LONGNAME) + b"x".ljust(512, b"\0")) * 3000
    with pytest.raises(DamagedArchiveError):
        read(io.BytesIO(data))


@pytest.mark.parametrize(("mode", "name"), [("w", "x.tar"), ("w:gz", "x.tgz")])
def test_an_archive_that_is_cut_short_gives_what_it_has(tmp_path: Path, mode: str, name: str) -> None:
    members = [(f"{number}.jpg", bytes(range(256)) * 40) for number in range(5)]
    whole = tar(tmp_path / name, members, mode).read_bytes()
    pictures = TarPictures(io.BytesIO(whole[: 3 * len(whole) // 5]), name)
    seen: list[object] = []
    with pytest.raises(DamagedArchiveError, match=r"damaged|cut short"):
        seen.extend(pictures.read(member) for member in pictures)
    assert all(data == members[0][1] for data in seen)


def test_rubbish_in_the_middle_is_not_taken_for_the_end(tmp_path: Path) -> None:
    whole = bytearray(tar(tmp_path / "x.tar", [(f"{number}.jpg", b"x") for number in range(4)]).read_bytes())
    whole[2048:2560] = b"rubbish!" * 64
    pictures = TarPictures(io.BytesIO(bytes(whole)), "x.tar")
    seen: list[object] = []
    with pytest.raises(DamagedArchiveError, match="byte 2048"):
        seen.extend(member.name for member in pictures)
    assert seen == ["0.jpg", "1.jpg"]


def test_an_archive_without_its_end_mark_is_told_of(tmp_path: Path) -> None:
    whole = tar(tmp_path / "x.tar", [("0.jpg", b"x")]).read_bytes()[:1024]
    with pytest.raises(DamagedArchiveError, match="end mark"):
        read(io.BytesIO(whole))


def test_large_pictures_are_read_but_not_large_headers(tmp_path: Path) -> None:
    large = b"x" * (2 * MAX_HEADER)
    with tar(tmp_path / "x.tar", [("a.jpg", large), ("b.jpg", b"b")]).open("rb") as file:
        assert read(file) == [("a.jpg", large), ("b.jpg", b"b")]
