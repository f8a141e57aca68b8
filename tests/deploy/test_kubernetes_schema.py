"""Every rendered object is valid: built-in kinds for two minors, ours and others' by schema."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml
from kubernetes_validate import utils as kubernetes_schemas

from tests.deploy.manifests import OVERLAYS, Manifest, of_kind, render

OLDEST, NEWEST = "1.31", "1.37"
SCHEMAS = Path(__file__).parent / "schemas"
CUSTOM = {"ScaledObject", "ServiceMonitor", "PrometheusRule"}


@pytest.fixture(autouse=True, scope="module")
def read_once() -> Any:
    """The package reads its 1 MB of definitions again for each object; once is enough."""
    patch = pytest.MonkeyPatch()
    patch.setattr(kubernetes_schemas, "schema_contents", cache(kubernetes_schemas.schema_contents))
    yield
    patch.undo()


@cache
def check_builtin(text: str, version: str) -> None:
    kubernetes_validate.validate(json.loads(text), version, strict=True)


def check_custom(manifest: Manifest) -> None:
    text = (SCHEMAS / f"{manifest['kind'].lower()}.yaml").read_text()
    jsonschema.Draft202012Validator(yaml.safe_load(text)).validate(manifest)


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_builtin_kinds_are_valid(overlay: str, version: str) -> None:
    builtin = [m for m in render(overlay) if m["kind"] not in CUSTOM]
    assert len(builtin) > 15
    for manifest in builtin:
        check_builtin(json.dumps(manifest, sort_keys=True), version)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_custom_kinds_are_valid(overlay: str) -> None:
    for manifest in of_kind(overlay, *CUSTOM):
        check_custom(manifest)


def test_a_typing_error_is_found() -> None:
    deployment = json.loads(json.dumps(of_kind("cpu-demo", "Deployment")[0]))
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    container["livenesProbe"] = container.pop("livenessProbe")
    with pytest.raises(kubernetes_validate.ValidationError, match="livenesProbe"):
        kubernetes_validate.validate(deployment, NEWEST, strict=True)


def test_a_typing_error_in_a_custom_kind_is_found() -> None:
    scaled = json.loads(json.dumps(of_kind("gpu-keda", "ScaledObject")[0]))
    scaled["spec"]["maxReplicas"] = scaled["spec"].pop("maxReplicaCount")
    with pytest.raises(jsonschema.ValidationError, match="maxReplicas"):
        check_custom(scaled)


def test_the_demo_needs_nothing_but_a_cluster() -> None:
    assert not of_kind("cpu-demo", *CUSTOM)


def test_every_custom_kind_is_used() -> None:
    assert {m["kind"] for m in of_kind("gpu-keda", *CUSTOM)} == CUSTOM
