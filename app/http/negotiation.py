"""Which form of an answer suits the client, by RFC 9110.

Sections 12.5.1 (Accept), 12.5.3 (Accept-Encoding) and 13.1.2 (If-None-Match).
"""

from collections.abc import Sequence


def preferred_type(accept: str | None, offered: Sequence[str]) -> str:
    """Return the media type, of those offered, that an Accept header wants most.

    Args:
        accept: the header; None if there is none.
        offered: media types; of equally wanted ones the first is taken, and so it is if none is wanted.
    """
    if not accept:
        return offered[0]
    ranges = [_media_range(part) for part in accept.split(",")]
    weights = [_weight(media_type, ranges) for media_type in offered]
    return offered[weights.index(max(weights))]


def matches_etag(if_none_match: str | None, etag: str) -> bool:
    """Tell whether the client already has what the ETag stands for."""
    if not if_none_match:
        return False
    tags = [tag.strip().removeprefix("W/") for tag in if_none_match.split(",")]
    return etag in tags or "*" in tags


def accepts_coding(accept_encoding: str | None, coding: str) -> bool:
    """Tell whether an Accept-Encoding header allows a content coding, by its name or by `*`; no header allows none."""
    if not accept_encoding:
        return False
    weights = dict(_media_range(part) for part in accept_encoding.split(","))
    return weights.get(coding, weights.get("*", 0.0)) > 0


def _media_range(part: str) -> tuple[str, float]:
    """Split 'image/*;q=0.8' or 'gzip;q=0.8' into name and weight; a weight that is no number counts as 0."""
    media_range, *parameters = (piece.strip().lower() for piece in part.split(";"))
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return media_range, float(value)
            except ValueError:
                return media_range, 0.0
    return media_range, 1.0


def _weight(media_type: str, ranges: Sequence[tuple[str, float]]) -> float:
    """Return the weight of the most particular range that takes the type in."""
    general = media_type.partition("/")[0] + "/*"
    for wanted in (media_type, general, "*/*"):
        weights = [weight for media_range, weight in ranges if media_range == wanted]
        if weights:
            return max(weights)
    return 0.0
