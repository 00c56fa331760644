"""Schemathesis makes requests up from the OpenAPI document, good ones and bad ones, and holds the answers against it.

The server is a real one: the document says what a client on the network gets. Requests are the same at every run.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from schemathesis.config import SchemathesisConfig

from app.access.keys import make_key
from app.http.routes.detect import UPLOADED
from app.main import create_app
from app.settings import Settings
from tests.app import pictures
from tests.app.servers import serving

pytestmark = pytest.mark.slow

KEY, ENTRY = make_key("schemathesis")
EXAMPLES_EACH = 25
"""Requests made up at random for each operation, beside those that go through its parameters one by one."""

CONFIG = """
seed = 1

[checks]
# A picture can be broken, and a wnid or size unknown to the model, in ways no schema can tell.
positive_data_acceptance.expected-statuses = ["2xx", "304", "400", "404", "415", "422"]
# ... and what is made up as a broken body may be a picture.
negative_data_rejection.enabled = false

# Whatever it is asked with: these are plain requests, and a WebSocket is to be opened there.
[[operations]]
include-path = "/detect/stream"
checks.positive_data_acceptance.expected-statuses = ["404", "422", "426"]
"""

files = st.one_of(st.sampled_from([pictures.red(), pictures.red_and_blue()]), st.binary(max_size=200))
schemathesis.openapi.format("binary", files)
for media_type in UPLOADED:
    schemathesis.openapi.media_type(media_type, files)


@pytest.fixture(scope="module")
def server(tiny_model: Path) -> Iterator[httpx.Client]:
    options = ("--model", str(tiny_model), "--threads", "1", "--max-upload-bytes", "100000")
    with serving(*options, "--api-keys", str(ENTRY)) as client:
        yield client


schema = schemathesis.openapi.from_dict(
    create_app(Settings(api_keys=[str(ENTRY)])).openapi(), config=SchemathesisConfig.from_str(CONFIG)
)


@schema.parametrize()
@settings(
    max_examples=EXAMPLES_EACH,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
def test_every_answer_is_as_the_document_says(case: schemathesis.Case[Any], server: httpx.Client) -> None:
    case.call_and_validate(base_url=str(server.base_url), headers={"Authorization": f"Bearer {KEY}"})
