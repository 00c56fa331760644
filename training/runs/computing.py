"""Where a run computes, and how precisely: CPU or GPU, threads, mixed precision, the order of memory."""

import os
from typing import Any, Final, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, model_validator
from torch import nn

from training.command_line import ConfigurationError

Device = Literal["auto", "cpu", "cuda"]
Precision = Literal["auto", "float32", "bfloat16", "float16"]
DTYPES: Final = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
LEAST_LOSS_SCALE: Final = 1.0
"""Below that float16 has no more use: gradients that overflow unscaled are none of rounding's making."""


class LoopConfiguration(BaseModel):
    """How a run is carried out; nothing here changes what is learned, but for rounding."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    device: Device = Field("auto", description="auto: a GPU if there is one. Each process of torchrun has its own")
    workers: int = Field(
        1,
        ge=0,
        description=(
            "processes that prepare pictures. 0: the training process prepares them between its "
            "steps, with a thread per core; faster if the CPU trains"
        ),
    )
    threads: int = Field(0, ge=0, description="CPU threads of a training step; 0: torch's default")
    precision: Precision = Field(
        "auto",
        description=(
            "precision of convolutions. auto: bfloat16 if the processor or GPU has instructions "
            "for it, else float32; float16 uses loss scaling"
        ),
    )
    channels_last: bool = Field(True, description="keep pictures and features in channels-last order")
    checkpoint_every: PositiveFloat = Field(120.0, description="seconds between checkpoints")
    tensorboard: bool = Field(True, description="also write a log for TensorBoard, into the folder tensorboard")

    @model_validator(mode="before")
    @classmethod
    def _read_former_key(cls, values: Any) -> Any:
        """Read `bfloat16: true`, which is how configurations said `precision` before there was float16."""
        if isinstance(values, dict) and "bfloat16" in values and "precision" not in values:
            values = dict(values)
            values["precision"] = "bfloat16" if values.pop("bfloat16") else "float32"
        return values

    def choose_device(self, local_rank: int = 0) -> torch.device:
        """Return the device of this process, the `local_rank`-th on its machine.

        Raises:
            ConfigurationError: a GPU is asked for, and there is none for this process.
        """
        if self.device == "cpu" or (self.device == "auto" and not torch.cuda.is_available()):
            return torch.device("cpu")
        found = torch.cuda.device_count()
        if local_rank >= found:
            raise ConfigurationError(
                f"loop.device: this process wants GPU {local_rank} and torch sees {found}; use cpu, or fewer processes"
            )
        return torch.device("cuda", local_rank)

    def place(self, network: nn.Module, device: torch.device) -> None:
        """Move a network to the device, in the chosen order of memory."""
        network.to(device)
        if self.channels_last:
            network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def autocast(self, device: torch.device) -> torch.autocast:
        """Return the context that a network computes in."""
        chosen = self.dtype(device)
        # float32 is no type to cast to, so that a disabled context is given any other
        enabled = chosen != torch.float32
        return torch.autocast(device.type, chosen if enabled else torch.bfloat16, enabled=enabled)

    def dtype(self, device: torch.device) -> torch.dtype:
        """Return what convolutions are computed in on a device."""
        if self.precision == "auto":
            return torch.bfloat16 if _computes_bfloat16(device) else torch.float32
        return DTYPES[self.precision]

    def scaler(self, device: torch.device) -> torch.amp.GradScaler:
        """Return what scales the loss, and does nothing unless convolutions are computed in float16."""
        return torch.amp.GradScaler(device.type, enabled=self.precision == "float16")


def use_device(device: torch.device) -> None:
    """Make a device this process's own, and have all of torch compute the same from the same seed on it.

    Both hold for the whole process from then on; a CPU needs neither.
    """
    if device.type == "cuda":
        torch.cuda.set_device(device)
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(mode=True, warn_only=True)  # as far as CUDA has kernels for it


def _computes_bfloat16(device: torch.device) -> bool:
    """Tell whether a device has instructions for bfloat16.

    Without them torch still computes in it, on a CPU element by element: a step of
    yolov2-efficientnet takes 40 s on two cores with AVX2, and 1.6 s in float32 (16 pictures of 288 to 416 px).
    """
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    # torch 2.6 has no public name for either
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())  # noqa: SLF001
