import re

import pytest
from packaging.markers import Marker
from packaging.utils import canonicalize_name

from deploy.release.licences import table, unknown
from tests.deploy.files import DEPLOY, ROOT

IMAGE = {"os_name": "posix", "sys_platform": "linux", "platform_system": "Linux", "platform_machine": "x86_64"}
"""Where the table is of, as markers have it."""

_ENTRY = re.compile(r"^([A-Za-z0-9._-]+)==\S+( ; .+)? \\$", re.MULTILINE)


@pytest.mark.parametrize(
    "licence",
    [
        *("MIT", "ISC License (ISCL)", "Apache-2.0 OR BSD-2-Clause", "BSD License; MIT License"),
        "(MIT AND BSD-3-Clause) OR GPL-3.0",
    ],
)
def test_licences_that_ask_for_no_more_than_a_name(licence: str) -> None:
    assert not unknown({"a": licence})


@pytest.mark.parametrize("licence", ["GPL-3.0", "MIT AND GPL-3.0", "BSD License; LGPL-2.1", "UNKNOWN", ""])
def test_others_are_named(licence: str) -> None:
    assert unknown({"a": licence, "b": "MIT"}) == {"a": licence}


def test_the_table_is_sorted() -> None:
    assert table({"b": "MIT", "A": "Apache-2.0"}).endswith("| A | Apache-2.0 |\n| b | MIT |\n")


def test_every_locked_package_is_listed() -> None:
    """`make release-check` looks the licences up; this tells when it has to be run again."""
    lock = (DEPLOY / "locks" / "cpu.txt").read_text()
    brought = {
        canonicalize_name(name)
        for name, marker in _ENTRY.findall(lock)
        if not marker or Marker(marker.removeprefix(" ; ")).evaluate(IMAGE)
    }
    listed = re.findall(r"^\| (\S+) \| [^-]", (ROOT / "docs" / "licences.md").read_text(), re.MULTILINE)
    assert {canonicalize_name(name) for name in listed[1:]} == brought
