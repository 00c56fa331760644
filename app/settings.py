"""What can be set from outside: environment variables YOLO9000_*, or the options of `yolo9000 serve`."""

from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator
from pydantic.config import JsonDict
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from app.keys import KeyEntry, KeyRing, read_entries
from app.logs import LogFormat, LogLevel
from model.picture import MAX_PIXELS
from model.runtime import default_model_path

PREFIX = "YOLO9000_"
"""What the name of every variable begins with."""

SECRET: JsonDict = {"secret": True}
"""Marks a setting whose value is shown to nobody."""


def _split(given: Any) -> Any:
    """Take 'a, b' for ['a', 'b'], also within a list."""
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        return given
    return [part for text in texts for part in text.replace(",", " ").split()]


Several = Annotated[list[str], NoDecode, BeforeValidator(_split)]
"""Texts, in a variable separated by commas."""


class Settings(BaseSettings):
    """Settings of the service; the field `port` is the variable YOLO9000_PORT, and so on.

    `app.configuration.load_settings` reads them for a program that is to end with a sentence if one is wrong.
    """

    # An empty variable is one that is not set: a compose file makes such out of ${NAME:-}.
    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, env_ignore_empty=True, hide_input_in_errors=True, validate_default=False
    )

    host: str = Field(default="127.0.0.1", description="Address to listen on; 0.0.0.0 is every network interface.")
    port: int = Field(default=8000, ge=0, le=65535, description="TCP port to listen on; 0 picks a free one.")
    model: Path = Field(default_factory=default_model_path, description="The model file, a YOLO9000 bundle.")
    device: Literal["cpu", "cuda"] = Field(default="cpu", description="What runs the network; cuda is an NVIDIA GPU.")
    threads: int | None = Field(
        default=None, ge=1, description="CPU threads one inference uses. Default: one for each physical core."
    )
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
