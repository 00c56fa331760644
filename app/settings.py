"""What can be set from outside: environment variables YOLO9000_*, or the options of `yolo9000 serve`."""

import json
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator
from pydantic.config import JsonDict
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from app.access.keys import KeyEntry, KeyRing, read_entries
from app.access.origins import as_origin
from app.observe.logs import LogFormat, LogLevel
from model.file_access import list_folder, why_unreadable
from model.pictures.decoding import MAX_PIXELS
from model.providers import Provider
from model.runtime import default_model_path

PREFIX = "YOLO9000_"
"""What the name of every variable begins with."""

FOLDERS_DEFAULT = "default.onnx"
"""The file of the folder `models` that is the default model where `model` is not set."""

SECRET: JsonDict = {"secret": True}
"""Marks a setting whose value is shown to nobody."""


def _split(given: Any) -> Any:
    """Take 'a, b' for ['a', 'b'], also within a list, and a text that is a list in JSON for that list."""
    texts = [given] if isinstance(given, str) else given
    if isinstance(given, str) and given.lstrip().startswith("["):
        try:
            texts = json.loads(given)
        except ValueError:
            raise ValueError("this begins like a list in JSON and is none; commas between the values will do") from None
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise ValueError("a list in JSON may have nothing but texts here")
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        return given
    return [part for text in texts for part in text.replace(",", " ").split()]


Several = Annotated[list[str], NoDecode, BeforeValidator(_split)]
"""Texts, in a variable separated by commas or as a list in JSON."""


