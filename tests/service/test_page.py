"""The page's files: headers, versions, weight, and knobs that say what OpenAPI says."""

import json
import re
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from service import page
from service.app import create_app
from service.settings import Settings
from wire.pruning import Generation, Pruning

MOST_BYTES = 200_000
EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def client() -> TestClient:
    return TestClient(create_app(Settings()))


def test_the_page_is_locked_to_its_own_host(client: TestClient) -> None:
    answer = client.get("/")
    assert answer.status_code == 200
    policy = dict(
        part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; ")
    )
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["form-action"] == policy["base-uri"] == "'none'"
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize("name", sorted(page.pages()))
def test_every_file_is_served_as_what_it_is(client: TestClient, name: str) -> None:
    answer = client.get(f"/web/{name}")
    assert answer.status_code == 200
    assert answer.content == (page.FOLDER / name).read_bytes()
    assert answer.headers["content-type"] == page.MEDIA_TYPES[Path(name).suffix]
    assert "content-security-policy" in answer.headers


def test_a_known_version_is_not_sent_again(client: TestClient) -> None:
    first = client.get("/web/app.js")
    again = client.get("/web/app.js", headers={"If-None-Match": first.headers["etag"]})
    assert again.status_code == 304
    assert again.content == b""
    assert client.get("/web/app.js", headers={"If-None-Match": '"other"'}).status_code == 200


def test_head_tells_the_length_and_sends_nothing(client: TestClient) -> None:
    answer = client.head("/")
    assert answer.content == b""
    assert int(answer.headers["content-length"]) == len(page.pages()["index.html"].body)


@pytest.mark.parametrize(
    "path", ["/web/", "/web/none.js", "/web/../page.py", "/web/%2e%2e/page.py", "/web//etc/passwd"]
)
def test_nothing_else_can_be_reached(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


def test_knobs_carry_the_help_of_the_wire(client: TestClient) -> None:
    told = client.get("/web/knobs.json").json()
    document = client.get("/openapi.json").json()
    assert told["paths"] == sorted(document["paths"])
    for model in (Pruning, Generation):
        offered = told["schemas"][model.__name__]["properties"]
        assert {name: field.description for name, field in model.model_fields.items()} == {
            name: field["description"] for name, field in offered.items()
        }


def test_no_file_names_another_host_or_carries_inline_code() -> None:
    for name, file in page.pages().items():
        if name.endswith((".png", ".jpg")):
            continue
        text = file.body.decode()
        addresses = set(re.findall(r"https?://[\w.-]+", text)) - {"http://www.w3.org"}
        assert not addresses, name
        if name.endswith(".html"):
            assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*src=)", text), name
        if name.endswith(".js"):
            forbidden = r"innerHTML|insertAdjacentHTML|document\.write|eval\(|new Function"
            assert not re.search(forbidden, text), name


def test_modules_can_be_read_in_one_sitting() -> None:
    for name, file in page.pages().items():
        if name.endswith(".js"):
            lines = file.body.decode().splitlines()
            assert lines[0].startswith("// "), f"{name} does not say what it is"
            assert len(lines) <= 200, f"{name} has {len(lines)} lines"


def test_the_examples_are_those_of_the_readme() -> None:
    offered = json.loads(page.pages()["examples/index.json"].body)
    assert offered
    for example in offered:
        for name in example["files"]:
            assert page.pages()[f"examples/{name}"].body == (EXAMPLES / name).read_bytes()


def test_the_first_view_is_light() -> None:
    first = [file for name, file in page.pages().items() if not name.startswith("examples/")]
    assert sum(len(file.body) for file in first) < MOST_BYTES
