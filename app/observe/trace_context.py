"""W3C Trace Context: which trace a request belongs to, https://www.w3.org/TR/trace-context/."""

import re
import secrets
from dataclasses import dataclass
from typing import Self

_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII)
_INVALID_VERSION = "ff"
_VERSION = "00"


@dataclass(frozen=True)
class TraceContext:
    """A place in a trace.

    Attributes:
        trace_id: 32 hexadecimal digits, the same for all that one request at the edge brought about.
        span_id: 16 hexadecimal digits, the step in the trace.
        flags: 2 hexadecimal digits; the lowest bit says that the trace is recorded.
    """

    trace_id: str
    span_id: str
    flags: str

    @classmethod
    def parse(cls, header: str | None) -> Self | None:
        """Read a `traceparent` header; None if there is none or it is not valid (section 3.2.2)."""
        match = _TRACEPARENT.fullmatch(header.strip()) if header else None
        if match is None:
            return None
        version, trace_id, span_id, flags, rest = match.groups()
        # A later version may append to the four fields; this one may not.
        if version == _INVALID_VERSION or (version == _VERSION and rest):
            return None
        if not int(trace_id, 16) or not int(span_id, 16):
            return None
        return cls(trace_id, span_id, flags)

    @classmethod
    def begin(cls) -> Self:
        """Begin a trace, which nobody is known to record."""
        return cls(secrets.token_hex(16), secrets.token_hex(8), "00")

    def child(self) -> Self:
        """Return the next step of the trace."""
        return type(self)(self.trace_id, secrets.token_hex(8), self.flags)

    def __str__(self) -> str:
        return f"{_VERSION}-{self.trace_id}-{self.span_id}-{self.flags}"
