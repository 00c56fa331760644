"""What can be set from outside: environment variables YOLO9000_*, or the options of `yolo9000 serve`."""

from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from model.picture import MAX_PIXELS
from model.runtime import default_model_path


class Settings(BaseSettings):
    """Settings of the service; the field `port` is the variable YOLO9000_PORT, and so on."""

    model_config = SettingsConfigDict(env_prefix="YOLO9000_", frozen=True)

    host: str = Field(default="127.0.0.1", description="Address to listen on; 0.0.0.0 is every network interface.")
    port: int = Field(default=8000, ge=0, le=65535, description="TCP port to listen on; 0 picks a free one.")
    model: Path = Field(default_factory=default_model_path, description="The model file, a YOLO9000 bundle.")
    device: Literal["cpu", "cuda"] = Field(default="cpu", description="What runs the network; cuda is an NVIDIA GPU.")
    threads: int | None = Field(default=None, ge=1, description="CPU threads one inference uses.")
    workers: int = Field(default=2, ge=1, description="Pictures decoded or drawn at the same time.")
    max_upload_bytes: int = Field(default=20_000_000, ge=1, description="Largest request body, in bytes.")
    max_pixels: int = Field(
        default=MAX_PIXELS,
        ge=1,
        description="Largest picture, width x height in pixels; a decoded pixel takes 3 bytes.",
    )
    max_waiting: int = Field(
        default=32,
        ge=1,
        description="Requests for detection held at once; further ones are told to come back (429).",
    )
    max_batch: int = Field(default=16, ge=1, description="Most pictures in one request to /detect/batch.")
