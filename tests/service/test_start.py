"""What a gateway refuses to start with, and the words that it refuses with."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from pydantic import SecretStr

from launch.redis import free_port
from service.__main__ import STORE_WAIT_SECONDS, Refusal, check_store
from service.settings import Settings
from tests.redis_server import RedisServer

ROOT = Path(__file__).parents[2]


PATIENCE_SECONDS = 1.0
IMPATIENT = f"""
import sys
from service import __main__ as service
service.STORE_WAIT_SECONDS = {PATIENCE_SECONDS}
sys.exit(service.main())
"""


def start(*command: str, **settings: str) -> tuple[int, str, float]:
    """Exit code, words and seconds of `python -m service` that is expected to refuse."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("MYOPIA_")}
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, *(command or ("-m", "service"))],
        cwd=ROOT,
        env=clean | {"MYOPIA_PORT": str(free_port())} | settings,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stderr, time.monotonic() - began


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MYOPIA_PORT", "eighty"),
        ("MYOPIA_REDIS_URL", "http://127.0.0.1"),
        ("MYOPIA_API_KEYS_FILE", "/nowhere/keys.json"),
    ],
)
def test_a_wrong_setting_is_named(name: str, value: str) -> None:
    code, words, _ = start(**{name: value})
    assert code == 2
    assert name in words


def test_a_file_that_holds_no_keys_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    file.write_text("not json")
    code, words, _ = start(MYOPIA_API_KEYS_FILE=str(file))
    assert code == 2
    assert "python -m service.keys" in words
    assert "not json" not in words


def test_a_wrong_password_is_refused_at_once(redis_server: RedisServer) -> None:
    wrong = redis_server.url.replace("test-password", "hush")
    code, words, _ = start(MYOPIA_REDIS_URL=wrong)
    assert code == 2
    assert "MYOPIA_REDIS_URL: Redis refuses its user or password" in words
    assert "hush" not in words
    began = time.monotonic()
    with pytest.raises(Refusal):
        check_store(Settings(redis_url=SecretStr(wrong)))
    assert time.monotonic() - began < STORE_WAIT_SECONDS / 2


def test_a_redis_that_is_not_there_is_named_and_its_password_is_not() -> None:
    nowhere = f"redis://:hush@127.0.0.1:{free_port()}/0"
    code, words, took = start("-c", IMPATIENT, MYOPIA_REDIS_URL=nowhere)
    assert code == 3
    assert "MYOPIA_REDIS_URL" in words
    assert "hush" not in words
    assert PATIENCE_SECONDS < took < PATIENCE_SECONDS + 20  # the rest is for starting
    assert STORE_WAIT_SECONDS <= 10


def test_what_lives_as_long_as_the_process_is_not_collected_again(
    redis_server: RedisServer,
) -> None:
    """To collect all that was imported takes tens of milliseconds, in which nothing moves."""
    script = """
import gc, sys
from service import __main__ as service
service.uvicorn.run = lambda *_, **__: print(gc.get_freeze_count(), file=sys.stderr)
sys.exit(service.main())
"""
    code, words, _ = start("-c", script, MYOPIA_REDIS_URL=redis_server.url)
    assert code == 0
    assert int(words.split()[-1]) > 50_000
