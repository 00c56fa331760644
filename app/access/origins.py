"""Origins of web pages, as browsers write them in the header Origin (RFC 6454, section 6.1)."""

from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

EVERY: Final = "*"
DEFAULT_PORTS: Final = {"http": 80, "https": 443}


def is_same_or_allowed(origin: str, host: str, allowed: Sequence[str]) -> bool:
    """Tell whether a page of an origin may ask: one that the service itself has sent, or one that is allowed.

    Args:
        origin: the header Origin.
        host: the header Host, with its port where it is not the scheme's own.
        allowed: origins, as `as_origin` returns them.
    """
    if EVERY in allowed or origin in allowed:
        return True
    scheme, _, rest = origin.partition("://")
    if not rest:  # null: a page without an origin
        return False
    try:
        return origin == as_origin(f"{scheme}://{host.lower()}")
    except ValueError:
        return False


def as_origin(text: str) -> str:
    """Return an origin as a browser writes it: in lower case, without the scheme's own port; * is every one.

    Raises:
        ValueError: it is no origin, such as a page's whole address or a host without a scheme.
    """
    if text == EVERY:
        return text
    none = ValueError(f"{text!r} is not an origin; write https://example.org, or * for every site")
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise none from None
    if not parts.scheme or not host or set(text) & set(" ,\"'<>\\"):
        raise none
    if parts.path or parts.query or parts.fragment or parts.username is not None or text.endswith(("?", "#")):
        raise ValueError(f"{text!r} is not an origin: it has more than scheme, host and port")
    name = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{name}" + ("" if port in {None, DEFAULT_PORTS.get(parts.scheme)} else f":{port}")
