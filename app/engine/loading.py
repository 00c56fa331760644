"""Loading a model file as the settings say."""

from pathlib import Path

from app.settings import Settings
from model.providers import engine_cache
from model.runtime import OnnxDetector


def load_detector(settings: Settings, path: Path | None = None) -> OnnxDetector:
    """Load a model file, by default the one the settings name.

    Raises:
        InvalidModelError: the file is missing or not a model file of this project.
        ProviderUnavailableError: the provider asked for cannot be used.
    """
    return OnnxDetector.load(
        settings.model if path is None else path,
        provider=settings.provider,
        threads=settings.threads,
        gpu_memory_limit=settings.gpu_memory_limit,
        cache=engine_cache(),
    )
