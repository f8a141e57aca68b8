"""OpenAPI as a client sees it: names, examples, statuses; schemathesis and a generated client."""

import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.app import create_app
from service.settings import Settings
from tests.redis_server import RedisServer
from tests.service.conftest import settings_for
from tests.service.gateway import listening
from tests.service.responder import Responder, responding

BIN = Path(sys.executable).parent
NOT_CHECKED = (
    # No keys are configured in this run; test_keys walks every route without one.
    "ignored_auth",
    # Whether base64 is a picture and a header's words mean something is no matter of schema.
    "positive_data_acceptance",
    "negative_data_rejection",
    "missing_required_header",
    # `QUERY` and `TRACE` are answered 405, which this check wants documented on each route.
    "unsupported_method",
)


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return create_app(Settings()).openapi()


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def test_operations_have_names_of_their_own(document: dict[str, Any]) -> None:
    names = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(names) == len(set(names)) == 18
    assert all(name.isidentifier() for name in names)


def test_every_route_says_how_it_fails(document: dict[str, Any]) -> None:
    for path, method, operation in operations(document):
        if path.startswith("/v1/"):
            failures = [status for status in operation["responses"] if status >= "400"]
            assert {"401", "403", "503"} <= set(failures), (path, method)
            for status in failures:
                content = operation["responses"][status]["content"]
                assert set(content) <= {"application/problem+json", "application/json"}


def test_every_json_body_has_an_example(document: dict[str, Any]) -> None:
    for path, _, operation in operations(document):
        content = operation.get("requestBody", {}).get("content", {})
        if "application/json" in content:
            assert "example" in content["application/json"], path


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]

    def walk(node: object) -> None:
        if isinstance(node, dict):
            if "$ref" in node:
                assert node["$ref"].removeprefix("#/components/schemas/") in schemas
            for child in node.values():
                walk(child)
        elif isinstance(node, list):
            for child in node:
                walk(child)

    walk(document)


def test_methods_of_a_path_are_all_named(http: httpx.Client) -> None:
    reply = http.put("/v1/asks/ask_12345678")
    assert (reply.status_code, reply.headers["allow"]) == (405, "DELETE, GET")


@pytest.fixture
def served(redis_server: RedisServer) -> Iterator[tuple[str, Responder]]:
    redis_server.wipe()
    settings = settings_for(redis_server, default_timeout_seconds=2, max_timeout_seconds=5)
    with listening(settings) as url, responding(settings) as responder:
        yield url, responder


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_schemathesis_finds_nothing(served: tuple[str, Responder], tmp_path: Path) -> None:
    url, responder = served
    words = [
        str(BIN / "schemathesis"), "run", f"{url}/openapi.json", "--checks", "all",
        "--exclude-checks", ",".join(NOT_CHECKED), "--phases", "examples,coverage,fuzzing",
        "--max-examples", "25", "--workers", "1", "--request-timeout", "10", "--seed", "1",
    ]  # fmt: skip
    run = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout[-6000:]
    assert responder.ledger.counters().imbalance == 0


@pytest.mark.slow
def test_generated_client_asks_and_reads(
    served: tuple[str, Responder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, _ = served
    words = [
        str(BIN / "openapi-python-client"), "generate", "--url", f"{url}/openapi.json",
        "--meta", "none", "--output-path", str(tmp_path / "made_client"),
    ]  # fmt: skip
    path = {"PATH": f"{BIN}:/usr/bin:/bin"}
    subprocess.run(words, check=True, capture_output=True, env=path)
    monkeypatch.syspath_prepend(str(tmp_path))
    made = importlib.import_module("made_client")
    models = importlib.import_module("made_client.models")
    ask = importlib.import_module("made_client.api.asks.ask")
    get_ask = importlib.import_module("made_client.api.asks.get_ask")
    document = httpx.get(f"{url}/openapi.json").json()
    content = document["paths"]["/v1/ask"]["post"]["requestBody"]["content"]
    body = models.AskBody.from_dict(content["application/json"]["example"])
    with made.Client(base_url=url, raise_on_unexpected_status=True) as client:
        answer = ask.sync(client=client, body=body)
        assert answer.answer.startswith("2 ")
        assert answer.usage.kept_tokens == 6
        state = get_ask.sync(answer.id, client=client)
        assert (state.status, state.answer.answer) == ("done", answer.answer)
        problem = ask.sync(
            client=client,
            body=models.AskBody.from_dict({"question": " ", "images": [{"data": "x"}]}),
        )
        assert (problem.status, problem.code) == (422, "bad_image")
