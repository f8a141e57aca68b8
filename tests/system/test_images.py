"""The two images as they are built: what is inside, who runs, and how large they are."""

import re
from pathlib import Path

import pytest

from tests.system.containers import BASES, IMAGES, ROOT, docker, inspect, need_docker

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
EACH = pytest.mark.parametrize("name", IMAGES)
MOST_SERVICE_BYTES = 250_000_000
# Pinned nowhere, since only a Python older than 3.11.3 asks for it (redis-py's own marker).
UNPINNED = {"async-timeout", "myopia-service"}


@pytest.fixture(autouse=True, scope="module")
def images() -> None:
    need_docker()


def python(image: str, code: str, *, check: bool = True) -> str:
    done = docker("run", "--rm", "--entrypoint", "python", image, "-c", code, check=check)
    return done.stdout + ("" if check else done.stderr)


def test_the_gateway_has_no_torch() -> None:
    text = python(IMAGES["service"], "import torch", check=False)
    assert "No module named 'torch'" in text
    for name in ("transformers", "myopia", "pocket", "worker"):
        assert f"No module named '{name}'" in python(
            IMAGES["service"], f"import {name}", check=False
        )


def test_the_worker_has_no_fastapi() -> None:
    for name in ("fastapi", "uvicorn", "service"):
        assert f"No module named '{name}'" in python(
            IMAGES["worker"], f"import {name}", check=False
        )


def test_the_gateway_is_small() -> None:
    added = inspect(IMAGES["service"], "image")["Size"] - inspect(BASES[0], "image")["Size"]
    print(f"gateway: {added / 1e6:.0f} MB beyond its base")
    assert added < MOST_SERVICE_BYTES


@EACH
def test_everything_inside_is_pinned(name: str) -> None:
    code = (
        "from importlib.metadata import distributions as d\n"
        "print(*(f'{p.name}=={p.version}' for p in d()), sep='\\n')"
    )
    pins = dict(
        re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    )
    wanted = {k.lower().replace("_", "-"): v for k, v in pins.items()}
    seen = 0
    for line in python(IMAGES[name], code).split():
        package, version = line.split("==")
        key = package.lower().replace("_", "-").replace(".", "-")
        if key in UNPINNED:
            continue
        assert version.split("+")[0] == wanted[key].split("+")[0], line
        seen += 1
    assert seen > 30


@EACH
def test_nobody_special_runs_and_signals_arrive(name: str) -> None:
    config = inspect(IMAGES[name], "image")["Config"]
    assert config["User"] == "10001:10001"
    assert config["Entrypoint"] == ["python", "-m", name]
    assert config["StopSignal"] == "SIGTERM"
    assert config["Healthcheck"]["Test"][:3] == ["CMD", "python", "/app/probe.py"]
    assert config["Labels"]["org.opencontainers.image.title"] == f"myopia-{name}"


@EACH
def test_code_cannot_be_changed_by_who_runs_it(name: str) -> None:
    code = "import os; print(os.getuid(), [p for p in ('/app', '/opt/venv') if os.access(p, 2)])"
    assert python(IMAGES[name], code).strip() == "10001 []"


@EACH
def test_no_source_of_others_and_no_secrets_come_along(name: str) -> None:
    code = "import os; print(*sorted(os.listdir('/app')))"
    found = set(python(IMAGES[name], code).split())
    rooms = {"service": {"service"}, "worker": {"worker", "myopia", "pocket", "fetch_model.py"}}
    assert found - {"__pycache__"} == rooms[name] | {"wire", "probe.py"}


def test_the_worker_is_offline() -> None:
    code = "import huggingface_hub.constants as c; print(c.HF_HUB_OFFLINE)"
    assert python(IMAGES["worker"], code).strip() == "True"


@EACH
def test_every_module_was_compiled(name: str) -> None:
    """The root is read-only at run time: what is not compiled is compiled at every start."""
    code = (
        "from pathlib import Path\n"
        "print(*(p for p in Path('/app').rglob('*.py')"
        " if not list((p.parent / '__pycache__').glob(p.stem + '.*.pyc'))))"
    )
    assert python(IMAGES[name], code).strip() == ""


@pytest.mark.parametrize(
    ("name", "setting", "code"),
    [
        ("service", "MYOPIA_PORT=eighty", 2),
        ("service", "MYOPIA_REDIS_URL=http://redis", 2),
        ("worker", "MYOPIA_MODEL=", 2),
        ("worker", "MYOPIA_POOL=prefork", 2),
        ("worker", "MYOPIA_REDIS_URL=redis://127.0.0.1:1/0", 3),
    ],
)
def test_a_container_refuses_and_names_the_setting(name: str, setting: str, code: int) -> None:
    words = ["run", "--rm", "--read-only", "--tmpfs", "/tmp", "-e", setting, IMAGES[name]]
    done = docker(*words, check=False)
    assert done.returncode == code, done.stderr
    assert setting.split("=", maxsplit=1)[0] in done.stderr


def test_a_new_model_volume_may_be_filled(tmp_path: Path) -> None:
    """By uid 10001, since an empty volume takes over the owner of the image's folder."""
    volume = f"myopia-models-{tmp_path.name}"
    words = ["run", "--rm", "--read-only", "-v", f"{volume}:/models", "--entrypoint", "python"]
    try:
        docker(*words, IMAGES["worker"], "-c", "open('/models/x', 'w').close()")
    finally:
        docker("volume", "rm", volume)
