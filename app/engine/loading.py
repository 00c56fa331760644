"""Loading a model file as the settings say."""

import os
from pathlib import Path

from app.settings import Settings
from model.runtime import OnnxDetector


def load_detector(settings: Settings, path: Path | None = None) -> OnnxDetector:
    """Load a model file, by default the one the settings name.

    Raises:
        InvalidModelError: the file is missing or not a model file of this project.
        ProviderUnavailableError: the provider asked for cannot be used.
    """
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return OnnxDetector.load(
        settings.model if path is None else path,
        provider=settings.provider,
        threads=settings.threads,
        gpu_memory_limit=settings.gpu_memory_limit,
        cache=caches / "yolo9000" / "tensorrt",
    )