class Settings(BaseSettings):
    """Settings of the service; the field `port` is the variable YOLO9000_PORT, and so on.

    `app.load_settings.load_settings` reads them for a program that is to end with a sentence if one is wrong.
    """

    # An empty variable is one that is not set: a compose file makes such out of ${NAME:-}.
    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, env_ignore_empty=True, hide_input_in_errors=True, validate_default=False
    )

    host: str = Field(
        default="127.0.0.1",
        description="Addresses or names of this machine to listen at, separated by commas: 0.0.0.0 is every IPv4 "
        "address, :: every IPv6 address, 0.0.0.0,:: both.",
    )
    port: int = Field(default=8000, ge=0, le=65535, description="TCP port to listen on; 0 picks a free one.")
    model: Path = Field(
        default_factory=default_model_path,
        description="The model file, a YOLO9000 model file; it answers where a request names no other model. Default: "
        f"{FOLDERS_DEFAULT} of the folder `models` if it has one at the start, else the embedded model.",
    )
    models: Path | None = Field(
        default=None,
        description="A folder whose .onnx files are served too, each under its name without the ending. New, replaced "
        "and removed files are taken up while the service runs. Default: none.",
    )
    provider: Provider = Field(
        default="auto",
        description="What runs the network: cpu, cuda (an NVIDIA GPU), tensorrt (the same, through TensorRT), or auto: "
        "cuda where it can be used, else cpu.",
    )
    gpu_memory_limit: int | None = Field(
        default=None, ge=1, description="Most bytes of GPU memory a model's arena may take. Default: no limit."
    )
    threads: int | None = Field(
        default=None,
        ge=1,
        description="CPU threads one inference uses. Default: one for each physical core the process may use.",
    )
    workers: int = Field(default=2, ge=1, description="Pictures decoded or drawn at the same time.")
    max_upload_bytes: int = Field(default=20_000_000, ge=1, description="Largest request body, in bytes.")
    max_total_upload_bytes: int = Field(
        default=200_000_000,
        ge=1,
        description="Most bytes of request bodies held at once; requests beyond are told to come back (429).",
    )
    upload_timeout: float = Field(
        default=60, gt=0, description="Seconds a request body may take to arrive; a slower one is refused (408)."
    )
    max_pixels: int = Field(
        default=MAX_PIXELS,
        ge=1,
        description="Largest picture, width x height in pixels; a decoded pixel takes 3 bytes.",
    )
    max_waiting: int = Field(
        default=32,
        ge=1,
        description="Pictures held for detection at once; requests beyond are told to come back (429).",
    )
    max_batch: int = Field(default=16, ge=1, description="Most pictures in one request to /detect/batch.")
    deadline: float = Field(
        default=30, gt=0, description="Seconds from a request's body to its answer; later it is dropped (504)."
    )
    batch_size: int | None = Field(
        default=None,
        ge=1,
        description="Most pictures in one run of the network; runs are of 1, 2, 4, 8 ... pictures. "
        "Default: 1 on a CPU, 16 on a GPU.",
    )
    batch_wait_ms: float = Field(
        default=2,
        ge=0,
        description="Longest time, in milliseconds, that a run which is not full waits for pictures being decoded.",
    )
    drain_delay: float = Field(
        default=0,
        ge=0,
        description="Seconds that the service, told to stop, still answers new requests with 503, so that a load "
        "balancer notices.",
    )
    drain_timeout: float = Field(
        default=30, ge=0, description="Seconds that accepted requests have to finish after the service is told to stop."
    )
    api_keys: Several = Field(
        default_factory=list,
        repr=False,
        json_schema_extra=SECRET,
        description="Who may use the service: NAME:sha256:DIGEST for each API key, as `yolo9000 key` prints them, "
        "separated by commas. Default: none; without any, and without a file of them, everybody may.",
    )
    api_keys_file: Path | None = Field(
        default=None, description="A file with further such entries, one in a line; read at the start. Default: none."
    )
    rate_limit: float | None = Field(
        default=None,
        gt=0,
        allow_inf_nan=False,
        description="Requests a second that one API key may send in the long run; further ones are told to come back "
        "(429). Default: no limit.",
    )
    rate_burst: int = Field(
        default=10, ge=1, description="Requests one API key may send at once, where there is a rate_limit."
    )
    cors_origins: Several = Field(
        default_factory=list,
        description="Web sites whose pages may call the service from a browser, such as https://example.org, separated "
        "by commas; * is every site. Default: none.",
    )
    metrics: Literal["key", "open", "off"] = Field(
        default="key",
        description="Who may read /metrics: whoever may use the service (key), everybody (open), or nobody (off).",
    )
    log_format: LogFormat = Field(default="text", description="Form of the log's lines; json is for log collectors.")
    log_level: LogLevel = Field(default="info", description="Least level that is logged.")

    @model_validator(mode="before")
    @classmethod
    def _take_the_folders_default(cls, given: dict[str, Any]) -> dict[str, Any]:
        folder = given.get("models")
        if given.get("model") is None and isinstance(folder, (str, Path)):
            file = Path(folder) / FOLDERS_DEFAULT
            with suppress(OSError):  # `_check_folder` tells of it
                if file.is_file():
                    return {**given, "model": file}
        return given

    @field_validator("models")
    @classmethod
    def _check_folder(cls, folder: Path | None) -> Path | None:
        if folder is None:
            return None
        try:
            list_folder(folder)
        except (FileNotFoundError, NotADirectoryError):
            raise ValueError("must be a folder that exists") from None
        except OSError as error:
            raise ValueError(f"must be a folder that can be read ({why_unreadable(error)})") from None
        return folder

    @model_validator(mode="after")
    def _check_bytes(self) -> Self:
        if self.max_total_upload_bytes < self.max_upload_bytes:
            raise ValueError(
                f"max_total_upload_bytes ({self.max_total_upload_bytes}) is less than one request may have: "
                f"max_upload_bytes ({self.max_upload_bytes})"
            )
        return self

    @field_validator("cors_origins")
    @classmethod
    def _check_origins(cls, origins: list[str]) -> list[str]:
        return [as_origin(origin) for origin in origins]

    @field_validator("api_keys")
    @classmethod
    def _check_entries(cls, entries: list[str]) -> list[str]:
        KeyRing(map(KeyEntry.parse, entries))
        return entries

    @model_validator(mode="after")
    def _check_keys(self) -> Self:
        has_keys = bool(self.key_ring)
        if self.rate_limit is not None and not has_keys:
            raise ValueError("rate_limit holds for each API key, but there are none; set api_keys or api_keys_file too")
        return self

    @cached_property
    def key_ring(self) -> KeyRing:
        """The API keys; none if the service is open to all."""
        entries = [KeyEntry.parse(entry) for entry in self.api_keys]
        if self.api_keys_file is not None:
            try:
                from_file = read_entries(self.api_keys_file)
            except OSError as error:
                raise ValueError(f"api_keys_file {self.api_keys_file}: {error.strerror or error}") from error
            if not from_file:
                # An empty file is a mistake, such as a secret that was not mounted: it must not open the service.
                raise ValueError(f"api_keys_file {self.api_keys_file} has no entry")
            entries += from_file
        return KeyRing(entries)
