"""What is said of an object in one line: its label and what it hesitates between."""

from collections.abc import Sequence

Alternative = tuple[str, float]
"""A concept's name and its absolute probability."""


def label_text(name: str, alternatives: Sequence[Alternative]) -> str:
    """Return a label with its alternatives: "vehicle: car .41, truck .38"."""
    return f"{name}{_hesitation(alternatives)}"


def captions(name: str, score: float, alternatives: Sequence[Alternative]) -> tuple[str, ...]:
    """Return a label with its score and alternatives, the longest text first, then each with one alternative less."""
    return tuple(f"{name} {score:.2f}{_hesitation(alternatives[:count])}" for count in range(len(alternatives), -1, -1))


def _hesitation(alternatives: Sequence[Alternative]) -> str:
    listed = ", ".join(f"{name} {f'{probability:.2f}'.removeprefix('0')}" for name, probability in alternatives)
    return f": {listed}" if listed else ""
