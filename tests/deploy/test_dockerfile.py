"""The Dockerfile as text: stages, rights, locks. Building it is tests/system/test_images.py."""

import json
import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "Dockerfile").read_text()
LINES = re.sub(r"\\\n\s*", " ", TEXT).splitlines()
# In this order a builder that knows no skipping makes the gateway without torch.
STAGES = ("build", "runtime", "build-service", "service", "build-worker", "worker")
EACH_IMAGE = pytest.mark.parametrize("image", ["service", "worker"])
ROOMS = {"service": {"service", "wire"}, "worker": {"worker", "wire", "myopia", "pocket"}}


def stage(name: str) -> list[str]:
    """Instructions of one stage."""
    starts = [i for i, line in enumerate(LINES) if line.startswith("FROM ")]
    (start,) = [i for i in starts if LINES[i].endswith(f" AS {name}")]
    end = min((i for i in starts if i > start), default=len(LINES))
    return [line for line in LINES[start:end] if line and not line.startswith("#")]


def instruction(name: str, word: str) -> str:
    (found,) = [line for line in stage(name) if line.startswith(f"{word} ")]
    return found


def test_stages() -> None:
    assert tuple(re.findall(r"^FROM .* AS (\S+)$", TEXT, re.MULTILINE)) == STAGES
    bases = re.findall(r"^FROM (\S+) ", TEXT, re.MULTILINE)
    assert set(bases) == {"${PYTHON_IMAGE}", "build", "runtime"}


def test_the_base_has_a_version() -> None:
    (base,) = re.findall(r"^ARG PYTHON_IMAGE=(\S+)$", TEXT, re.MULTILINE)
    assert re.fullmatch(r"python:3\.\d+-slim(-\w+)?", base)


def test_whoever_runs_is_nobody_special() -> None:
    assert instruction("runtime", "USER") == "USER 10001:10001"
    assert not [line for line in stage("service") if line.startswith(("USER", "RUN"))]
    users = [line for line in stage("worker") if line.startswith("USER")]
    assert users == ["USER root", "USER 10001:10001"]


def test_a_compiler_comes_along_with_cuda_alone() -> None:
    """Triton needs one at run time; a CPU worker has no use for it."""
    (line,) = [line for line in stage("worker") if line.startswith("RUN")]
    assert line.startswith('RUN if [ "$ACCELERATOR" = cuda ]; then')
    assert "ARG ACCELERATOR=cpu" in stage("worker")
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    for name in ("worker-gpu", "model-fetch"):
        assert compose[name]["build"]["args"]["ACCELERATOR"] == "cuda"
    assert any("exec" in mount for mount in compose["worker-gpu"]["tmpfs"])


@EACH_IMAGE
def test_signals_reach_the_process(image: str) -> None:
    words = json.loads(instruction(image, "ENTRYPOINT").removeprefix("ENTRYPOINT "))
    assert words == ["python", "-m", image]
    assert instruction("runtime", "STOPSIGNAL") == "STOPSIGNAL SIGTERM"


@EACH_IMAGE
def test_health_is_asked_without_curl(image: str) -> None:
    check = instruction(image, "HEALTHCHECK")
    command = json.loads(check.split(" CMD ", 1)[1])
    assert command[:2] == ["python", "/app/probe.py"]
    port = instruction(image, "EXPOSE").split()[1]
    assert command[3] == port
    assert any(f"{command[2]}={port}" in line for line in stage(image))


@EACH_IMAGE
def test_an_image_holds_its_rooms_and_no_other(image: str) -> None:
    copied = {
        word
        for line in stage(f"build-{image}")
        if line.startswith("COPY ")
        for word in line.split()[1:-1]
        if "/" not in word
    }
    assert copied == ROOMS[image]


def test_dependencies_are_locked() -> None:
    assert "PIP_CONSTRAINT=/src/constraints.txt" in TEXT
    for line in LINES:
        if " install " in line and "pip" in line:
            (wanted,) = re.findall(r"(?:'\.\[(?:service|worker),tracing,s3\]'| torch)(?=;|$)", line)
            assert wanted
    pins = (ROOT / "constraints.txt").read_text().split()
    assert any(pin.startswith("torch==") for pin in pins)


def test_torch_comes_from_an_index_that_shadows_nothing_else() -> None:
    (line,) = [
        line for line in stage("build-worker") if "TORCH_INDEX_URL" in line and "RUN" in line
    ]
    assert re.search(r'install --no-deps\s+--index-url "\$TORCH_INDEX_URL" torch;', line)
    assert "--extra-index-url" not in TEXT
    assert "ARG TORCH_INDEX_URL=https://download.pytorch.org/whl/cpu" in LINES


def test_images_stay_offline_unless_told() -> None:
    environment = " ".join(line for line in stage("runtime") if line.startswith("ENV "))
    assert "HF_HUB_OFFLINE=1" in environment
    assert "PYTHONDONTWRITEBYTECODE=1" in environment


def test_labels_and_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f"ARG VERSION={version}" in LINES
    for label in ("title", "description"):
        for image in ("service", "worker"):
            assert f"org.opencontainers.image.{label}=" in " ".join(stage(image))
    for label in ("licenses", "version", "revision", "created", "vendor"):
        assert f"org.opencontainers.image.{label}=" in " ".join(stage("runtime"))
    for file in ("docker-compose.yml", "k8s/base/gateway.yaml", "k8s/base/worker.yaml"):
        tags = re.findall(r"myopia-(?:service|worker):([\d.]+)", (ROOT / file).read_text())
        assert set(tags) == {version}, file


def test_the_context_is_a_list_of_what_may_enter() -> None:
    rules = [
        line
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line and not line.startswith("#")
    ]
    assert rules[0] == "*"
    entering = {rule[1:] for rule in rules if rule.startswith("!")}
    needed = ROOMS["service"] | ROOMS["worker"] | {"constraints.txt", "pyproject.toml"}
    assert entering == needed | {"deploy/probe.py", "deploy/fetch_model.py"}
    for path in entering:
        assert (ROOT / path).exists()
