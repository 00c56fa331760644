import pytest

from app.http.negotiation import accepts_coding, matches_etag, preferred_type

OFFERED = ("application/json", "image/jpeg", "image/png")


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, "application/json"),
        ("", "application/json"),
        ("*/*", "application/json"),
        ("image/png", "image/png"),
        ("IMAGE/PNG", "image/png"),
        ("image/*", "image/jpeg"),
        ("image/*, image/jpeg;q=0.1", "image/png"),
        ("image/png;q=0.4, image/jpeg;q=0.6", "image/jpeg"),
        ("image/png; q=0.9, */*; q=0.8", "image/png"),
        ("application/json;q=0, */*", "image/jpeg"),
        ("image/avif,image/webp,*/*;q=0.8", "application/json"),
        ("text/csv", "application/json"),
        ("image/png;q=high", "application/json"),
        (",;,;q=", "application/json"),
    ],
)
def test_preferred_type(accept: str | None, expected: str) -> None:
    assert preferred_type(accept, OFFERED) == expected


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, False),
        ("", False),
        ('"a"', True),
        ('W/"a"', True),
        ('"b", "a"', True),
        ("*", True),
        ('"b"', False),
        ("a", False),
    ],
)
def test_matches_etag(header: str | None, expected: bool) -> None:
    assert matches_etag(header, '"a"') is expected


@pytest.mark.parametrize(
    ("header", "accepted"),
    [
        (None, False),
        ("", False),
        ("gzip", True),
        ("br, GZIP;q=0.5", True),
        ("*", True),
        ("gzip;q=0, *", False),
        ("*;q=0", False),
        ("br", False),
        ("gzip;q=nonsense", False),
    ],
)
def test_content_codings(header: str | None, accepted: bool) -> None:
    assert accepts_coding(header, "gzip") is accepted
