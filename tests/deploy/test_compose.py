"""The compose files, as strictly as the specification reads them."""

import re
from pathlib import Path
from typing import Any

import compose_spec
import pytest
import yaml

from app.load_settings import load_settings
from app.settings import Settings
from tests.deploy.files import DASHBOARD, DEPLOY, dockerfile, read_yaml
from yolo9000.serving.server import CLOSING_SECONDS

FILES = ("compose.yaml", "compose.gpu.yaml")


def interpolated(name: str) -> str:
    """Put in the default of each variable, as compose does where none is set."""
    text = (DEPLOY / name).read_text()
    return re.sub(r"\$\{\w+(?::-([^}]*))?\}", lambda found: found[1] or "", text)


def services() -> dict[str, Any]:
    return dict(yaml.safe_load(interpolated("compose.yaml"))["services"])


@pytest.mark.parametrize("name", FILES)
def test_the_file_is_what_compose_reads(name: str) -> None:
    compose_spec.PyCompose.from_yaml(interpolated(name)).validate()


def test_a_key_that_compose_does_not_know_is_seen() -> None:
    with pytest.raises(ValueError, match="read_onyl"):
        compose_spec.PyCompose.from_yaml(interpolated("compose.yaml").replace("read_only: true", "read_onyl: true", 1))


@pytest.mark.parametrize("name", FILES)
def test_targets_and_services_exist(name: str) -> None:
    stages = {rest.rpartition(" AS ")[2] for instruction, rest in dockerfile() if instruction == "FROM"}
    for service, given in yaml.safe_load(interpolated(name))["services"].items():
        assert service in services()
        if "build" in given:
            assert given["build"]["target"] in stages
            assert (DEPLOY / given["build"]["context"] / "Dockerfile").is_file()


def test_what_is_mounted_exists() -> None:
    declared = set(read_yaml(DEPLOY / "compose.yaml")["volumes"])
    for given in services().values():
        for volume in given["volumes"]:
            if volume["type"] == "volume":
                assert volume["source"] in declared
            elif not volume.get("bind", {}).get("create_host_path"):
                assert (DEPLOY / volume["source"]).exists(), volume["source"]


def test_on_a_gpu_compose_sets_what_kubernetes_does() -> None:
    composed = yaml.safe_load(interpolated("compose.gpu.yaml"))["services"]["yolo9000"]
    overlay = DEPLOY / "kubernetes" / "overlays" / "gpu"
    (generated,) = read_yaml(overlay / "kustomization.yaml")["configMapGenerator"]
    literals = dict(literal.split("=", 1) for literal in generated["literals"])
    given = {name: value for name, value in composed["environment"].items() if value}
    assert given.keys() >= {"YOLO9000_MAX_WAITING"}
    assert given.items() <= literals.items()
    (container,) = read_yaml(overlay / "deployment.yaml")["spec"]["template"]["spec"]["containers"]
    assert container["resources"]["limits"]["memory"] == composed["mem_limit"].replace("g", "Gi")


def test_the_settings_are_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for file in FILES:
        environment = yaml.safe_load(interpolated(file))["services"]["yolo9000"]["environment"]
        for name, value in environment.items():
            monkeypatch.setenv(name, value or "")  # compose puts variables in when the file has been read
    settings = load_settings()
    assert (settings.metrics, settings.max_waiting, settings.processes) == ("open", 128, None)


def test_docker_waits_until_the_service_has_drained() -> None:
    seconds = int(services()["yolo9000"]["stop_grace_period"].removesuffix("s"))
    assert seconds > Settings().drain_timeout + CLOSING_SECONDS


def test_prometheus_looks_where_the_service_listens() -> None:
    (job,) = read_yaml(DEPLOY / "prometheus" / "prometheus.yml")["scrape_configs"]
    (targets,) = (entry["targets"] for entry in job["static_configs"])
    (port,) = (rest for instruction, rest in dockerfile() if instruction == "EXPOSE")
    assert targets == [f"yolo9000:{port}"]
    assert job["job_name"] == "yolo9000"  # the alerts name it
    (volume,) = (volume for volume in services()["prometheus"]["volumes"] if volume["type"] == "bind")
    assert f"--config.file={volume['target']}/prometheus.yml" in services()["prometheus"]["command"]


def test_grafana_finds_its_data_source_and_its_dashboard() -> None:
    provisioning = DEPLOY / "grafana" / "provisioning"
    (source,) = read_yaml(provisioning / "datasources" / "prometheus.yaml")["datasources"]
    assert source["url"] == "http://prometheus:9090"
    mounts = {volume["source"]: volume["target"] for volume in services()["grafana"]["volumes"]}
    (provider,) = read_yaml(provisioning / "dashboards" / "yolo9000.yaml")["providers"]
    assert provider["options"]["path"] == mounts["./grafana/dashboards"]
    home = Path(services()["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert home == Path(mounts["./grafana/dashboards"]) / DASHBOARD.name
    scrape = read_yaml(DEPLOY / "prometheus" / "prometheus.yml")["global"]["scrape_interval"]
    assert source["jsonData"]["timeInterval"] == scrape
