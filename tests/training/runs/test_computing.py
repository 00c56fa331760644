"""Where and how precisely a run computes."""

from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from training.command_line import ConfigurationError
from training.runs.computing import LoopConfiguration

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("given", "precision"),
    [
        ({"precision": "bfloat16"}, "bfloat16"),
        ({"bfloat16": True}, "bfloat16"),  # as configurations said it before there was float16
        ({"bfloat16": False}, "float32"),
        ({"precision": "float16"}, "float16"),
    ],
)
def test_precision(given: dict[str, Any], precision: str) -> None:
    loop = LoopConfiguration.model_validate(given)
    assert loop.precision == precision
    assert LoopConfiguration.model_validate_json(loop.model_dump_json()) == loop
    with loop.autocast(CPU):
        product = torch.ones(2, 2) @ torch.ones(2, 2)
    assert product.dtype == getattr(torch, precision)
    assert loop.scaler(CPU).is_enabled() == (precision == "float16")


@pytest.mark.parametrize(
    ("vectors", "matrices", "expected"),
    [(False, False, torch.float32), (True, False, torch.bfloat16), (False, True, torch.bfloat16)],
)
def test_without_instructions_for_bfloat16_a_cpu_computes_in_float32(
    monkeypatch: pytest.MonkeyPatch, vectors: bool, matrices: bool, expected: torch.dtype
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: vectors)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: matrices)
    loop = LoopConfiguration()
    with loop.autocast(CPU):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == expected == loop.dtype(CPU)


def test_a_gpu_computes_in_bfloat16_only_if_it_need_not_emulate_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for own in (False, True):
        monkeypatch.setattr(
            torch.cuda, "is_bf16_supported", lambda *, including_emulation, own=own: own or including_emulation
        )
        assert LoopConfiguration().dtype(torch.device("cuda")) == (torch.bfloat16 if own else torch.float32)


def test_both_keys_at_once() -> None:
    with pytest.raises(ValidationError, match="bfloat16"):
        LoopConfiguration.model_validate({"bfloat16": True, "precision": "float16"})


def test_the_order_of_memory() -> None:
    for last in (True, False):
        layer = nn.Conv2d(3, 4, 3)
        LoopConfiguration(channels_last=last).place(layer, CPU)
        assert layer.weight.is_contiguous(memory_format=torch.channels_last) is last


def test_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert LoopConfiguration().choose_device() == CPU
    with pytest.raises(ConfigurationError, match="wants GPU 0 and torch sees 0"):
        LoopConfiguration(device="cuda").choose_device()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert LoopConfiguration().choose_device(1) == torch.device("cuda", 1)
    assert LoopConfiguration(device="cpu").choose_device(1) == CPU
    with pytest.raises(ConfigurationError, match="wants GPU 2 and torch sees 2; use cpu, or fewer processes"):
        LoopConfiguration().choose_device(2)
