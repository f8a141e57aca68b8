"""Pictures in a bucket, as deployed: the compose override and the Kubernetes component."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from tests.deploy.manifests import ROOT, kustomize
from tests.deploy.settings_names import settings_names

BUCKET = {
    "MYOPIA_PICTURE_URL",
    "MYOPIA_S3_ENDPOINT_URL",
    "MYOPIA_S3_REGION",
    "MYOPIA_S3_ACCESS_KEY",
    "MYOPIA_S3_SECRET_KEY",
}
OVERRIDE: dict[str, Any] = yaml.safe_load((ROOT / "deploy" / "bucket.yml").read_text())
LINES = (ROOT / "deploy" / "bucket.env").read_text().splitlines()
CHOSEN = dict(line.split("=", 1) for line in LINES if line and not line.startswith("#"))


def test_both_sides_get_the_same_settings_and_all_exist() -> None:
    assert settings_names() >= BUCKET
    assert set(CHOSEN) == BUCKET
    assert set(OVERRIDE["services"]) == {"gateway", "worker", "worker-gpu"}
    for service in OVERRIDE["services"].values():
        assert set(service["environment"]) == BUCKET


def test_no_key_is_committed() -> None:
    assert CHOSEN["MYOPIA_S3_ACCESS_KEY"] == CHOSEN["MYOPIA_S3_SECRET_KEY"] == ""


@pytest.mark.skipif(shutil.which("docker-compose") is None, reason="no docker-compose here")
def test_compose_merges_it() -> None:
    command = ["docker-compose", "-f", "docker-compose.yml", "-f", "deploy/bucket.yml"]
    told = ["--env-file", "deploy/bucket.env", "config"]
    done = subprocess.run([*command, *told], cwd=ROOT, capture_output=True, text=True, check=True)
    services = yaml.safe_load(done.stdout)["services"]
    for name in ("gateway", "worker"):
        environment = services[name]["environment"]
        assert environment["MYOPIA_PICTURE_URL"] == "s3://pictures/myopia"
        assert environment["MYOPIA_REDIS_URL"] == "redis://:@redis:6379/0"
        assert set(services[name]["networks"]) == {"front", "back"}
    unnamed = subprocess.run(
        [*command, "config"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert unnamed.returncode != 0
    assert "MYOPIA_PICTURE_URL" in unnamed.stderr


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """`cpu-demo` with the component, as docs/deploy.md says."""
    command = kustomize()
    if command is None:
        pytest.skip("neither kubectl nor kustomize is installed")
    folder = tmp_path_factory.mktemp("mine")
    away = os.path.relpath(ROOT / "k8s", folder)
    (folder / "kustomization.yaml").write_text(
        f"""
namespace: myopia
resources: [{away}/overlays/cpu-demo]
components: [{away}/components/bucket]
configMapGenerator:
  - name: settings
    behavior: merge
    literals: [MYOPIA_PICTURE_URL=s3://my-bucket/myopia]
"""
    )
    done = subprocess.run([*command, str(folder)], capture_output=True, text=True, check=True)
    return list(yaml.safe_load_all(done.stdout))


@pytest.mark.parametrize("name", ["gateway", "worker"])
def test_pods_get_the_bucket_and_its_keys(rendered: list[dict[str, Any]], name: str) -> None:
    (pod,) = [m for m in rendered if m["kind"] == "Deployment" and m["metadata"]["name"] == name]
    kubernetes_validate.validate(json.loads(json.dumps(pod)), "1.31", strict=True)
    (container,) = pod["spec"]["template"]["spec"]["containers"]
    keys = {
        one["name"]: one["valueFrom"]["secretKeyRef"]
        for one in container["env"]
        if one["name"] in BUCKET
    }
    assert keys == {
        "MYOPIA_S3_ACCESS_KEY": {"name": "myopia-s3", "key": "access-key", "optional": True},
        "MYOPIA_S3_SECRET_KEY": {"name": "myopia-s3", "key": "secret-key", "optional": True},
    }
    (chosen,) = [one["configMapRef"]["name"] for one in container["envFrom"]]
    (settings,) = [m for m in rendered if m["metadata"]["name"] == chosen]
    assert settings["data"]["MYOPIA_PICTURE_URL"] == "s3://my-bucket/myopia"


def test_the_way_to_the_bucket_is_the_only_one_opened(rendered: list[dict[str, Any]]) -> None:
    (policy,) = [m for m in rendered if m["metadata"]["name"] == "to-bucket"]
    kubernetes_validate.validate(policy, "1.31", strict=True)
    assert policy["spec"]["policyTypes"] == ["Egress"]
    (rule,) = policy["spec"]["egress"]
    assert rule == {"to": [{"namespaceSelector": {"matchLabels": {"myopia/bucket": "allowed"}}}]}


def test_both_images_have_the_client() -> None:
    text = (Path(ROOT) / "Dockerfile").read_text()
    assert "install '.[service,tracing,s3]'" in text
    assert "install '.[worker,tracing,s3]'" in text
