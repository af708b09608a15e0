"""The manifests of deploy/kubernetes: valid, as the code understands them, and without rights."""

from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml
from sqlalchemy import text
from typer.main import get_command

from raiw.cli.app import app
from service.contract.tasks import Queue
from service.settings import Settings
from service.store.database import Database
from service.store.migrate import migrate

FOLDER = Path(__file__).parents[2] / "deploy" / "kubernetes"
PARTS = sorted(path for path in FOLDER.rglob("*.yaml") if path.name != "kustomization.yaml")
DOCUMENTS = [one for path in PARTS for one in yaml.safe_load_all(path.read_text("utf-8"))]
KUSTOMIZATIONS = [
    yaml.safe_load((FOLDER / part / "kustomization.yaml").read_text("utf-8"))
    for part in ("", "gpu")
]
FIELDS = {f"RAIW_{field.upper()}" for field in Settings.model_fields}

_TEXTS = {"type": "object", "additionalProperties": {"type": "string"}}
_COUNT = {"type": "integer", "minimum": 0}


def _object(required: str = "", **properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
        "required": required.split(),
    }


def _list(item: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "minItems": 1, "items": item}


_NAMED = _object("name", name={"type": "string"})
_SECRET = _object(
    "parameter name key", **{key: {"type": "string"} for key in ("parameter", "name", "key")}
)
_TRIGGER = _object(
    "type metadata",
    type={"const": "postgresql"},
    metadata=_object(
        "query targetQueryValue",
        query={"type": "string"},
        targetQueryValue={"type": "string", "pattern": "^[0-9]+$"},
    ),
    authenticationRef=_NAMED,
)
_ENDPOINT = _object(
    "port", port={"type": "string"}, path={"type": "string"}, interval={"type": "string"}
)
SPECS = {
    "TriggerAuthentication": _object("secretTargetRef", secretTargetRef=_list(_SECRET)),
    "ScaledObject": _object(
        "scaleTargetRef triggers",
        scaleTargetRef=_NAMED,
        minReplicaCount=_COUNT,
        maxReplicaCount=_COUNT,
        pollingInterval=_COUNT,
        cooldownPeriod=_COUNT,
        advanced=_object(horizontalPodAutoscalerConfig=_object(behavior={"type": "object"})),
        triggers=_list(_TRIGGER),
    ),
    "ServiceMonitor": _object(
        "selector endpoints", selector=_object(matchLabels=_TEXTS), endpoints=_list(_ENDPOINT)
    ),
}
"""What KEDA 2 and the Prometheus operator take, as far as it is used here."""


def fault_of(document: dict[str, Any]) -> str | None:
    try:
        if document["kind"] in SPECS:
            jsonschema.validate(document["spec"], SPECS[document["kind"]])
        else:
            version = kubernetes_validate.latest_version()
            kubernetes_validate.validate(document, version, strict=True)
    except (jsonschema.ValidationError, kubernetes_validate.ValidationError) as error:
        return f"{error.message} at {list(error.path)}"
    return None


def of_kind(*kinds: str) -> list[dict[str, Any]]:
    return [one for one in DOCUMENTS if one["kind"] in kinds]


PODS = {one["metadata"]["name"]: one["spec"]["template"] for one in of_kind("Deployment", "Job")}
each_pod = pytest.mark.parametrize("pod", PODS.values(), ids=PODS)


@pytest.mark.parametrize(
    "document", [pytest.param(d, id=f"{d['kind']}-{d['metadata']['name']}") for d in DOCUMENTS]
)
def test_each_document_is_valid(document: dict[str, Any]) -> None:
    assert fault_of(document) is None


def test_every_file_is_applied() -> None:
    whole, gpu = (one["resources"] for one in KUSTOMIZATIONS)
    assert {FOLDER / name for name in whole} | {FOLDER / "gpu" / name for name in gpu} == {*PARTS}
    images = {
        container["image"] for pod in PODS.values() for container in pod["spec"]["containers"]
    }
    assert {one["name"] for one in KUSTOMIZATIONS[0]["images"]} == images


