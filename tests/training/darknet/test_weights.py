import struct
from pathlib import Path

import pytest
import torch

from tests.training.darknet.networks import TINY_CLASSIFIER, TINY_DETECTOR, write_network
from training.darknet.cfg import parse_cfg
from training.darknet.errors import InvalidWeightsError
from training.darknet.network import DarknetNetwork, build_network
from training.darknet.presets import PRESETS
from training.darknet.random_weights import random_weights
from training.darknet.weights import Header, check_weights, file_size, parts, read_weights, write_weights
from training.networks.backbones.darknet19 import Darknet19
from training.networks.yolo9000 import YOLO9000
from training.networks.yolov2 import yolov2_coco, yolov2_voc

HEADERS = [Header(0, 1, 0, 7), Header(0, 2, 0, 12_345_678_901), Header(0, 2, 5, 0), Header(1, 0, 0, 3)]


def network(cfg: str = TINY_DETECTOR) -> DarknetNetwork:
    return build_network(parse_cfg(cfg))


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    return write_network(tmp_path, TINY_DETECTOR)[1]


@pytest.mark.parametrize("header", HEADERS)
@pytest.mark.parametrize("cfg", [TINY_DETECTOR, TINY_CLASSIFIER])
def test_what_is_read_and_written_again_is_the_same_bytes(cfg: str, header: Header, tmp_path: Path) -> None:
    _, weights = write_network(tmp_path, cfg, header=header)
    other = network(cfg)

    assert read_weights(other, weights) == header
    write_weights(other, tmp_path / "again.weights", header)

    assert (tmp_path / "again.weights").read_bytes() == weights.read_bytes()


def test_numbers_stand_in_darknets_order(tmp_path: Path) -> None:
    one = network()
    random_weights(one)
    write_weights(one, tmp_path / "w", Header(seen=5))

    content = (tmp_path / "w").read_bytes()
    assert struct.unpack("<3iQ", content[:20]) == (0, 2, 0, 5)
    convolution, head = [module for module in one.modules() if isinstance(module, torch.nn.Conv2d)]
    (norm,) = [module for module in one.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    assert norm.running_mean is not None
    assert norm.running_var is not None
    assert head.bias is not None
    tensors = norm.bias, norm.weight, norm.running_mean, norm.running_var, convolution.weight, head.bias, head.weight
    expected = torch.cat([tensor.detach().flatten() for tensor in tensors])
    assert content[20:] == expected.numpy().astype("<f4").tobytes()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "preset"),
    [(YOLO9000, "yolo9000"), (yolov2_voc, "yolov2-voc"), (yolov2_coco, "yolov2"), (Darknet19, "darknet19")],
)
def test_the_networks_of_this_package_take_the_files_of_their_cfgs(kind: type[torch.nn.Module], preset: str) -> None:
    with torch.device("meta"):
        ours, imported = kind(), build_network(PRESETS[preset].cfg()[0])

    assert [(part.name, part.layer) for part in parts(ours)] == [(part.name, part.layer) for part in parts(imported)]


@pytest.mark.parametrize(
    ("preset", "size"),
    [("yolov2", 203_934_260 + 4), ("yolov2-tiny", 44_948_600), ("darknet19_448", 79_327_120 + 4 + 4_100_000)],
)
def test_the_published_files_have_the_length_their_cfgs_need(preset: str, size: int) -> None:
    """Lengths as published; yolov2.weights and darknet19_448.conv.23 (without its class layer) have short headers."""
    with torch.device("meta"):
        assert file_size(build_network(PRESETS[preset].cfg()[0])) == size


