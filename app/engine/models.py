"""The models that are served: the default one, and those of a folder; files may come, change and go meanwhile.

A file is loaded, checked and warmed beside the model that answers, and takes its place in one step: a request keeps
the model it began with. A file that cannot be used is refused, and what it was to replace goes on.
"""

import asyncio
import logging
import os
import re
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from app.contract.errors import NotReadyError, UnknownModelError
from model.files.access import list_folder, why_unreadable
from model.metadata import InvalidModelError
from model.runtime import OnnxDetector
from model.session import ProviderUnavailableError

ENDING = ".onnx"

LOOK_SECONDS = 1.0
"""How long between two looks at the files. What differs from before is taken up when two looks find the same, so that a
copy is not met half-way. Looking costs a fraction of a millisecond and sees what notifications of a kernel do not tell:
a link to another file or folder, a folder that was swapped, a change on another machine."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")

_logger = logging.getLogger("uvicorn.error")  # the server's own log, which is shown without further set-up

Fingerprint = tuple[int, ...]
Load = Callable[[Path], OnnxDetector]
WarmUp = Callable[[OnnxDetector], Awaitable[None]]


class Look(NamedTuple):
    """What there was when the files were looked at.

    files: the default's and those of the folder, in order. states: of each of them; None: it is not there.
    problem: why the folder cannot be read; None if it can. meant: where the names lead, links followed.
    """

    files: tuple[Path, ...]
    states: tuple[Fingerprint | None, ...]
    problem: str | None
    meant: tuple[str, ...]


@dataclass(frozen=True)
class ServedModel:
    """A model by its name.

    Attributes:
        name: the file's name without its ending.
        path: the file.
        detector: what answers; None if none has been loaded yet.
        loaded_at: since when it answers.
        loading: whether the file, or a newer one in its place, is being loaded.
        refused: why the newest file in its place cannot be used; None if it can.
        seen: which state of the file that was.
    """

    name: str
    path: Path
    detector: OnnxDetector | None = None
    loaded_at: datetime | None = None
    loading: bool = False
    refused: str | None = None
    seen: Fingerprint | None = None


class Models:
    """The models that are served, by name.

    Attributes:
        default: the name of the one that answers where none is named.
    """

    def __init__(
        self, default: Path, folder: Path | None, load: Load, warm_up: WarmUp, detector: OnnxDetector | None = None
    ) -> None:
        """Note what is to be served; nothing is loaded yet.

        Args:
            default: the default model's file.
            folder: a folder of further files; None for no more.
            load: loads and checks a file.
            warm_up: makes a model ready for requests.
            detector: what `load` would return for `default`, if that has been done already.
        """
        self.default = default.stem
        self._folder = folder
        self._load = load
        self._warm_up = warm_up
        seen = _fingerprint(default) if detector is not None else None
        self._models = {self.default: ServedModel(self.default, default, detector, seen=seen)}
        self._refreshing = asyncio.Lock()
        self._taken: Look | None = None

    def __iter__(self) -> Iterator[ServedModel]:
        return iter(self._models.values())

    def detector(self, name: str | None = None) -> OnnxDetector:
        """Return the model of this name; without one, the default.

        Raises:
            UnknownModelError: there is none of this name.
            NotReadyError: it has not been loaded yet, or its file cannot be used.
        """
        model = self._models.get(self.default if name is None else name)
        if model is None:
            raise UnknownModelError(f"there is no model {name!r}; GET /models lists them")
        if model.detector is None:
            raise NotReadyError(f"the model {model.name!r} is not ready; GET /models says why")
        return model.detector

    async def start(self) -> None:
        """Load everything. Only the default must be usable.

        Raises:
            InvalidModelError: the default model's file cannot be used.
            ProviderUnavailableError: nor can what shall run it.
        """
        default = self._models[self.default]
        loaded = default.detector
        if loaded is None:
            seen = _fingerprint(default.path)
            loaded = await asyncio.to_thread(self._load, default.path)
            default = replace(default, seen=seen)
        await self._warm_up(loaded)
        self._models[self.default] = replace(default, detector=loaded, loaded_at=datetime.now(UTC))
        await self.refresh()

    async def refresh(self, *, again: bool = False) -> None:
        """Load the files that are new or have changed, and let go of those that are gone.

        Args:
            again: try the refused ones once more, though their files are the same.
        """
        async with self._refreshing:
            look = await asyncio.to_thread(self._look)
            if self._taken is None or self._taken.meant != look.meant:
                _logger.info("Watching %s for models.", " and ".join(look.meant))
            self._taken = look
            files = self._served(look)
            for name in [name for name in self._models if name not in files and name != self.default]:
                _logger.info("Model %s is no longer served: its file is gone.", name)
                del self._models[name]
            for name, path in files.items():
                await self._take_up(name, path, again=again)

    async def watch(self) -> None:
        """Refresh whenever files change, until cancelled."""
        before = self._taken
        try:
            while True:
                await asyncio.sleep(LOOK_SECONDS)
                now = await asyncio.to_thread(self._look)
                if now == before and now != self._taken:
                    await self.refresh()
                before = now
        except Exception:
            _logger.exception("Stopped watching the model files; SIGHUP still reloads them.")

    def _look(self) -> Look:
        """See which files there are, and in which state."""
        default = self._models[self.default].path
        found: list[Path] = []
        problem = None
        if self._folder is not None:
            try:
                found = [path for path in list_folder(self._folder) if path.suffix == ENDING]
            except OSError as error:
                problem = why_unreadable(error)
        files = (default, *(path for path in found if path != default))
        names = [default] if self._folder is None else [self._folder, default]
        return Look(files, tuple(map(_fingerprint, files)), problem, tuple(map(_meaning, names)))

    def _served(self, look: Look) -> dict[str, Path]:
        """Return the files to serve, by name; the default's is always among them."""
        default = self._models[self.default].path
        files = {self.default: default}
        if look.problem is not None:
            _logger.error("The models in %s stay as they are: %s", self._folder, look.problem)
            return files | {model.name: model.path for model in self}
        for path in look.files[1:]:
            if path.stem == self.default and path.resolve() != default.resolve():
                _logger.error("%s is not served: the default model has this name already.", path)
            elif not _NAME.fullmatch(path.stem):
                _logger.error("%s is not served: a name may have letters, digits, '.', '_' and '-'.", path)
            else:
                files[path.stem] = path
        return files

    async def _take_up(self, name: str, path: Path, *, again: bool) -> None:
        """Load a file, unless it is the one that was seen last."""
        model = self._models.get(name) or ServedModel(name, path)
        seen = _fingerprint(path)
        if seen == model.seen and not (again and model.refused):
            return
        self._models[name] = replace(model, loading=True)
        try:
            detector = await asyncio.to_thread(self._load, path)
            await self._warm_up(detector)
        except Exception as error:
            known = isinstance(error, (InvalidModelError, ProviderUnavailableError))
            reason = str(error) if known else f"{path} does not run"
            _logger.error("Model %s is refused: %s", name, reason, exc_info=not known)  # noqa: TRY400
            self._models[name] = replace(model, loading=False, refused=reason, seen=seen)
            return
        _logger.info("Serving model %s: %s %s.", name, detector.metadata.name, detector.metadata.version)
        self._models[name] = ServedModel(name, path, detector, datetime.now(UTC), seen=seen)


def _fingerprint(path: Path) -> Fingerprint | None:
    """Return what tells one state of a file from another; None if there is no file."""
    try:
        state = path.stat()
    except OSError:
        return None
    # The last one changes with the file's permissions, so that a file that could not be read is tried again.
    return state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns


def _meaning(path: Path) -> str:
    """Return a path, and where it leads if that is somewhere else."""
    meant = os.path.realpath(path)
    return str(path) if meant == str(path.absolute()) else f"{path} (now {meant})"
