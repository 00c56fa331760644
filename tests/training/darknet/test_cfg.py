from pathlib import Path

import pytest

from training.darknet.cfg import Section, parse_cfg, read_cfg
from training.darknet.errors import InvalidCfgError

TEXT = """
# a comment
[net]
width = 64   # the input
height=64
channels=3

; another comment
[convolutional]
filters=16
filters=32
anchors = 1, 2.5,  3
[maxpool]
"""


def test_sections_and_options_are_read_in_order() -> None:
    cfg = parse_cfg(TEXT)

    assert cfg.net == Section("net", 3, {"width": "64", "height": "64", "channels": "3"})
    assert [str(section) for section in cfg.layers] == ["[convolutional] at line 9", "[maxpool] at line 13"]
    assert cfg.input_size() == 64


def test_of_an_option_that_stands_twice_the_first_counts() -> None:
    assert parse_cfg(TEXT).layers[0].integer("filters", 1) == 16


def test_options_that_are_not_there_have_defaults() -> None:
    section = parse_cfg(TEXT).layers[1]

    assert (section.integer("size", 2), section.numbers("anchors"), section.text("tree")) == (2, (), None)


def test_numbers_stand_between_commas_and_blanks() -> None:
    assert parse_cfg(TEXT).layers[0].numbers("anchors") == (1, 2.5, 3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "begins with \\[net\\]"),
        ("[convolutional]\nfilters=1", "begins with \\[net\\]"),
        ("[net]\nwidth=1", "has no layers"),
        ("width=1\n[net]", "line 1 of the cfg"),
        ("[net]\nwidth 1\n[maxpool]", "line 2 of the cfg"),
    ],
)
def test_text_that_is_no_cfg_is_refused(text: str, message: str) -> None:
    with pytest.raises(InvalidCfgError, match=message):
        parse_cfg(text)


@pytest.mark.parametrize("value", ["", "many", "1.5", "-1", "99999999999999"])
def test_a_number_that_is_none_or_out_of_range_is_refused_with_its_line(value: str) -> None:
    section = Section("convolutional", 7, {"filters": value})

    with pytest.raises(InvalidCfgError, match=r"\[convolutional\] at line 7: filters="):
        section.integer("filters", 1)


def test_a_list_that_is_not_of_numbers_is_refused() -> None:
    with pytest.raises(InvalidCfgError, match="anchors holds something"):
        Section("region", 1, {"anchors": "1,2,x"}).numbers("anchors")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("width=64\nheight=32\nchannels=3", "must be a square"),
        ("channels=3", "must be a square"),
        ("width=64\nheight=64\nchannels=1", "channels=3"),
    ],
)
def test_an_input_that_is_no_square_of_three_channels_is_refused(options: str, message: str) -> None:
    with pytest.raises(InvalidCfgError, match=message):
        parse_cfg(f"[net]\n{options}\n[maxpool]").input_size()


def test_a_file_is_read_with_its_text(tmp_path: Path) -> None:
    path = tmp_path / "network.cfg"
    path.write_text(TEXT)

    assert read_cfg(path) == (parse_cfg(TEXT), TEXT)


@pytest.mark.parametrize("content", [b"\xff\xfe\x00[net]", b"x" * (1 << 21), b"GIF89a"])
def test_a_file_that_is_no_cfg_is_refused_by_name(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "network.cfg"
    path.write_bytes(content)

    with pytest.raises(InvalidCfgError, match=r"network\.cfg: "):
        read_cfg(path)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidCfgError, match="cannot be read"):
        read_cfg(tmp_path / "network.cfg")
