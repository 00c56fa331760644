"""Origins as browsers write them."""

import pytest

from app.access.origins import as_origin
from app.load_settings import ConfigurationError, load_settings


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("https://a.example", "https://a.example"),
        ("HTTPS://A.Example", "https://a.example"),
        ("https://a.example:443", "https://a.example"),
        ("http://a.example:443", "http://a.example:443"),
        ("http://localhost:5173", "http://localhost:5173"),
        ("http://[::1]:80", "http://[::1]"),
        ("chrome-extension://abcdef", "chrome-extension://abcdef"),
        ("*", "*"),
    ],
)
def test_it_is_written_as_a_browser_writes_it(given: str, expected: str) -> None:
    assert as_origin(given) == expected


@pytest.mark.parametrize(
    "given",
    [
        *(
            "a.example",
            "//a.example",
            "https://",
            "https",
            "",
            "https://a.example:port",
            "https://[a",
            '"https://a.org"',
        ),
        *(
            "https://a.example/",
            "https://a.example/app",
            "https://a.example?x",
            "https://me@a.example",
            "https://*.a.org/",
        ),
    ],
)
def test_what_no_browser_sends_is_refused(given: str) -> None:
    with pytest.raises(ValueError, match="origin"):
        as_origin(given)


def test_the_setting_says_which() -> None:
    with pytest.raises(ConfigurationError, match=r"^--cors-origins: 'https://b\.example/' is not an origin: it has"):
        load_settings({"cors_origins": "https://a.example, https://b.example/"})
