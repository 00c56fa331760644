"""Prometheus's files, by Prometheus's own tools and by a Prometheus that scrapes a service."""

import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from app.contract.errors import ERRORS
from tests.app.servers import free_port
from tests.deploy.conftest import ask
from tests.deploy.files import ALERTS, DEPLOY, dashboard_queries, read_yaml, rules

FOLDER = DEPLOY / "prometheus"
ALERT_NAMES = [rule["alert"] for rule in rules() if "alert" in rule]


def run_promtool(promtool: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([promtool, *arguments], cwd=FOLDER, capture_output=True, text=True, check=False)


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [("check", "config", "prometheus.yml"), ("check", "rules", "alerts.yml")])
def test_promtool_finds_no_mistake(promtool: str, arguments: tuple[str, ...]) -> None:
    result = run_promtool(promtool, *arguments)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.slow
def test_the_alerts_fire_when_they_should(promtool: str) -> None:
    result = run_promtool(promtool, "test", "rules", "alerts.test.yml")
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("name", ALERT_NAMES)
def test_every_alert_is_seen_firing_and_keeping_quiet(name: str) -> None:
    cases = [case for test in read_yaml(FOLDER / "alerts.test.yml")["tests"] for case in test["alert_rule_test"]]
    fired = {bool(case.get("exp_alerts")) for case in cases if case["alertname"] == name}
    assert fired == {True, False}


@pytest.mark.slow
def test_an_alert_that_never_fires_would_be_noticed(promtool: str, tmp_path: Path) -> None:
    text = ALERTS.read_text().replace('up{job="yolo9000"} == 0 or absent', 'up{job="yolo9000"} == 2 or absent')
    (tmp_path / "alerts.yml").write_text(text)
    tests = read_yaml(FOLDER / "alerts.test.yml")
    tests["tests"] = [test for test in tests["tests"] if test["name"] == "a process that is gone"]
    (tmp_path / "alerts.test.yml").write_text(yaml.safe_dump(tests))
    result = run_promtool(promtool, "test", "rules", str(tmp_path / "alerts.test.yml"))
    assert result.returncode != 0
    assert "Yolo9000Down" in result.stdout + result.stderr


def test_alerts_name_problems_there_are() -> None:
    named = {kind for rule in rules() for kind in re.findall(r'type="([^"]+)"', rule["expr"])}
    assert named
    assert named <= {error.kind for error in ERRORS}


@contextmanager
def scraping(prometheus: str, service: httpx.Client, folder: Path) -> Iterator[httpx.Client]:
    """Run Prometheus with the configuration of deploy/, which looks at another address, and more often."""
    configuration = read_yaml(FOLDER / "prometheus.yml")
    configuration["global"] = {"scrape_interval": "200ms", "evaluation_interval": "200ms"}
    configuration["rule_files"] = [str(ALERTS)]
    (job,) = configuration["scrape_configs"]
    job["static_configs"] = [{"targets": [f"{service.base_url.host}:{service.base_url.port}"]}]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(configuration))
    address = f"127.0.0.1:{free_port()}"
    command = [prometheus, f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"]
    with (
        (folder / "log").open("w") as log,
        subprocess.Popen([*command, f"--web.listen-address={address}"], stdout=log, stderr=log) as process,
        httpx.Client(base_url=f"http://{address}/api/v1/", trust_env=False, timeout=30) as client,
    ):
        try:
            yield client
        finally:
            process.terminate()
            process.wait(30)


def query(client: httpx.Client, expression: str) -> list[dict[str, Any]]:
    try:
        answer = client.get("query", params={"query": expression})
    except httpx.ConnectError:
        return []
    if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:  # it starts
        return []
    assert answer.status_code == 200, answer.text
    return list(answer.json()["data"]["result"])


@pytest.mark.slow
def test_prometheus_scrapes_the_service_and_every_panel_shows_something(
    prometheus: str, service: httpx.Client, tmp_path: Path
) -> None:
    variables = {"$job": "yolo9000", "$instance": ".+", "$__rate_interval": "5s"}
    waiting = dashboard_queries()
    for name, value in variables.items():
        waiting = [expression.replace(name, value) for expression in waiting]
    with scraping(prometheus, service, tmp_path) as client:
        end = time.monotonic() + 60
        while waiting and time.monotonic() < end:
            ask(service)
            waiting = [expression for expression in waiting if not query(client, expression)]
        assert not waiting
        (up,) = query(client, 'up{job="yolo9000"}')
        assert up["value"][1] == "1"
        loaded = [rule for group in client.get("rules").json()["data"]["groups"] for rule in group["rules"]]
        assert {rule["name"] for rule in loaded} >= set(ALERT_NAMES)
        assert {rule["health"] for rule in loaded} == {"ok"}
        assert not [rule["name"] for rule in loaded if rule.get("state") == "firing"]
