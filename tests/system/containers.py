"""Docker for tests, as the machine has it: found, or the test is skipped with the reason.

    MYOPIA_TEST_BUILD_ARGS   extra words for every `docker build`, e.g. "--network host"
    MYOPIA_TEST_PREBUILT     set: take the images as they are instead of building them

Nothing here knows what runs in a container.
"""

import json
import os
import shlex
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
VERSION = "0.1.0"
IMAGES = {name: f"myopia-{name}:{VERSION}" for name in ("service", "worker")}
BASES = ("python:3.11-slim", "redis:7")
BUILD_SECONDS = 1500
PULL_SECONDS = 300


def docker(
    *words: str, check: bool = True, seconds: float = 120
) -> subprocess.CompletedProcess[str]:
    """Run one docker command; its standard error is part of a failure."""
    done = subprocess.run(
        ["docker", *words], capture_output=True, text=True, check=False, timeout=seconds
    )
    assert not check or done.returncode == 0, f"docker {shlex.join(words)}\n{done.stderr[-4000:]}"
    return done


def inspect(name: str, kind: str = "container") -> dict[str, Any]:
    """What Docker knows about a container, image or volume."""
    found: list[dict[str, Any]] = json.loads(docker(kind, "inspect", name).stdout)
    return found[0]


@cache
def why_not() -> str | None:
    """Why nothing can run here; None when it can."""
    if shutil.which("docker") is None:
        return "docker is not installed"
    if docker("info", check=False, seconds=30).returncode != 0:
        return "the docker daemon does not answer"
    for image in BASES:
        if docker("image", "inspect", image, check=False).returncode == 0:
            continue
        if docker("pull", "-q", image, check=False, seconds=PULL_SECONDS).returncode != 0:
            return f"the base image {image} is neither here nor to be had"
    return None


@cache
def compose_command() -> tuple[str, ...] | None:
    """Compose as this machine has it: the plugin, or the older program."""
    if shutil.which("docker") and docker("compose", "version", check=False).returncode == 0:
        return ("docker", "compose")
    return ("docker-compose",) if shutil.which("docker-compose") else None


@cache
def build() -> None:
    """Build both images once for the whole run."""
    if os.environ.get("MYOPIA_TEST_PREBUILT"):
        return
    extra = shlex.split(os.environ.get("MYOPIA_TEST_BUILD_ARGS", ""))
    for target, tag in IMAGES.items():
        words = ["build", *extra, "--target", target, "-t", tag, str(ROOT)]
        docker(*words, seconds=BUILD_SECONDS)


def need_docker() -> None:
    """Skip where containers cannot run; build our images where they can."""
    reason = why_not()
    if reason:
        pytest.skip(reason)
    build()


def need_compose() -> tuple[str, ...]:
    """The compose command, or a skip."""
    need_docker()
    command = compose_command()
    if command is None:
        pytest.skip("neither `docker compose` nor docker-compose is installed")
    return command


@cache
def redis_user() -> str:
    """uid:gid of the user `redis` in the image, which owns its data folder."""
    words = ["run", "--rm", "--entrypoint", "sh", BASES[1], "-c", "id -u redis; id -g redis"]
    return ":".join(docker(*words).stdout.split())
