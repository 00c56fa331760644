"""The script that writes the packaged tree: on small files, and on Debian's packages where installed."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from model.tree_files import PACKAGED_TREE_FILE, packaged_tree
from training.wordtree.packaged_tree import compress, definition_of, main, packaged_text, parse_synset, read_synset

DARKNET, WORDNET = Path("/usr/share/darknet"), Path("/usr/share/wordnet")
needs_darknet = pytest.mark.skipif(
    not (DARKNET / "data" / "9k.tree").exists(), reason="Debian's package darknet is not installed"
)
needs_wordnet = pytest.mark.skipif(
    not (WORDNET / "data.noun").exists(), reason="Debian's package wordnet-base is not installed"
)

GADGET = '00000000 06 n 02 odd_gadget 0 gizmo 1 001 @ 03563967 n 0000 | a device; of little use; "a gadget!"\n'
TOY = "00000105 06 n 01 toy 0 001 @ 00000000 n 0000 | a small gadget\n"


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """A darknet and a WordNet of two nodes; darknet calls one of them otherwise."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "9k.tree").write_text(f"n00000000 -1\nn{len(GADGET):08d} 0\n")
    (tmp_path / "data" / "9k.names").write_text("odd gadget\nplaything\n")
    (tmp_path / "data.noun").write_text(GADGET + TOY.replace("00000105", f"{len(GADGET):08d}"))
    return tmp_path, tmp_path


class TestSmallFiles:
    def test_lines(self, folders: tuple[Path, Path]) -> None:
        assert packaged_text(*folders) == (
            "n00000000\t-1\todd gadget\tgizmo\ta device; of little use\n"
            f"n{len(GADGET):08d}\t0\ttoy\tplaything\ta small gadget\n"
        )

    def test_command_writes_the_same_bytes_again(self, folders: tuple[Path, Path], tmp_path: Path) -> None:
        written = []
        for name in ("first.gz", "second.gz"):
            output = tmp_path / name
            main(["--darknet", str(folders[0]), "--wordnet", str(folders[1]), "--output", str(output)])
            written.append(output.read_bytes())
        assert written[0] == written[1]
        assert gzip.decompress(written[0]).decode() == packaged_text(*folders)
        assert not list(tmp_path.glob("*.part"))

    def test_another_wordnet_is_refused(self, folders: tuple[Path, Path]) -> None:
        nouns = folders[1] / "data.noun"
        nouns.write_text("x" + nouns.read_text())
        with pytest.raises(ValueError, match=r"n00000000 is no noun of this WordNet; version 3\.0 is needed"):
            packaged_text(*folders)

    def test_names_and_nodes_of_different_number_are_refused(self, folders: tuple[Path, Path]) -> None:
        (folders[0] / "data" / "9k.names").write_text("odd gadget\n")
        with pytest.raises(ValueError, match="shorter"):
            packaged_text(*folders)

    def test_a_separator_within_a_text_is_refused(self, folders: tuple[Path, Path]) -> None:
        (folders[0] / "data" / "9k.names").write_text("odd gadget\nplay|thing\n")
        with pytest.raises(ValueError, match="has a tab, line end or "):
            packaged_text(*folders)


def test_words_are_counted_in_hexadecimal() -> None:
    words = [f"word_{number}" for number in range(16)]
    line = "00000000 03 n 10 " + " ".join(f"{word} 0" for word in words) + " 000 | many words"
    assert parse_synset(line).words == tuple(word.replace("_", " ") for word in words)


def test_the_last_line_of_a_file_may_end_without_a_line_end() -> None:
    assert read_synset(TOY.rstrip().replace("00000105", "00000000").encode(), "n00000000").words == ("toy",)


@pytest.mark.parametrize(
    ("gloss", "definition"),
    [
        ("a thing", "a thing"),
        ('a thing; used to thing; "things thing"; "a thing; thinging"  ', "a thing; used to thing"),
        ('woven of worsted yarns "he wore a worsted suit"', "woven of worsted yarns"),
        ("female of domestic cattle: \"`moo-cow' is a child's term\"", "female of domestic cattle"),
    ],
)
def test_definitions_have_no_examples(gloss: str, definition: str) -> None:
    assert definition_of(gloss) == definition


def test_compression_does_not_depend_on_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    now = compress("some lines\n")
    monkeypatch.setattr("time.time", lambda: 1e9)
    assert compress("some lines\n") == now


@needs_darknet
@needs_wordnet
def test_the_packaged_file_is_what_the_script_writes(tmp_path: Path) -> None:
    output = tmp_path / "wordtree.tsv.gz"
    main(["--darknet", str(DARKNET), "--wordnet", str(WORDNET), "--output", str(output)])
    # The text, because another zlib may compress the same text to other bytes.
    assert gzip.decompress(output.read_bytes()) == gzip.decompress(PACKAGED_TREE_FILE.read_bytes())


@needs_darknet
class TestDarknet:
    def test_nodes_are_those_of_9k_tree(self) -> None:
        tree = packaged_tree()
        lines = (f"{wnid} {parent}" for wnid, parent in zip(tree.wnids, tree.parents, strict=True))
        assert list(lines) == (DARKNET / "data" / "9k.tree").read_text().splitlines()

    def test_names_are_kept(self) -> None:
        tree = packaged_tree()
        names = (DARKNET / "data" / "9k.names").read_text().splitlines()
        # Nodes whose name an earlier node already has.
        assert len(names) - len(set(names)) == 662
        differing = []
        for node, name in enumerate(names):
            if tree.names[node] != name:
                differing.append((tree.names[node], name))
                assert name in tree.synonyms[node]
        assert differing == [
            ("aquaplane", "surfboard"),
            ("springbok", "springbok antelope"),
            ("herpes simplex 1", "herpes simplex"),
        ]

    @pytest.mark.parametrize(("file", "classes", "leaves"), [("coco9k.map", 80, 36), ("inet9k.map", 200, 129)])
    def test_other_data_sets_are_nodes(self, file: str, classes: int, leaves: int) -> None:
        tree = packaged_tree()
        nodes = [int(line) for line in (DARKNET / "data" / file).read_text().split()]
        assert len(nodes) == len(set(nodes)) == classes
        assert sum(tree.is_leaf(node) for node in nodes) == leaves

    def test_cocos_names(self) -> None:
        tree = packaged_tree()
        nodes = [int(line) for line in (DARKNET / "data" / "coco9k.map").read_text().split()]
        names = (DARKNET / "data" / "coco.names").read_text().splitlines()
        wnids = {name: tree.wnids[node] for name, node in zip(names, nodes, strict=True)}
        assert wnids["dog"] == "n02084071"
        assert wnids["surfboard"] == "n02731900"


@needs_wordnet
def test_edges_are_mostly_hypernyms_of_wordnet() -> None:
    tree, nouns = packaged_tree(), (WORDNET / "data.noun").read_bytes()
    direct = 0
    for wnid, parent in zip(tree.wnids, tree.parents.tolist(), strict=True):
        start = int(wnid[1:])
        fields = nouns[start : nouns.find(b"|", start)].decode().split()
        # After the words come pointers of four fields: symbol, offset, part of speech, words. @ and @i mean a
        # hypernym.
        pointers = fields[5 + 2 * int(fields[3], 16) :]
        hypernyms = {
            f"n{offset}" for symbol, offset in zip(pointers[::4], pointers[1::4], strict=True) if symbol[0] == "@"
        }
        direct += parent >= 0 and tree.wnids[parent] in hypernyms
    assert direct == 8033
