"""WordNet's nouns, from a small file and, where installed, from Debian's."""

from pathlib import Path

import pytest

from tests.training.wordtree.nouns import small_wordnet
from training.command_line import ConfigurationError
from training.wordtree.wordnet import DEFAULT_FOLDER, WordNet

needs_wordnet = pytest.mark.skipif(
    not (DEFAULT_FOLDER / "data.noun").exists(), reason="Debian's package wordnet-base is not installed"
)


def test_hypernyms_are_kinds_and_instances_in_order(tmp_path: Path) -> None:
    wordnet, wnids = small_wordnet(tmp_path)
    assert wordnet.hypernyms(wnids["robot_dog"]) == (wnids["gadget"], wnids["dog"])
    assert wordnet.hypernyms(wnids["Rex"]) == (wnids["dog"],)
    assert wordnet.hypernyms(wnids["entity"]) == ()


def test_words_and_definition(tmp_path: Path) -> None:
    wordnet, wnids = small_wordnet(tmp_path)
    assert wordnet.synset(wnids["lap_dog"]).words == ("lap dog",)
    assert wordnet.synset(wnids["lap_dog"]).definition == "a lap_dog"


def test_only_a_line_s_start_is_a_synset(tmp_path: Path) -> None:
    wordnet, wnids = small_wordnet(tmp_path)
    assert all(wnid in wordnet for wnid in wnids.values())
    assert f"n{int(wnids['dog'][1:]) + 1:08d}" not in wordnet
    assert "n99999999" not in wordnet
    for ask in (wordnet.hypernyms, wordnet.synset):
        with pytest.raises(ConfigurationError, match=r"no synset at n99999999; version 3\.0 is needed"):
            ask("n99999999")


@pytest.mark.parametrize(
    "line", ["00000000 03 n zz\n", "00000000 03 n 01 word 0 002 @ 00000000 n 0000\n", "00000000 \n"]
)
def test_a_damaged_line_is_told(tmp_path: Path, line: str) -> None:
    (tmp_path / "data.noun").write_text(line)
    with pytest.raises(ConfigurationError, match=r"data\.noun has no synset at n00000000"):
        WordNet.read(tmp_path).hypernyms("n00000000")


def test_no_such_file_says_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigurationError, match=r"data\.noun cannot be read .*; install Debian's package wordnet-base"
    ):
        WordNet.read(tmp_path)


@needs_wordnet
def test_the_real_file() -> None:
    wordnet = WordNet.read()
    assert wordnet.hypernyms("n02084071") == ("n02083346", "n01317541")  # a canine, and a domestic animal
    assert wordnet.hypernyms("n00001740") == ()
    assert wordnet.synset("n02084071").words[0] == "dog"
