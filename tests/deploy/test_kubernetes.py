"""The Kubernetes files, rendered by kustomize and held to the schemas of Kubernetes and of Prometheus Operator."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from cloudcoil.models.prometheus_operator.v1 import ServiceMonitor

from app.load_settings import load_settings
from app.main import create_app
from app.settings import Settings
from tests.deploy.files import DEPLOY, dockerfile
from yolo9000.serving.server import CLOSING_SECONDS

FOLDER = DEPLOY / "kubernetes"
OVERLAYS = ("cpu", "gpu")
RELEASES = ("1.27", "1.37")
"""The oldest and the newest release the files are held to."""
KINDS = {
    *("ConfigMap", "Deployment", "HorizontalPodAutoscaler", "NetworkPolicy", "PodDisruptionBudget", "Service"),
    "ServiceMonitor",
}
PRE_STOP_SECONDS = 10

Resource = dict[str, Any]


@pytest.fixture(scope="session")
def kustomize() -> list[str]:
    if found := shutil.which("kustomize"):
        return [found, "build"]
    if found := shutil.which("kubectl"):
        told = subprocess.run([found, "version", "--client", "-o", "json"], capture_output=True, text=True, check=True)
        if int(json.loads(told.stdout).get("kustomizeVersion", "v0").lstrip("v").split(".")[0]) >= 4:
            return [found, "kustomize"]
    pytest.skip("needs kustomize, or kubectl with kustomize 4 or later inside: Debian's package kubernetes-client")


def render(kustomize: list[str], folder: Path) -> dict[str, Resource]:
    """Return the resources by kind; there is one of each."""
    result = subprocess.run([*kustomize, str(folder)], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "deprecated" not in result.stderr
    resources = list(yaml.safe_load_all(result.stdout))
    by_kind = {resource["kind"]: resource for resource in resources}
    assert len(by_kind) == len(resources)
    return by_kind


@pytest.fixture(scope="session", params=OVERLAYS)
def overlay(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session")
def resources(kustomize: list[str], overlay: str) -> dict[str, Resource]:
    return render(kustomize, FOLDER / "overlays" / overlay)


@pytest.fixture
def pod(resources: dict[str, Resource]) -> Resource:
    return dict(resources["Deployment"]["spec"]["template"]["spec"])


@pytest.fixture
def container(pod: Resource) -> Resource:
    (only,) = pod["containers"]
    return dict(only)


@pytest.mark.slow
def test_everything_is_there(resources: dict[str, Resource]) -> None:
    assert resources.keys() == KINDS


@pytest.mark.slow
@pytest.mark.parametrize("release", RELEASES)
def test_kubernetes_knows_every_field(resources: dict[str, Resource], release: str) -> None:
    for kind, resource in resources.items():
        if kind != "ServiceMonitor":
            kubernetes_validate.validate(resource, release, strict=True)


@pytest.mark.slow
def test_a_field_that_kubernetes_does_not_know_is_seen(resources: dict[str, Resource]) -> None:
    wrong = json.loads(json.dumps(resources["Deployment"]))
    wrong["spec"]["template"]["spec"]["containers"][0]["readynessProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError, match="readynessProbe"):
        kubernetes_validate.validate(wrong, RELEASES[-1], strict=True)


@pytest.mark.slow
def test_prometheus_operator_knows_every_field(resources: dict[str, Resource]) -> None:
    """Its types drop what they do not know, so nothing may be lost on the way through them."""
    given = resources["ServiceMonitor"]
    read = ServiceMonitor.model_validate(given)
    assert json.loads(read.model_dump_json(by_alias=True, exclude_unset=True)) == given


@pytest.mark.slow
def test_all_select_the_pods_of_the_deployment(resources: dict[str, Resource]) -> None:
    labels = resources["Deployment"]["spec"]["template"]["metadata"]["labels"]
    selectors = [
        resources["Deployment"]["spec"]["selector"]["matchLabels"],
        resources["Service"]["spec"]["selector"],
        resources["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
        resources["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"],
        *(
            constraint["labelSelector"]["matchLabels"]
            for constraint in resources["Deployment"]["spec"]["template"]["spec"]["topologySpreadConstraints"]
        ),
    ]
    assert all(selector and selector.items() <= labels.items() for selector in selectors)
    monitored = resources["ServiceMonitor"]["spec"]["selector"]["matchLabels"]
    assert monitored.items() <= resources["Service"]["metadata"]["labels"].items()
    scaled = resources["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]
    assert (scaled["kind"], scaled["name"]) == ("Deployment", resources["Deployment"]["metadata"]["name"])


@pytest.mark.slow
def test_ports_go_by_one_name(resources: dict[str, Resource], container: Resource) -> None:
    (port,) = container["ports"]
    (exposed,) = (int(rest) for instruction, rest in dockerfile() if instruction == "EXPOSE")
    assert port["containerPort"] == exposed
    named = [
        *(service["targetPort"] for service in resources["Service"]["spec"]["ports"]),
        *(rule["port"] for ingress in resources["NetworkPolicy"]["spec"]["ingress"] for rule in ingress["ports"]),
        *(container[f"{probe}Probe"]["httpGet"]["port"] for probe in ("startup", "readiness", "liveness")),
    ]
    assert set(named) == {port["name"]}
    (endpoint,) = resources["ServiceMonitor"]["spec"]["endpoints"]
    assert endpoint["port"] in {service["name"] for service in resources["Service"]["spec"]["ports"]}


def test_probes_ask_what_they_are_for(container: Resource) -> None:
    assert container["livenessProbe"]["httpGet"]["path"] == "/health/live"
    assert container["readinessProbe"]["httpGet"]["path"] == "/health/ready"
    assert container["startupProbe"]["httpGet"]["path"] == "/health/ready"


@pytest.mark.slow
def test_the_settings_are_settings(
    resources: dict[str, Resource], container: Resource, overlay: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = resources["ConfigMap"]["data"]
    (reference,) = (entry["configMapRef"] for entry in container["envFrom"] if "configMapRef" in entry)
    assert reference["name"] == resources["ConfigMap"]["metadata"]["name"]
    for name, value in data.items():
        monkeypatch.setenv(name, value)
    settings = load_settings()
    assert len(settings.model_fields_set) == len(data)
    assert settings.provider == {"cpu": "auto", "gpu": "cuda"}[overlay]


def test_variables_of_a_service_link_would_stop_the_start(pod: Resource) -> None:
    assert pod["enableServiceLinks"] is False


@pytest.mark.slow
def test_the_pod_has_time_to_drain(resources: dict[str, Resource], pod: Resource, container: Resource) -> None:
    assert container["lifecycle"]["preStop"]["exec"]["command"] == ["sleep", str(PRE_STOP_SECONDS)]
    drain = float(resources["ConfigMap"]["data"]["YOLO9000_DRAIN_TIMEOUT"])
    assert pod["terminationGracePeriodSeconds"] > PRE_STOP_SECONDS + drain + CLOSING_SECONDS


def test_the_container_may_do_nothing_more_than_it_needs(pod: Resource, container: Resource) -> None:
    (user,) = (rest for instruction, rest in dockerfile() if instruction == "USER")
    context = pod["securityContext"]
    assert f"{context['runAsUser']}:{context['runAsGroup']}" == user
    assert context["runAsNonRoot"] is True
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


@pytest.mark.slow
def test_the_memory_is_enough_for_the_largest_pictures(resources: dict[str, Resource], container: Resource) -> None:
    workers = int(resources["ConfigMap"]["data"]["YOLO9000_WORKERS"])
    settings = Settings()
    process = 300_000_000
    needed = process + workers * 3 * settings.max_pixels + settings.max_total_upload_bytes
    limit = container["resources"]["limits"]["memory"]
    amount, unit = int(limit[:-2]), limit[-2:]
    assert amount * {"Mi": 1024**2, "Gi": 1024**3}[unit] > needed


@pytest.mark.slow
def test_a_gpu_is_one_pods(resources: dict[str, Resource], container: Resource, overlay: str) -> None:
    limits = container["resources"]["limits"]
    assert limits.get("nvidia.com/gpu") == {"cpu": None, "gpu": 1}[overlay]
    assert container["image"] == {"cpu": "yolo9000:latest", "gpu": "yolo9000:gpu"}[overlay]
    metrics = {metric["type"] for metric in resources["HorizontalPodAutoscaler"]["spec"]["metrics"]}
    assert metrics == {"cpu": {"Pods", "Resource"}, "gpu": {"Pods"}}[overlay]


def with_component(name: str, overlay: str, copy: Path) -> Path:
    """Return a copy of an overlay in which a component is no longer commented out."""
    shutil.copytree(FOLDER, copy / "kubernetes")
    folder = copy / "kubernetes" / "overlays" / overlay
    file = folder / "kustomization.yaml"
    text = file.read_text()
    assert f"# - ../../components/{name}" in text
    file.write_text(text.replace(f"# - ../../components/{name}", f"- ../../components/{name}"))
    return folder


@pytest.mark.slow
def test_own_models_are_mounted(kustomize: list[str], overlay: str, tmp_path: Path) -> None:
    spec = render(kustomize, with_component("models", overlay, tmp_path))["Deployment"]["spec"]["template"]["spec"]
    (mount,) = (mount for mount in spec["containers"][0]["volumeMounts"] if mount["name"] == "models")
    assert mount == {"name": "models", "mountPath": "/models", "readOnly": True}
    (volume,) = (volume for volume in spec["volumes"] if volume["name"] == "models")
    assert volume["persistentVolumeClaim"]["readOnly"] is True


@pytest.mark.slow
def test_an_ingress_publishes_everything_but_metrics(kustomize: list[str], overlay: str, tmp_path: Path) -> None:
    rendered = render(kustomize, with_component("ingress", overlay, tmp_path))
    for release in RELEASES:
        kubernetes_validate.validate(rendered["Ingress"], release, strict=True)
    assert rendered["ConfigMap"]["data"]["FORWARDED_ALLOW_IPS"] == "10.244.0.0/16"
    (rule,) = rendered["Ingress"]["spec"]["rules"]
    published = [(entry["path"], entry["pathType"]) for entry in rule["http"]["paths"]]
    paths = {*create_app(Settings()).openapi()["paths"], "/", "/docs", "/openapi.json", "/page/1/main.js"}
    assert "/metrics" in paths
    for path in paths - {"/metrics"}:
        assert any(path == one or (kind == "Prefix" and path.startswith(f"{one}/")) for one, kind in published), path
    assert not any("/metrics".startswith(one) and kind == "Prefix" for one, kind in published)
    annotations = rendered["Ingress"]["metadata"]["annotations"]
    prefix = "nginx.ingress.kubernetes.io/proxy"
    assert int(annotations[f"{prefix}-body-size"].rstrip("m")) * 2**20 > Settings().max_upload_bytes
    assert float(annotations[f"{prefix}-read-timeout"]) > Settings().deadline