@pytest.mark.parametrize(
    ("cut", "message"),
    [
        (0, "0 bytes are no weights file"),
        (11, "ends in the header"),
        (15, "ends in the header"),
        (20, r"ends in convolution 1 \(8 filters of 3x3 on 3 channels\), whose biases need 32 bytes where 0 are left"),
        (20 + 32 + 5, r"ends in convolution 1 .* scales need 32 bytes where 5 are left"),
        (20 + 4 * 248, r"ends in convolution 2 \(14 filters of 1x1 on 8 channels\), whose biases"),
        (-1, r"ends in convolution 2 .* weights need 448 bytes where 447 are left"),
    ],
)
def test_a_file_cut_short_is_refused_with_the_layer_it_ends_in(cut: int, message: str, weights: Path) -> None:
    weights.write_bytes(weights.read_bytes()[:cut])

    with pytest.raises(InvalidWeightsError, match=message):
        read_weights(network(), weights)


@pytest.mark.parametrize("more", [b"\0", b"\0\0\0\0", b"\0" * 1000])
def test_a_file_with_more_after_the_last_layer_is_refused(more: bytes, weights: Path) -> None:
    weights.write_bytes(weights.read_bytes() + more)

    with pytest.raises(InvalidWeightsError, match=f"has {len(more)} bytes more after the last layer, convolution 2"):
        read_weights(network(), weights)


def test_a_file_of_another_cfg_is_refused_with_the_layer(weights: Path) -> None:
    with pytest.raises(InvalidWeightsError, match=r"ends in convolution 1 .* of another cfg"):
        read_weights(network(TINY_DETECTOR.replace("filters=8", "filters=80")), weights)


def test_a_gigantic_file_is_refused_unread(weights: Path) -> None:
    with weights.open("r+b") as file:
        file.truncate(1 << 40)  # a hole: it takes no place

    with pytest.raises(InvalidWeightsError, match="bytes more after the last layer"):
        read_weights(network(), weights)


def test_a_big_endian_file_is_refused_as_such(weights: Path) -> None:
    content = weights.read_bytes()
    weights.write_bytes(struct.pack(">3iQ", *struct.unpack("<3iQ", content[:20])) + content[20:])

    with pytest.raises(InvalidWeightsError, match="is big-endian"):
        read_weights(network(), weights)


def test_big_endian_numbers_are_refused(tmp_path: Path) -> None:
    _, weights = write_network(tmp_path, TINY_DETECTOR)
    content = weights.read_bytes()
    swapped = b"".join(content[place : place + 4][::-1] for place in range(20, len(content), 4))
    weights.write_bytes(content[:20] + swapped)

    with pytest.raises(InvalidWeightsError, match="convolution 1"):
        read_weights(network(), weights)


@pytest.mark.parametrize("version", [(1001, 0), (0, 1001), (-1, 2)])
def test_a_version_darknet_never_wrote_is_refused(version: tuple[int, int], weights: Path) -> None:
    weights.write_bytes(struct.pack("<2i", *version) + weights.read_bytes()[8:])

    with pytest.raises(InvalidWeightsError, match="no weights file of darknet"):
        read_weights(network(), weights)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_none_are_refused_with_their_layer(value: float, weights: Path) -> None:
    content = bytearray(weights.read_bytes())
    content[-4:] = struct.pack("<f", value)
    weights.write_bytes(content)

    with pytest.raises(InvalidWeightsError, match="not finite in the weights of convolution 2"):
        read_weights(network(), weights)


def test_negative_variances_are_refused_with_their_layer(weights: Path) -> None:
    content = bytearray(weights.read_bytes())
    content[20 + 3 * 32 : 20 + 3 * 32 + 4] = struct.pack("<f", -0.5)
    weights.write_bytes(content)

    with pytest.raises(InvalidWeightsError, match="negative variances in convolution 1"):
        read_weights(network(), weights)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.weights"):
        with pytest.raises(InvalidWeightsError, match="there is no such file"):
            check_weights(network(), path)


def test_a_network_darknet_has_no_layers_for_is_not_written(tmp_path: Path) -> None:
    other = torch.nn.Conv2d(3, 8, 1, bias=False)

    with pytest.raises(InvalidWeightsError, match="neither a bias nor batch normalisation"):
        write_weights(other, tmp_path / "x.weights", Header())

    assert not list(tmp_path.iterdir())
