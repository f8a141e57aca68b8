"""The compose file as text: rights, limits, graces, ports and roles. No Docker is needed."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.settings_names import settings_names

ROOT = Path(__file__).parents[2]
FILE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = FILE["services"]
OURS = ("gateway", "worker", "worker-gpu", "model-fetch")
EACH = pytest.mark.parametrize("name", SERVICES)
MARGIN_SECONDS = 10
UNITS = {"s": 1, "m": 60}


def default(value: Any) -> str:
    """What compose puts where nothing is set: `${NAME:-this}`."""
    return re.sub(r"\$\{\w+:?-([^}]*)\}", r"\1", str(value))


def seconds(duration: str) -> int:
    found = re.fullmatch(r"(\d+)([sm])", duration)
    assert found
    return int(found[1]) * UNITS[found[2]]


def option(name: str, flag: str) -> str:
    words = SERVICES[name]["command"]
    return default(words[words.index(f"--{flag}") + 1])


def test_profiles() -> None:
    found = {name: tuple(s.get("profiles", ())) for name, s in SERVICES.items()}
    assert found == {
        "redis": (),
        "redis-cache": (),
        "gateway": (),
        "worker": (),
        "worker-gpu": ("gpu",),
        "model-fetch": ("gpu",),
        "prometheus": ("observability",),
        "grafana": ("observability",),
    }


@EACH
def test_few_rights(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["init"] is True
    assert not {"privileged", "cap_add", "network_mode", "pid"} & set(service)
    user, group = default(service["user"]).split(":")
    assert int(user) > 0
    assert group.isdigit()


@EACH
def test_limits(name: str) -> None:
    service = SERVICES[name]
    assert {"mem_limit", "pids_limit"} <= set(service)
    if not name.startswith("redis"):
        assert "cpus" in service


@EACH
def test_health_and_restarts(name: str) -> None:
    service = SERVICES[name]
    if name == "model-fetch":
        assert service["restart"] == "no"
    else:
        assert service["restart"] == "unless-stopped"
        assert service["healthcheck"]["test"][0] in {"CMD", "CMD-SHELL"}
        assert "curl" not in str(service["healthcheck"])


@pytest.mark.parametrize("name", OURS)
def test_we_run_as_10001(name: str) -> None:
    assert SERVICES[name]["user"] == "10001:10001"


def test_images_are_named_by_version() -> None:
    for name, service in SERVICES.items():
        tag = default(service["image"]).rpartition(":")[2]
        assert re.match(r"v?\d", tag), name


def test_graces_exceed_the_longest_ask() -> None:
    longest = float(default(SERVICES["gateway"]["environment"]["MYOPIA_MAX_TIMEOUT_SECONDS"]))
    for name, setting in (
        ("gateway", "MYOPIA_DRAIN_SECONDS"),
        ("worker", "MYOPIA_GRACE_SECONDS"),
        ("worker-gpu", "MYOPIA_GRACE_SECONDS"),
    ):
        drain = float(default(SERVICES[name]["environment"][setting]))
        assert drain > longest
        assert seconds(SERVICES[name]["stop_grace_period"]) >= drain + MARGIN_SECONDS


def test_only_the_loopback_address_is_published() -> None:
    published = {name: s["ports"] for name, s in SERVICES.items() if "ports" in s}
    assert set(published) == {"gateway", "grafana"}
    for (port,) in published.values():
        assert default(port).startswith("127.0.0.1:")


def test_redis_and_workers_reach_nothing_outside() -> None:
    assert FILE["networks"]["back"] == {"internal": True}
    for name in ("redis", "redis-cache", "worker", "worker-gpu"):
        assert SERVICES[name]["networks"] == ["back"]
    assert SERVICES["model-fetch"]["networks"] == ["front"]


def test_redis_has_two_roles() -> None:
    assert option("redis", "maxmemory-policy") == "noeviction"
    assert option("redis", "appendonly") == "yes"
    assert SERVICES["redis"]["volumes"] == ["redis:/data"]
    assert option("redis-cache", "maxmemory-policy") == "allkeys-lru"
    assert "volumes" not in SERVICES["redis-cache"]
    for name in ("gateway", "worker", "worker-gpu"):
        environment = SERVICES[name]["environment"]
        assert default(environment["MYOPIA_REDIS_URL"]) == "redis://:@redis:6379/0"
        assert default(environment["MYOPIA_REDIS_CACHE_URL"]) == "redis://:@redis-cache:6379/0"


def test_redis_is_allowed_more_than_its_data() -> None:
    """Rewriting the append-only file copies pages: the limit must leave room."""
    sizes = {"mb": 1, "gb": 1024, "m": 1, "g": 1024}

    def mebibytes(size: str) -> int:
        found = re.fullmatch(r"(\d+)(\w+)", size)
        assert found
        return int(found[1]) * sizes[found[2]]

    for name in ("redis", "redis-cache"):
        limit = mebibytes(default(SERVICES[name]["mem_limit"]))
        assert limit >= 1.5 * mebibytes(option(name, "maxmemory"))


def test_our_settings_exist() -> None:
    known = settings_names() | {"OMP_NUM_THREADS", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"}
    for name in OURS:
        assert set(SERVICES[name]["environment"]) <= known, name


def test_one_queue_serves_one_model() -> None:
    """The GPU's variables send the CPU worker away; without them the GPU worker refuses."""
    lines = (ROOT / "deploy" / "gpu.env").read_text().splitlines()
    chosen = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    assert chosen["MYOPIA_CPU_WORKERS"] == "0"
    assert SERVICES["worker"]["scale"] == "${MYOPIA_CPU_WORKERS:-1}"
    assert default(SERVICES["worker-gpu"]["environment"]["MYOPIA_MODEL"]) == ""
    assert SERVICES["worker-gpu"]["environment"]["MYOPIA_DEVICE"] == "cuda"


def test_the_gpu_is_asked_for_in_the_way_that_every_compose_knows() -> None:
    (device,) = SERVICES["worker-gpu"]["deploy"]["resources"]["reservations"]["devices"]
    assert device == {"driver": "nvidia", "count": 1, "capabilities": ["gpu"]}


def test_only_the_fetching_service_goes_online() -> None:
    for name in OURS:
        online = SERVICES[name]["environment"].get("HF_HUB_OFFLINE") == "0"
        assert online == (name == "model-fetch")


def test_mounted_files_exist() -> None:
    for service in SERVICES.values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("."):
                assert (ROOT / source).exists(), source
            else:
                assert source in FILE["volumes"]
