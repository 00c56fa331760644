from typing import get_args

import pytest
import torch

from model.tree_files import packaged_tree
from training.darknet.labels import known_labels
from training.darknet.network import build_network
from training.darknet.presets import PRESETS, Preset, PresetName

PRESET_LIST = list(PRESETS.values())


def test_every_name_has_its_preset() -> None:
    assert tuple(PRESETS) == get_args(PresetName)


@pytest.mark.parametrize("preset", PRESET_LIST, ids=list(PRESETS))
def test_a_preset_has_a_label_for_each_class(preset: Preset) -> None:
    with torch.device("meta"):
        network = build_network(preset.cfg()[0])

    labels = len(packaged_tree()) if preset.labels == "tree" else len(known_labels(preset.labels).names)
    assert labels == network.classes


@pytest.mark.parametrize("preset", PRESET_LIST, ids=list(PRESETS))
def test_weights_come_encrypted_under_their_own_name(preset: Preset) -> None:
    assert preset.addresses
    for address in preset.addresses:
        assert address.startswith("https://")
        assert address.endswith(f"/{preset.name}.weights")
