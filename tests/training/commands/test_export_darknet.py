from pathlib import Path

import pytest
import torch

from tests.training.darknet.networks import TINY_CLASSIFIER, TINY_DETECTOR, write_network
from training.__main__ import main
from training.commands.export_darknet import ExportDarknetConfiguration, export_darknet
from training.commands.import_darknet import save_darknet_checkpoint
from training.darknet.cfg import parse_cfg
from training.darknet.network import build_network
from training.darknet.weights import Header, read_weights
from training.weights.checkpoint import InvalidCheckpointError, load_checkpoint, save_checkpoint


def checkpoint(folder: Path, cfg: str, header: Header) -> Path:
    """Write a checkpoint of a network with random weights; return its folder. Its files lie beside it."""
    _, weights = write_network(folder, cfg, header=header)
    network = build_network(parse_cfg(cfg))
    save_darknet_checkpoint(folder / "run", network, cfg, read_weights(network, weights))
    return folder / "run"


@pytest.mark.parametrize("header", [Header(0, 1, 0, 7), Header(0, 2, 0, 1 << 40)])
@pytest.mark.parametrize("cfg", [TINY_DETECTOR, TINY_CLASSIFIER])
def test_the_round_trip_gives_the_same_bytes(
    cfg: str, header: Header, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = checkpoint(tmp_path, cfg, header)

    assert main(["export-darknet", "--run", str(run), "--output", str(tmp_path / "back" / "x.weights")]) == 0

    back = tmp_path / "back"
    assert (back / "x.weights").read_bytes() == (tmp_path / "network.weights").read_bytes()
    assert (back / "x.cfg").read_text() == cfg
    assert sorted(file.name for file in back.iterdir()) == ["x.cfg", "x.weights"]
    assert str(back / "x.cfg") in capsys.readouterr().out


def test_of_a_run_with_an_average_that_is_written(tmp_path: Path) -> None:
    tensors, state = load_checkpoint(checkpoint(tmp_path, TINY_DETECTOR, Header()))
    average = {key.replace("network.", "average."): value + 1 for key, value in tensors.items()}
    save_checkpoint(tmp_path / "run", tensors | average, state)

    report = export_darknet(ExportDarknetConfiguration(run=tmp_path / "run", output=tmp_path / "x.weights"))

    network = build_network(parse_cfg(TINY_DETECTOR))
    read_weights(network, report.weights)
    assert torch.equal(network.state_dict()["head.convolution.bias"], average["average.head.convolution.bias"])


def test_a_network_that_is_not_of_a_cfg_is_refused(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "run", {"network.x": torch.zeros(1)}, {"step": 1})

    with pytest.raises(InvalidCheckpointError, match="holds a network that darknet has no layers for"):
        export_darknet(ExportDarknetConfiguration(run=tmp_path / "run", output=tmp_path / "x.weights"))


@pytest.mark.parametrize("change", ["cfg", "header", "tensors"])
def test_a_checkpoint_that_contradicts_itself_is_refused(change: str, tmp_path: Path) -> None:
    tensors, state = load_checkpoint(checkpoint(tmp_path, TINY_DETECTOR, Header()))
    if change == "cfg":
        state["darknet"]["cfg"] = "[net]"
    elif change == "header":
        state["darknet"]["header"] = {"major": "x"}
    else:
        tensors.popitem()
    save_checkpoint(tmp_path / "run", tensors, state)

    with pytest.raises(InvalidCheckpointError, match="are not those of the cfg in it"):
        export_darknet(ExportDarknetConfiguration(run=tmp_path / "run", output=tmp_path / "out" / "x.weights"))

    assert not (tmp_path / "out").exists()


def test_the_cfg_never_takes_the_weights_name(tmp_path: Path) -> None:
    run = checkpoint(tmp_path, TINY_DETECTOR, Header())

    with pytest.raises(InvalidCheckpointError, match=r"cannot end in \.cfg"):
        export_darknet(ExportDarknetConfiguration(run=run, output=tmp_path / "x.cfg"))
