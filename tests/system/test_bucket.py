"""The whole service with its pictures in a bucket: real gateway, worker, Redis and S3 processes."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from service.settings import Settings
from tests.redis_server import RedisServer, redis_server
from tests.s3_server import SILENCE_SECONDS, S3Server, bucket, s3_server
from tests.service.gateway import listening
from tests.system.asking import ask, picture
from tests.worker.fake_engine import expected_answer
from tests.worker.processes import ROOT, WorkerProcess

__all__ = ["bucket", "redis_server", "s3_server"]
WORKER = "tests.worker.fake_main"
SOON_SECONDS = SILENCE_SECONDS + 2.5  # what is not the bucket's silence is a crowded machine


@pytest.fixture(scope="module")
def settings(redis_server: RedisServer, s3_server: S3Server) -> Settings:
    return Settings.model_validate(
        {"redis_url": SecretStr(redis_server.url), "fleet_fresh_seconds": 0, **s3_server.settings()}
    )


@pytest.fixture(scope="module")
def address(settings: Settings) -> Iterator[str]:
    with listening(settings) as url:
        yield url


@pytest.fixture(scope="module")
def worker(
    settings: Settings, s3_server: S3Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[WorkerProcess]:
    folder = tmp_path_factory.mktemp("worker")
    process = WorkerProcess(settings, folder, **s3_server.environment()).start()
    process.until_ready()
    yield process
    process.kill()


@pytest.fixture
def service(address: str, worker: WorkerProcess, bucket: S3Server) -> str:
    return address


def test_an_ask_is_answered_from_pictures_in_the_bucket(
    service: str, bucket: S3Server, redis_server: RedisServer
) -> None:
    pictures = [picture(colour) for colour in ("red", "green", "blue")]
    answer = ask(service, pictures, "first")
    assert answer.status_code == 200, answer.text
    assert answer.json()["answer"] == expected_answer("first")
    assert len(bucket.names()) == 3
    with redis_server.client as client:
        marks = list(client.scan_iter("myopia:kept:*"))
        assert sorted(client.mget(marks)) == ["", "", ""]
        assert not list(client.scan_iter("myopia:picture:*"))
    # asked again about the same: nothing is put a second time
    bucket.client.delete_object(Bucket="pictures", Key=(gone := bucket.names()[0]))
    answer = ask(service, pictures, "second")
    assert answer.status_code == 422
    assert answer.json()["code"] == "bad_image"
    # and once it was missed, it is: the asker only has to send it again
    assert ask(service, pictures, "third").status_code == 200
    assert gone in bucket.names()


def test_a_stored_picture_comes_back_and_may_be_named(service: str) -> None:
    data = picture("purple")
    stored = httpx.post(f"{service}/v1/images", content=data, headers={"Content-Type": "image/png"})
    assert stored.status_code == 201, stored.text
    name = stored.json()["id"]
    assert httpx.get(f"{service}/v1/images/{name}").content == data
    body = {"question": "named", "images": [{"id": name}]}
    answer = httpx.post(f"{service}/v1/ask", json=body, timeout=60)
    assert answer.status_code == 200, answer.text


def test_a_bucket_that_hangs_is_503_at_the_door(service: str, bucket: S3Server) -> None:
    bucket.send(signal.SIGSTOP)
    try:
        began = time.monotonic()
        answer = ask(service, [picture("orange")], "hanging")
        took = time.monotonic() - began
    finally:
        bucket.send(signal.SIGCONT)
    assert answer.status_code == 503
    assert answer.json()["code"] == "unavailable"
    assert "retry-after" in answer.headers
    assert took < SOON_SECONDS
    assert ask(service, [picture("orange")], "hanging").status_code == 200


def test_a_worker_waits_for_the_bucket_and_the_ask_is_answered(
    service: str, bucket: S3Server
) -> None:
    stored = httpx.post(
        f"{service}/v1/images", content=picture("yellow"), headers={"Content-Type": "image/png"}
    )
    body = {"question": "patience", "images": [{"id": stored.json()["id"]}]}
    bucket.send(signal.SIGSTOP)
    threading.Timer(4.0, bucket.send, [signal.SIGCONT]).start()
    began = time.monotonic()
    answer = httpx.post(f"{service}/v1/ask", json=body, timeout=60)
    assert answer.status_code == 200, answer.text
    assert answer.json()["answer"] == expected_answer("patience")
    assert time.monotonic() - began > 3.9, "the bucket was not needed: the test shows nothing"


def test_a_deadline_ends_the_waiting(service: str, bucket: S3Server) -> None:
    stored = httpx.post(
        f"{service}/v1/images", content=picture("brown"), headers={"Content-Type": "image/png"}
    )
    body = {"question": "late", "images": [{"id": stored.json()["id"]}], "timeout_seconds": 2}
    bucket.send(signal.SIGSTOP)
    try:
        answer = httpx.post(f"{service}/v1/ask", json=body, timeout=60)
    finally:
        bucket.send(signal.SIGCONT)
    assert answer.status_code == 504
    assert answer.json()["code"] == "expired"


@pytest.mark.parametrize(
    ("module", "name", "value"),
    [
        ("service", "MYOPIA_PICTURE_URL", "s3://nowhere"),
        ("service", "MYOPIA_S3_SECRET_KEY", "not-this-one"),
        (WORKER, "MYOPIA_PICTURE_URL", "s3://nowhere"),
    ],
)
def test_a_wrong_bucket_or_key_is_refused_at_once(
    module: str, name: str, value: str, redis_server: RedisServer, s3_server: S3Server
) -> None:
    clean = {k: v for k, v in os.environ.items() if not k.startswith("MYOPIA_")}
    wrong = {**s3_server.environment(), name: value, "MYOPIA_REDIS_URL": redis_server.url}
    done = subprocess.run(
        [sys.executable, "-m", module],
        cwd=Path(ROOT),
        env={**clean, **wrong},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert name in done.stderr
    assert "not-this-one" not in done.stderr
