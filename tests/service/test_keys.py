"""Keys: who is let in where, what one tenant learns of another, and how often one may ask."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.routing import iter_route_contexts

from service.app import create_app
from service.keys import Keys, digest, main, make
from service.settings import Settings
from tests.redis_server import RedisServer
from tests.service.conftest import settings_for
from tests.service.gateway import listening
from tests.service.responder import Responder, responding
from tests.service.test_ask import RED, body

PUBLIC = {
    "/livez", "/readyz", "/health", "/metrics", "/docs", "/docs/oauth2-redirect", "/redoc",
    "/openapi.json", "/problems/{code}", "/", "/web/knobs.json", "/web/{name:path}",
}  # fmt: skip
"""Every route that needs no key; a new one must be added here on purpose."""


@pytest.fixture(scope="module")
def key_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keys") / "keys.json"


@pytest.fixture(scope="module")
def secrets(key_file: Path) -> dict[str, str]:
    return {
        "ann": make(key_file, {"name": "ann"}),
        "bob": make(key_file, {"name": "bob"}),
        "reader": make(key_file, {"name": "reader", "tenant": "ann", "scopes": ("read",)}),
        "slow": make(key_file, {"name": "slow", "asks_per_minute": 60, "burst": 2}),
        "few": make(key_file, {"name": "few", "max_open_asks": 1}),
    }


@pytest.fixture(scope="module")
def guarded_url(
    redis_server: RedisServer, key_file: Path, secrets: dict[str, str]
) -> Iterator[str]:
    with listening(settings_for(redis_server, api_keys_file=key_file)) as url:
        yield url


@pytest.fixture
def guarded(guarded_url: str, redis_server: RedisServer) -> Iterator[httpx.Client]:
    redis_server.wipe()
    with httpx.Client(base_url=guarded_url, timeout=10) as client:
        yield client


@pytest.fixture
def worker(guarded: httpx.Client, redis_server: RedisServer) -> Iterator[Responder]:
    with responding(settings_for(redis_server)) as running:
        yield running


def by(secret: str) -> dict[str, str]:
    return {"authorization": f"Bearer {secret}"}


def test_every_route_needs_a_key_but_those_on_the_list(guarded: httpx.Client) -> None:
    app = create_app(Settings())
    seen = set()
    for context in iter_route_contexts(app.routes):
        path = context.path
        seen.add(path)
        for method in getattr(context, "methods", None) or ["GET"]:
            url = path.replace("{ask_id}", "ask_12345678").replace(
                "{image_id}", "sha256:" + "0" * 64
            )
            status = guarded.request(method, url).status_code
            assert (status == 401) == (path not in PUBLIC), (method, path, status)
    assert seen >= PUBLIC - {"/redoc"}
    assert "/v1/ask" in seen


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Bearer nope"},
        {"authorization": "Basic YTpi"},
        {"authorization": "Bearer"},
        {"x-api-key": ""},
        {b"x-api-key": b"\xc3\xa9"},
        {"authorization": "Bearer " + "0" * 64},
    ],
)
def test_strangers_are_kept_out(guarded: httpx.Client, headers: dict[Any, Any]) -> None:
    reply = guarded.post("/v1/ask", json=body(), headers=headers)
    assert (reply.status_code, reply.json()["code"]) == (401, "unauthorized")
    assert reply.headers["www-authenticate"] == "Bearer"
    assert "key" in reply.json()["detail"]


@pytest.mark.parametrize("host", ["a/?x=", "localhost/livez", "x/docs?", "[::1]"])
def test_no_trick_with_host_or_path_lets_in(guarded: httpx.Client, host: str) -> None:
    for path in (
        "/v1/ask",
        "/livez/../v1/ask",
        "//v1/ask",
        "/v1/ask/",
        "/v1/ask;/livez",
        "/V1/ASK",
    ):
        reply = guarded.post(path, json=body(), headers={"host": host})
        assert reply.status_code in (400, 401, 404, 405), (path, reply.status_code)


def test_both_headers_let_in(
    guarded: httpx.Client, worker: Responder, secrets: dict[str, str]
) -> None:
    for headers in (by(secrets["ann"]), {"x-api-key": secrets["ann"]}):
        assert guarded.post("/v1/ask", json=body(), headers=headers).status_code == 200


def test_the_hash_of_a_key_is_not_a_key(guarded: httpx.Client, secrets: dict[str, str]) -> None:
    reply = guarded.post("/v1/ask", json=body(), headers=by(digest(secrets["ann"])))
    assert reply.status_code == 401


def test_scope_is_needed(guarded: httpx.Client, secrets: dict[str, str]) -> None:
    headers = by(secrets["reader"])
    assert guarded.get("/v1/asks", headers=headers).status_code == 200
    for reply in (
        guarded.post("/v1/ask", json=body(), headers=headers),
        guarded.post("/v1/images", content=RED, headers=headers),
        guarded.post("/v1/estimate", json=body(), headers=headers),
        guarded.delete("/v1/asks/ask_12345678", headers=headers),
    ):
        assert (reply.status_code, reply.json()["code"]) == (403, "forbidden")


def test_tenants_do_not_see_each_other(
    guarded: httpx.Client, worker: Responder, secrets: dict[str, str]
) -> None:
    ann, bob = by(secrets["ann"]), by(secrets["bob"])
    first = guarded.post("/v1/ask", json=body(RED), headers=ann).json()
    place = f"/v1/asks/{first['id']}"
    assert guarded.get(place, headers=ann).json()["status"] == "done"
    assert guarded.get(place, headers=by(secrets["reader"])).status_code == 200
    for reply in (
        guarded.get(place, headers=bob),
        guarded.get(f"{place}/events", headers=bob),
        guarded.delete(place, headers=bob),
    ):
        assert reply.status_code == 404
    assert guarded.get("/v1/asks", headers=bob).json()["data"] == []
    name = "sha256:" + hashlib.sha256(RED).hexdigest()
    assert guarded.get(f"/v1/images/{name}", headers=ann).content == RED
    assert guarded.get(f"/v1/images/{name}", headers=bob).status_code == 404
    stolen = {"question": "Which?", "images": [{"id": name}]}
    assert guarded.post("/v1/ask", json=stolen, headers=bob).status_code == 422
    # No hit across tenants: its speed would tell what the other asked.
    again = guarded.post("/v1/ask", json=body(RED), headers=bob).json()
    assert again["cache"]["result"] == "miss"


def test_idempotency_keys_do_not_meet(
    guarded: httpx.Client, worker: Responder, secrets: dict[str, str]
) -> None:
    same = {"idempotency-key": "k"}
    one = guarded.post("/v1/ask", json=body(), headers=by(secrets["ann"]) | same)
    other = guarded.post("/v1/ask", json=body(question="?"), headers=by(secrets["bob"]) | same)
    assert (one.status_code, other.status_code) == (200, 200)


def test_pace_is_kept_and_says_when_to_come_again(
    guarded: httpx.Client, worker: Responder, secrets: dict[str, str]
) -> None:
    replies = [guarded.post("/v1/ask", json=body(), headers=by(secrets["slow"])) for _ in range(3)]
    assert [reply.status_code for reply in replies] == [200, 200, 429]
    assert replies[2].json()["code"] == "rate_limited"
    assert int(replies[2].headers["retry-after"]) >= 1
    assert guarded.get("/v1/asks", headers=by(secrets["slow"])).status_code == 200
    assert guarded.post("/v1/ask", json=body(), headers=by(secrets["ann"])).status_code == 200


def test_open_asks_of_a_key_are_limited(guarded: httpx.Client, secrets: dict[str, str]) -> None:
    later = by(secrets["few"]) | {"prefer": "respond-async"}
    first = guarded.post("/v1/ask", json=body(question="1?"), headers=later)
    second = guarded.post("/v1/ask", json=body(question="2?"), headers=later)
    assert (first.status_code, second.status_code) == (202, 429)
    guarded.delete(first.headers["location"], headers=by(secrets["few"]))
    assert guarded.post("/v1/ask", json=body(question="2?"), headers=later).status_code == 202


def test_file_holds_no_key_and_is_private(key_file: Path, secrets: dict[str, str]) -> None:
    text = key_file.read_text()
    assert not any(secret in text for secret in secrets.values())
    assert key_file.stat().st_mode & 0o077 == 0


def test_command_makes_a_key_that_is_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "keys.json"
    assert main(["team", "--file", str(path), "--scope", "ask", "--asks-per-minute", "30"]) == 0
    found = Keys(path).find(capsys.readouterr().out.strip())
    assert found is not None
    assert (found.owner, found.scopes, found.asks_per_minute) == ("team", ("ask",), 30)


@pytest.mark.parametrize("text", ["", "[]", '{"keys": [{"name": "a", "sha256": "x"}]}'])
def test_unreadable_file_lets_nobody_in(tmp_path: Path, text: str) -> None:
    path = tmp_path / "keys.json"
    path.write_text(text)
    assert Keys(path).find("anything") is None
    assert Keys(tmp_path / "missing").find("anything") is None


def test_revoked_key_is_refused_without_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.keys.LOOK_AGAIN_SECONDS", 0)
    path = tmp_path / "keys.json"
    secret = make(path, {"name": "a"})
    keys = Keys(path)
    assert keys.find(secret) is not None
    path.write_text(json.dumps({"keys": []}))
    assert keys.find(secret) is None
