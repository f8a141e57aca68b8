"""The house holds: who may import whom, what a process may load, and how long a file may be."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("service", "wire", "worker", "myopia", "pocket", "bench", "launch")

# Every arrow of the house, and no other: room -> rooms it may import.
ARROWS = {
    "service": {"wire"},
    "wire": set[str](),
    "worker": {"wire", "myopia", "pocket"},
    "myopia": set[str](),
    "pocket": {"myopia"},
    "bench": set(ROOMS),
    "launch": set[str](),
}

# What must not be in a process that has imported every module of a room.
FORBIDDEN = {
    "service": {"torch", "transformers", "celery.worker", "myopia", "worker", "pocket"},
    "wire": {"torch", "transformers", "fastapi", "PIL", "celery.worker"},
    "worker": {"fastapi", "service", "uvicorn"},
    "myopia": {"fastapi", "celery", "redis", "pydantic_settings", "wire", "pocket"},
    "pocket": {"fastapi", "celery", "redis", "wire"},
}

# Allowed only behind these files: Celery stays named in few places.
CELERY_FILES = {
    "wire/broker.py",
    "wire/postcard.py",  # the form of a message, see decision 0093
    "wire/queue.py",
    "worker/task.py",
    "worker/main.py",
    "worker/__main__.py",
    "worker/logs.py",
    "bench/load/celery_floor.py",  # what the service is measured against
}

# One process each: what an earlier room loads, the later one does itself, so nothing is hidden.
TOGETHER = [["wire", "worker"], ["service"], ["myopia", "pocket"]]

IMPORT_ALL = """
import importlib, json, pkgutil, sys
loaded = {}
for name in sys.argv[1:]:
    room = importlib.import_module(name)
    for module in pkgutil.walk_packages(room.__path__, room.__name__ + "."):
        if module.name.endswith("__main__"):
            continue
        try:
            importlib.import_module(module.name)
        except ModuleNotFoundError as missing:
            if missing.name != "triton":  # comes with CUDA builds of torch alone
                raise
    loaded[name] = list(sys.modules)
print(json.dumps(loaded))
"""


def python_files(room: str) -> list[Path]:
    return sorted((ROOT / room).rglob("*.py"))


def imports_of(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
    return names


@pytest.mark.parametrize("room", ROOMS)
def test_arrows(room: str) -> None:
    allowed = ARROWS[room] | {room}
    for path in python_files(room):
        rooms = {name.split(".")[0] for name in imports_of(path)} & {*ROOMS, "tests"}
        assert rooms <= allowed, f"{path.relative_to(ROOT)} imports {sorted(rooms - allowed)}"


@pytest.mark.parametrize("rooms", TOGETHER, ids=" ".join)
def test_processes_stay_clean(rooms: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL, *rooms],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    loaded = json.loads(done.stdout.splitlines()[-1])
    for room in rooms:
        assert room in loaded[room]
        assert not set(loaded[room]) & FORBIDDEN[room], room


def test_every_room_that_forbids_is_looked_at() -> None:
    assert sorted(room for rooms in TOGETHER for room in rooms) == sorted(FORBIDDEN)


def test_celery_is_named_in_few_files() -> None:
    naming = {
        str(path.relative_to(ROOT))
        for room in ROOMS
        for path in python_files(room)
        if {name.split(".")[0] for name in imports_of(path)} & {"celery", "kombu"}
    }
    assert naming, "the check looks at nothing"
    assert naming <= CELERY_FILES


@pytest.mark.parametrize("room", ROOMS)
def test_files_can_be_read_in_one_sitting(room: str) -> None:
    files = python_files(room)
    assert files
    for path in files:
        lines = path.read_text().splitlines()
        assert len(lines) <= 300, f"{path.relative_to(ROOT)} has {len(lines)} lines"
        vague = {"utils", "common", "core", "helpers", "util", "helper"}
        assert path.stem not in vague, f"{path.relative_to(ROOT)}: say what is in it"
        assert ast.get_docstring(ast.parse(path.read_text())), f"{path} has no docstring"


def test_broad_excepts_stand_where_they_may() -> None:
    allowed = {"worker/task.py", "worker/runner.py"}
    found: set[str] = set()
    for room in ("service", "wire", "worker", "myopia", "pocket"):
        for path in python_files(room):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.ExceptHandler) and (
                    node.type is None
                    or (
                        isinstance(node.type, ast.Name)
                        and node.type.id in {"Exception", "BaseException"}
                    )
                ):
                    found.add(str(path.relative_to(ROOT)))
    assert found <= allowed, f"except Exception in {sorted(found - allowed)}"
