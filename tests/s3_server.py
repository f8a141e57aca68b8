"""A real S3 server (moto's) in a process of its own, which checks keys and signatures.

`S3Server` can be stopped, started and frozen; what is in it is lost when it stops. The fixture
`s3_server` is one per test session, with a bucket; `bucket` is that bucket emptied.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import BotoCoreError, ClientError

from tests.redis_server import free_port

START_SECONDS = 60.0
BUCKET = "pictures"
SILENCE_SECONDS = 2.5
ALL = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}'


class S3Server:
    """One server process, its administrator's keys, and its one bucket."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.access_key = self.secret_key = ""
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start with a user who may do everything; nobody else may do anything."""
        # The first four calls go unchecked: the user, his rights, his keys, the bucket.
        environment = {**os.environ, "INITIAL_NO_AUTH_ACTION_COUNT": "4"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        iam = self._client("iam", "any", "any")
        until = time.monotonic() + START_SECONDS
        while True:
            try:
                iam.create_user(UserName="myopia")
                break
            except (BotoCoreError, ClientError):
                if time.monotonic() > until:
                    raise
                time.sleep(0.1)
        iam.put_user_policy(UserName="myopia", PolicyName="all", PolicyDocument=ALL)
        key = iam.create_access_key(UserName="myopia")["AccessKey"]
        self.access_key, self.secret_key = key["AccessKeyId"], key["SecretAccessKey"]
        self.client.create_bucket(Bucket=BUCKET)

    def _client(self, service: str, key: str, secret: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id=key,
            aws_secret_access_key=secret,
        )

    @property
    def client(self) -> Any:
        return self._client("s3", self.access_key, self.secret_key)

    def settings(self, folder: str = "") -> dict[str, str]:
        """Fields of `WireSettings` that lead here; a crowded machine is no dead server."""
        return {
            "s3_silence_seconds": str(SILENCE_SECONDS),
            "picture_url": f"s3://{BUCKET}{folder}",
            "s3_endpoint_url": self.url,
            "s3_access_key": self.access_key,
            "s3_secret_key": self.secret_key,
        }

    def environment(self) -> dict[str, str]:
        return {f"MYOPIA_{name.upper()}": value for name, value in self.settings().items()}

    def names(self) -> list[str]:
        """Keys of all objects."""
        found = self.client.list_objects_v2(Bucket=BUCKET).get("Contents", [])
        return [one["Key"] for one in found]

    def empty(self) -> None:
        for name in self.names():
            self.client.delete_object(Bucket=BUCKET, Key=name)

    def send(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    server = S3Server()
    server.start()
    yield server
    server.kill()


@pytest.fixture
def bucket(s3_server: S3Server) -> S3Server:
    s3_server.empty()
    return s3_server
