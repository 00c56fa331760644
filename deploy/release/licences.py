"""Which licences a release may bring along, and how they are listed."""

from collections.abc import Mapping

ALLOWED = frozenset(
    {
        "0BSD",
        "3-Clause BSD License",
        "Apache Software License",
        "Apache-2.0",
        "BSD License",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "CC0-1.0",
        "ISC License (ISCL)",
        "MIT",
        "MIT License",
        "MIT-CMU",
        "PSF-2.0",
        "Zlib",
    }
)
"""Licences that ask for no more than to be named, by the names packages give them."""

HEADER = """# Licences of the dependencies

What `pip install yolo9000[cpu]` brings, and the image for CPUs has. Written by `python -m deploy.release --write`;
`make release-check` fails when it is out of date, or when a licence asks for more than to be named.

The image for GPUs has onnxruntime-gpu (MIT) instead of onnxruntime, and NVIDIA's wheels `nvidia-*`, which NVIDIA's own
licence lets be passed on only as part of a program that needs them; read it before you publish an image.
The extra `heic` brings libheif and libde265 (LGPL) and x265 (GPL).
[NOTICE](../NOTICE) has WordNet's licence, and that of the weights the embedded model started from.

| package | licence |
|---|---|
"""


def table(found: Mapping[str, str]) -> str:
    """Return the document of packages with their licences; the versions are the bill of materials' part."""
    rows = sorted(found.items(), key=lambda entry: entry[0].lower())
    return HEADER + "".join(f"| {name} | {licence} |\n" for name, licence in rows)


def unknown(found: Mapping[str, str]) -> dict[str, str]:
    """Return the packages some licence of which is not allowed; one of several joined by OR is enough."""
    return {name: licence for name, licence in found.items() if not _allowed(licence)}


def _allowed(licence: str) -> bool:
    choices = licence.split(" OR ")
    return any(all(ALLOWED & {part.strip(), part.strip("() ")} for part in _parts(choice)) for choice in choices)


def _parts(text: str) -> list[str]:
    return [part for piece in text.split(" AND ") for part in piece.split(";")]
