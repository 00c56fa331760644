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
from model.files.access import list_folder, why_unreadable
from model.pictures.opening import MAX_PIXELS
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
            raise ValueError(
                "starts like a JSON list but is not valid JSON; you can also separate the values with commas"
            ) from None
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise ValueError("a JSON list may only hold strings here")
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
        description="Addresses to listen on, separated by commas: 0.0.0.0 is all of IPv4, :: all of IPv6, 0.0.0.0,:: "
        "both.",
    )
    port: int = Field(default=8000, ge=0, le=65535, description="Port to listen on; 0 picks a free one.")
    model: Path = Field(
        default_factory=default_model_path,
        description=f"Model file that answers requests without ?model=. Default: {FOLDERS_DEFAULT} of the folder "
        "`models` if it exists at the start, else the embedded model.",
    )
    models: Path | None = Field(
        default=None,
        description="Folder of further model files; NAME.onnx answers ?model=NAME. Files may be added, replaced and "
        "removed while the service runs. Default: none.",
    )
    provider: Provider = Field(
        default="auto",
        description="What runs the network: cpu, cuda, tensorrt, or auto (cuda if it works, else cpu).",
    )
    gpu_memory_limit: int | None = Field(
        default=None, ge=1, description="GPU memory limit of each model, in bytes. Default: no limit."
    )
    threads: int | None = Field(
        default=None,
        ge=1,
        description="CPU threads of one inference. Default: one per physical core that the process may use; a service "
        "takes 4 at most.",
    )
    runs: int | None = Field(
        default=None,
        ge=1,
        description="Inferences at once on a CPU. Default: one per physical core, at least 2; fewer of a slow network.",
    )
    processes: int | None = Field(
        default=None,
        ge=1,
        description="Processes that answer at one port, on Linux. Default: one for each eight cores; 1 with a GPU.",
    )
    workers: int | None = Field(
        default=None,
        ge=1,
        description="Threads that decode and draw pictures. Default: a quarter of the cores, at least 2.",
    )
    max_upload_bytes: int = Field(
        default=20_000_000, ge=1, description="Largest request, in bytes; a larger one gets 413."
    )
    max_total_upload_bytes: int = Field(
        default=200_000_000,
        ge=1,
        description="Bytes of all requests held at once; requests beyond it get 429.",
    )
    upload_timeout: float = Field(
        default=60, gt=0, description="Seconds that a request body may take to arrive; a slower one gets 408."
    )
    max_pixels: int = Field(
        default=MAX_PIXELS,
        ge=1,
        description="Largest picture, width x height; a larger one gets 413. A decoded pixel takes 3 bytes.",
    )
    max_waiting: int = Field(
        default=32,
        ge=1,
        description="Pictures held at once, waiting or in work; requests beyond it get 429.",
    )
    max_streams: int = Field(
        default=8,
        ge=0,
        description="Streams (/detect/stream) open at once; more get 429. A stream may hold three frames of "
        "max_upload_bytes each. 0: none.",
    )
    max_batch: int = Field(default=16, ge=1, description="Pictures in one request to /detect/batch.")
    deadline: float = Field(
        default=30, gt=0, description="Seconds from the end of an upload to its answer; later it gets 504."
    )
    batch_size: int | None = Field(
        default=None,
        ge=1,
        description="Pictures in one run of the network, at most. Default: 1 on a CPU, 16 on a GPU.",
    )
    batch_wait_ms: float = Field(
        default=2,
        ge=0,
        description="Milliseconds that a run waits for more pictures while others are being decoded.",
    )
    drain_delay: float = Field(
        default=0,
        ge=0,
        description="Seconds to keep answering 503 after SIGTERM, so that load balancers notice.",
    )
    drain_timeout: float = Field(
        default=30, ge=0, description="Seconds that accepted requests have to finish after SIGTERM."
    )
    api_keys: Several = Field(
        default_factory=list,
        repr=False,
        json_schema_extra=SECRET,
        description="API keys, as `yolo9000 key` prints them (NAME:sha256:DIGEST), separated by commas. Default: none; "
        "without keys everybody may use the service.",
    )
    api_keys_file: Path | None = Field(
        default=None, description="File with more API keys, one a line, read at the start. Default: none."
    )
    rate_limit: float | None = Field(
        default=None,
        gt=0,
        allow_inf_nan=False,
        description="Requests per second of each API key; more get 429. Default: no limit.",
    )
    rate_burst: int = Field(
        default=10, ge=1, description="Requests that a key may send at once after a pause, if rate_limit is set."
    )
    cors_origins: Several = Field(
        default_factory=list,
        description="Web sites whose pages may call the service, such as https://example.org, separated by commas; * "
        "is every site. Default: none.",
    )
    metrics: Literal["key", "open", "off"] = Field(
        default="key",
        description="Who may read /metrics: clients with a key (key), everybody (open), nobody (off).",
    )
    log_format: LogFormat = Field(default="text", description="Log lines as text or json.")
    log_level: LogLevel = Field(default="info", description="Least log level: debug, info, warning or error.")

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
                f"max_total_upload_bytes ({self.max_total_upload_bytes}) must not be less than "
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
            raise ValueError("rate_limit needs API keys; set api_keys or api_keys_file too")
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
                raise ValueError(f"api_keys_file {self.api_keys_file} has no keys")
            entries += from_file
        return KeyRing(entries)
