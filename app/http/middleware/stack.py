"""What stands around the routes, from the outside in.

ObservationMiddleware       id, trace, metrics and log line of every request, preflight requests too
SecurityHeadersMiddleware   headers on every answer
CORSMiddleware              only where origins are set; answers preflight requests, which carry no key
UnexpectedErrorMiddleware   the answer to a request that fails unexpectedly
RequestHeadMiddleware       refuses heads that are too large
AccessMiddleware            only where API keys are set
HeadMiddleware              answers HEAD as GET without the body
"""

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from app.access.rate_limit import RateLimit
from app.http.middleware.access import AccessMiddleware
from app.http.middleware.errors import UnexpectedErrorMiddleware
from app.http.middleware.head import HeadMiddleware
from app.http.middleware.headers import SecurityHeadersMiddleware
from app.http.middleware.observation import ObservationMiddleware
from app.http.middleware.request_head import RequestHeadMiddleware
from app.observe.metrics import Metrics
from app.observe.siblings import Siblings
from app.observe.tracing import Tracing
from app.settings import Settings

ASKED_HEADERS = ("Authorization", "Content-Type", "If-None-Match", "X-API-Key", "X-Request-ID", "traceparent")
"""Headers that pages of allowed origins may send."""

ANSWERED_HEADERS = ("ETag", "Retry-After", "X-Request-ID", "traceparent")
"""Headers that such pages may read."""


def add_middleware(
    app: FastAPI, settings: Settings, metrics: Metrics, tracing: Tracing, siblings: Siblings | None
) -> None:
    """Put everything around the routes; what is added last stands outermost."""
    app.add_middleware(HeadMiddleware)
    if settings.key_ring:
        limit = _rate_limit(settings, siblings)
        open_metrics = settings.metrics == "open"
        app.add_middleware(AccessMiddleware, keys=settings.key_ring, limit=limit, open_metrics=open_metrics)
    app.add_middleware(RequestHeadMiddleware)
    app.add_middleware(UnexpectedErrorMiddleware)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=("GET", "POST"),
            allow_headers=ASKED_HEADERS,
            expose_headers=ANSWERED_HEADERS,
        )
    app.add_middleware(SecurityHeadersMiddleware)
    app.add_middleware(ObservationMiddleware, metrics=metrics, tracing=tracing)


def _rate_limit(settings: Settings, siblings: Siblings | None) -> RateLimit | None:
    if settings.rate_limit is None:
        return None
    buckets = None
    if siblings is not None:
        from app.access.shared_buckets import SharedBuckets  # what it needs is not on every system

        buckets = SharedBuckets(siblings.folder / "buckets", settings.key_ring.names)
    return RateLimit(settings.rate_limit, settings.rate_burst, buckets=buckets)
