"""darknet's weights files: a header, then the numbers of every convolution in the order of the cfg.

    int32 major, minor, revision
    uint64 seen where major * 10 + minor >= 2, else int32 seen     pictures the training has shown
    float32, for each convolution: biases; with batch normalisation scales, rolling means, rolling variances; weights

All little-endian. Nothing in the file says what it is: only the counts, and that variances are not negative, tell a
file that does not belong to a cfg.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from training.darknet.errors import InvalidWeightsError
from training.files import replacing
from training.networks.parts.layers import DarknetBatchNorm

VERSION: Final = struct.Struct("<3i")
SEEN_64: Final = struct.Struct("<Q")
SEEN_32: Final = struct.Struct("<i")
LARGEST_VERSION: Final = 1000  # from here on darknet reads a version as "weights are transposed"
VALUE: Final = np.dtype("<f4")


@dataclass(frozen=True)
class Header:
    """The head of a weights file; its defaults are what darknet writes today."""

    major: int = 0
    minor: int = 2
    revision: int = 0
    seen: int = 0

    @property
    def wide(self) -> bool:
        """Whether `seen` takes 8 bytes."""
        return self.major * 10 + self.minor >= 2

    def to_bytes(self) -> bytes:
        """Return the header as it is written."""
        seen = SEEN_64 if self.wide else SEEN_32
        return VERSION.pack(self.major, self.minor, self.revision) + seen.pack(self.seen)


class Part(NamedTuple):
    """One of the tensors of a file: what it is, the tensor, and the convolution's number from 1."""

    name: str
    tensor: Tensor
    number: int
    layer: str


def parts(network: nn.Module) -> Iterator[Part]:
    """Yield the tensors of a network in the order of its weights file.

    For every network whose convolutions, each before its normalisation, are registered in the cfg's order.
    """
    modules = [module for module in network.modules() if isinstance(module, nn.Conv2d | DarknetBatchNorm)]
    number = 0
    for place, module in enumerate(modules):
        if isinstance(module, DarknetBatchNorm):
            continue
        number += 1
        filters, channels, size, _ = module.weight.shape
        layer = f"convolution {number} ({filters} filters of {size}x{size} on {channels} channels)"
        following = modules[place + 1] if place + 1 < len(modules) else None
        if isinstance(following, DarknetBatchNorm):
            yield Part("biases", following.bias, number, layer)
            yield Part("scales", following.weight, number, layer)
            yield Part("rolling means", following.running_mean, number, layer)
            yield Part("rolling variances", following.running_var, number, layer)
        else:
            if module.bias is None:
                raise InvalidWeightsError(
                    f"{layer} has neither a bias nor batch normalisation: darknet has no such layer"
                )
            yield Part("biases", module.bias, number, layer)
        yield Part("weights", module.weight, number, layer)


def file_size(network: nn.Module) -> int:
    """Return the bytes of a network's weights file, with the longer of the two headers."""
    return VERSION.size + SEEN_64.size + sum(part.tensor.numel() for part in parts(network)) * VALUE.itemsize


def check_weights(network: nn.Module, path: Path) -> Header:
    """Check a weights file's header and length against a network, which may be on torch's meta device.

    Raises:
        InvalidWeightsError: the file cannot be read, is no weights file, or is one of another network.
    """
    try:
        with _open(path) as file:
            header = _read_header(path, file)
            left = path.stat().st_size - file.tell()
    except OSError as error:
        raise InvalidWeightsError(f"{path}: cannot be read ({error.strerror})") from error
    layer = "the header"
    for part in parts(network):
        layer = part.layer
        needed = part.tensor.numel() * VALUE.itemsize
        if left < needed:
            raise InvalidWeightsError(
                f"{path}: ends in {layer}, whose {part.name} need {needed} bytes where {left} are left: the file is "
                f"cut short, or of another cfg"
            )
        left -= needed
    if left:
        raise InvalidWeightsError(
            f"{path}: has {left} bytes more after the last layer, {layer}: the file is of another cfg, or damaged"
        )
    return header


@torch.no_grad()
def read_weights(network: nn.Module, path: Path) -> Header:
    """Fill a network with the numbers of a weights file; on an error some may be filled already.

    Raises:
        InvalidWeightsError: the file does not fit, or holds what no training gives.
    """
    header = check_weights(network, path)
    fill(parts(network), path)
    return header


@torch.no_grad()
def fill(filled: Iterable[Part], path: Path) -> None:
    """Fill tensors with the numbers that follow a weights file's header.

    Raises:
        InvalidWeightsError: the file is shorter, or holds what no training gives.
    """
    with _open(path) as file:
        _read_header(path, file)
        for part in filled:
            values = np.fromfile(file, VALUE, part.tensor.numel())
            if len(values) != part.tensor.numel():
                raise InvalidWeightsError(f"{path}: became shorter while it was read, in {part.layer}")
            _check_values(path, part, values)
            part.tensor.copy_(torch.from_numpy(values.astype(np.float32, copy=False)).view_as(part.tensor))


def count_values(path: Path) -> int:
    """Return how many numbers follow a weights file's header.

    Raises:
        InvalidWeightsError: the file cannot be read, or is no weights file.
    """
    try:
        with _open(path) as file:
            _read_header(path, file)
            return (path.stat().st_size - file.tell()) // VALUE.itemsize
    except OSError as error:
        raise InvalidWeightsError(f"{path}: cannot be read ({error.strerror})") from error


def write_weights(network: nn.Module, path: Path, header: Header) -> None:
    """Write a network as a weights file, whole or not at all.

    Raises:
        InvalidWeightsError: the network holds what darknet has no place for.
    """
    with replacing(path) as temporary, temporary.open("wb") as file:
        file.write(header.to_bytes())
        for part in parts(network):
            file.write(part.tensor.detach().cpu().numpy().astype(VALUE).tobytes())


def _open(path: Path) -> BinaryIO:
    if not path.is_file():  # reading a pipe might never end
        raise InvalidWeightsError(f"{path}: there is no such file")
    return path.open("rb")


def _read_header(path: Path, file: BinaryIO) -> Header:
    head = file.read(VERSION.size)
    if len(head) < VERSION.size:
        raise InvalidWeightsError(f"{path}: ends in the header: {len(head)} bytes are no weights file")
    major, minor, revision = VERSION.unpack(head)
    if not (0 <= major < LARGEST_VERSION and 0 <= minor < LARGEST_VERSION):
        swapped = struct.unpack(">2i", head[:8])
        if all(0 <= number < LARGEST_VERSION for number in swapped):
            raise InvalidWeightsError(f"{path}: is big-endian, where darknet's files are little-endian")
        raise InvalidWeightsError(f"{path}: is no weights file of darknet: its version would be {major}.{minor}")
    header = Header(major, minor, revision)
    seen = SEEN_64 if header.wide else SEEN_32
    rest = file.read(seen.size)
    if len(rest) < seen.size:
        raise InvalidWeightsError(f"{path}: ends in the header")
    return Header(major, minor, revision, *seen.unpack(rest))


def _check_values(path: Path, part: Part, values: np.ndarray[tuple[int], np.dtype[np.float32]]) -> None:
    if not np.isfinite(values).all():
        raise InvalidWeightsError(
            f"{path}: holds numbers that are not finite in the {part.name} of {part.layer}: the file is damaged, of "
            f"another cfg, or not little-endian"
        )
    if part.name == "rolling variances" and (values < 0).any():
        raise InvalidWeightsError(
            f"{path}: holds negative variances in {part.layer}: the file is of another cfg, or damaged"
        )