@each_pod
def test_a_pod_runs_a_known_command_with_known_settings(pod: dict[str, Any]) -> None:
    (container,) = pod["spec"]["containers"]
    program, command, *options = container["args"]
    assert program == "raiw"
    known = get_command(app).get_command(None, command)  # type: ignore[attr-defined]
    flags = {flag for option in known.params for flag in (*option.opts, *option.secondary_opts)}
    assert {option for option in options if option.startswith("--")} <= flags
    (config,) = of_kind("ConfigMap")
    Settings(
        **{name.removeprefix("RAIW_").lower(): value for name, value in config["data"].items()}
    )
    assert {*config["data"], *(one["name"] for one in container.get("env", ()))} <= FIELDS
    # Kubernetes makes variables from the names of services, and those of ours begin with RAIW_.
    assert pod["spec"]["enableServiceLinks"] is False


@each_pod
def test_a_pod_has_limits_and_no_rights(pod: dict[str, Any]) -> None:
    (container,) = pod["spec"]["containers"]
    assert {"cpu", "memory"} <= {*container["resources"]["limits"]}
    assert pod["spec"]["securityContext"]["runAsNonRoot"]
    assert container["securityContext"] == {
        "readOnlyRootFilesystem": True,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
    }
    assert not pod["spec"]["automountServiceAccountToken"]
    volumes = {one["name"] for one in pod["spec"]["volumes"]}
    assert volumes == {one["name"] for one in container["volumeMounts"]}


def test_what_selects_pods_finds_them() -> None:
    labels = [pod["metadata"]["labels"] for pod in PODS.values()]
    for one in of_kind("Deployment", "Service", "PodDisruptionBudget", "NetworkPolicy"):
        selector = one["spec"].get("selector") or one["spec"]["podSelector"]
        wanted = selector.get("matchLabels", selector)
        assert any(wanted.items() <= found.items() for found in labels), one["metadata"]["name"]
    deployments = {one["metadata"]["name"] for one in of_kind("Deployment")}
    scaled = {one["spec"]["scaleTargetRef"]["name"] for one in of_kind("ScaledObject")}
    assert scaled == deployments - {"raiw-api"}
    guarded = {one["metadata"]["name"] for one in of_kind("PodDisruptionBudget")}
    assert guarded == deployments


def test_the_scaler_counts_the_jobs_of_each_queue(tmp_path: Path) -> None:
    settings = Settings(state_dir=tmp_path)
    migrate(settings)
    database = Database(settings)
    queries = [one["spec"]["triggers"][0]["metadata"]["query"] for one in of_kind("ScaledObject")]
    assert {queue for queue in Queue for query in queries if f"'{queue}'" in query} == {*Queue}
    row = (
        "INSERT INTO jobs (id, owner_id, kind, status, content_key, algorithm, note, queue,"
        " timeout_seconds, max_attempts, attempt, phase, completed, total, events, created_at,"
        " run_after, needs) VALUES (:id, 'local', 'craft', :status, :id, 'raiw', '{}', :queue,"
        " 1, 3, 0, '', 0, 1, 0, '2026-01-01', '2026-01-01', '')"
    )
    statuses = ("queued", "running", "canceling", "succeeded", "failed")
    with database.write() as session:
        for number, status in enumerate(statuses):
            for queue in Queue:
                values = {"id": f"{queue}{number}", "status": status, "queue": queue.value}
                session.execute(text(row), values)
        assert [session.scalar(text(query)) for query in queries] == [3] * len(queries)
    database.close()


def test_probes_ask_what_the_service_answers() -> None:
    (api,) = (one for one in of_kind("Deployment") if one["metadata"]["name"] == "raiw-api")
    (container,) = api["spec"]["template"]["spec"]["containers"]
    assert container["ports"] == [
        {"name": "http", "containerPort": Settings.model_fields["port"].default}
    ]
    paths = {name: container[name]["httpGet"]["path"] for name in container if "Probe" in name}
    assert paths == {
        "startupProbe": "/livez",
        "livenessProbe": "/livez",
        "readinessProbe": "/readyz",
    }
