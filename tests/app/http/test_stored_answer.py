import gzip

import pytest
from starlette.requests import Request

from app.http.stored_answer import StoredAnswer

TEXT = b"the same words, " * 200


def request(**headers: str) -> Request:
    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "method": "GET", "headers": pairs})


def test_a_text_is_compressed_for_those_who_can_take_it() -> None:
    stored = StoredAnswer.of(TEXT, "text/plain")
    plain = stored.response(request(), {"Cache-Control": "no-cache"})
    assert (plain.body, plain.status_code) == (TEXT, 200)
    assert plain.headers["content-type"] == "text/plain; charset=utf-8"
    assert plain.headers["cache-control"] == "no-cache"
    assert plain.headers["vary"] == "Accept-Encoding"
    assert "content-encoding" not in plain.headers
    small = stored.response(request(accept_encoding="br, gzip"), {})
    assert small.headers["content-encoding"] == "gzip"
    assert gzip.decompress(bytes(small.body)) == TEXT
    assert small.headers["content-length"] == str(len(small.body))


def test_what_gets_no_smaller_stays_as_it_is() -> None:
    stored = StoredAnswer.of(gzip.compress(bytes(range(256)) * 3), "image/jpeg")
    assert "content-encoding" not in stored.response(request(accept_encoding="gzip"), {}).headers


@pytest.mark.parametrize("form", ["{}", "*", 'W/"other", {}'])
def test_a_client_that_has_it_gets_nothing(form: str) -> None:
    stored = StoredAnswer.of(TEXT, "text/plain")
    answer = stored.response(request(if_none_match=form.format(stored.etag)), {"Cache-Control": "no-cache"})
    assert (answer.status_code, answer.body) == (304, b"")
    assert answer.headers["etag"] == stored.etag
    assert answer.headers["cache-control"] == "no-cache"


def test_another_body_has_another_etag() -> None:
    one, other = StoredAnswer.of(TEXT, "text/plain"), StoredAnswer.of(TEXT + b".", "text/plain")
    assert one.etag != other.etag
    assert other.response(request(if_none_match=one.etag), {}).status_code == 200
