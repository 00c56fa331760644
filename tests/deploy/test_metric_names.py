"""Whatever a dashboard, an alert or the autoscaler asks for, the service has."""

import re

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.deploy.files import ADAPTER, DEPLOY, dashboard_queries, read_yaml, rules

LANGUAGE = {
    *("and", "avg", "avg_over_time", "bool", "by", "count", "deriv", "group", "histogram_quantile", "ignoring"),
    *("absent", "on", "or", "rate", "sum", "time", "unless", "vector"),
}
"""Words of PromQL; each other word must be a metric."""

OF_PROMETHEUS = {"up"}
LABELS_OF_PROMETHEUS = {"job", "instance", "namespace", "pod"}

RECORDED = {rule["record"] for rule in rules() if "record" in rule}

_STRING = re.compile(r'"[^"]*"')
_MATCHERS = re.compile(r"\{[^}]*\}")
_LISTS = re.compile(r"\b(by|on|ignoring|without)\s*\(([^)]*)\)")
_DURATION = re.compile(r"\[[^\]]*\]")
_WORD = re.compile(r"\b[A-Za-z_:][\w:]*")

QUERIES = [
    *dashboard_queries(),
    *(rule["expr"] for rule in rules()),
    *(rule["metricsQuery"] for rule in read_yaml(ADAPTER)["rules"]["custom"]),
    *(rule["seriesQuery"] for rule in read_yaml(ADAPTER)["rules"]["custom"]),
]


def words_of(query: str) -> tuple[set[str], set[str]]:
    """Return the metrics a query names, and the labels."""
    query = _STRING.sub("", query).replace("<<.GroupBy>>", "job").replace("<<.LabelMatchers>>", "")
    labels = {word for matchers in _MATCHERS.findall(query) for word in _WORD.findall(matchers)}
    labels |= {word for _, listed in _LISTS.findall(query) for word in _WORD.findall(listed)}
    rest = _DURATION.sub("", _LISTS.sub("", _MATCHERS.sub("", query)))
    return set(_WORD.findall(rest)) - LANGUAGE, labels


@pytest.fixture(scope="module")
def samples(service: httpx.Client) -> dict[str, set[str]]:
    """The names of all samples of the service, with their labels."""
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(service.get("/metrics").text):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("query", QUERIES)
def test_every_metric_and_label_exists(query: str, samples: dict[str, set[str]]) -> None:
    metrics, labels = words_of(query)
    assert metrics
    assert metrics <= samples.keys() | OF_PROMETHEUS | RECORDED
    own = set().union(*(samples.get(metric, set()) for metric in metrics))
    assert labels <= own | LABELS_OF_PROMETHEUS


def test_what_does_not_exist_is_seen() -> None:
    query = 'sum by (stage, hue) (rate(yolo9000_stage_seconds{job="a", stag="x"}[5m])) > time()'
    assert words_of(query) == ({"yolo9000_stage_seconds"}, {"stage", "hue", "job", "stag"})


@pytest.mark.slow
def test_the_autoscaler_follows_a_metric_that_exists(samples: dict[str, set[str]]) -> None:
    (metric,) = read_yaml(DEPLOY / "kubernetes" / "base" / "autoscaler.yaml")["spec"]["metrics"]
    assert metric["pods"]["metric"]["name"] in samples
