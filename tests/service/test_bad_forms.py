"""Bad multipart forms, each over HTTP: status, code, field, advice."""

from typing import Any

import httpx
import pytest

from tests.service.test_bad_input import RED, SECRET, refused

FORMS: dict[str, tuple[dict[str, str], list[tuple[str, Any]], str | None]] = {
    "no question": ({}, [("images", ("a", RED))], "/question"),
    "empty question": ({"question": ""}, [("images", ("a", RED))], "/question"),
    "no image": ({"question": "?"}, [("params", (None, "{}"))], "/images"),
    "field of its own": (
        {"question": "?", "budget": "0.2"}, [("images", ("a", RED))], "/budget",
    ),
    "hostile name": (
        {"question": "?", f"<{SECRET}>": "0.2"}, [("images", ("a", RED))], None,
    ),
    "params that are no JSON": (
        {"question": "?", "params": f"{{{SECRET}"}, [("images", ("a", RED))], None,
    ),
    "bad budget in params": (
        {"question": "?", "params": '{"pruning": {"budget": 0}}'},
        [("images", ("a", RED))],
        "/pruning/budget",
    ),
    "question in params": (
        {"question": "?", "params": '{"question": "x"}'}, [("images", ("a", RED))], "/question",
    ),
    "question as a file": (
        {}, [("images", ("a", RED)), ("question", ("q.txt", b"?"))], "/question",
    ),
    "question twice": (
        {}, [("images", ("a", RED)), ("question", (None, "?")), ("question", (None, "!"))],
        "/question",
    ),
    "image as text": ({"question": "?"}, [("images", (None, "text"))], "/images/0"),
}  # fmt: skip


@pytest.mark.parametrize("name", list(FORMS))
def test_bad_forms_are_refused_by_field(http: httpx.Client, name: str) -> None:
    data, files, field = FORMS[name]
    refused(http.post("/v1/ask", data=data, files=files), 422, "bad_request", field)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"--b",
        b"--b\r\n\r\n\r\n--b--",
        b"--c\r\nContent-Disposition: form-data; name=x\r\n\r\n1\r\n--c--\r\n",
        b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--\r\n",
        b"--b\r\nContent-Disposition: attachment; name=images; filename=x\r\n",
        b"\x00" * 1000,
    ],
)
def test_broken_multipart_is_refused(http: httpx.Client, raw: bytes) -> None:
    kind = {"content-type": "multipart/form-data; boundary=b"}
    reply = http.post("/v1/ask", content=raw, headers=kind)
    assert reply.status_code == 422, reply.text
    assert reply.json()["code"] == "bad_request"


def test_multipart_without_boundary_is_refused(http: httpx.Client) -> None:
    kind = {"content-type": "multipart/form-data"}
    refused(http.post("/v1/ask", content=b"x", headers=kind), 422, "bad_request", None)
