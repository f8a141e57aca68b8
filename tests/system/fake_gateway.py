"""A scripted gateway for tests of the page alone: the real page and OpenAPI, answers by recipe.

What a real stack reaches only by luck or in minutes is set here in a line: a place in line, a key
that is wanted, a full queue, a stream that breaks.
"""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from PIL import Image

from service import page
from service.app import create_app
from service.settings import Settings

GRID = 8


@dataclass
class Script:
    """What the next asks get."""

    answer: str = "2"
    token_seconds: float = 0.0
    wait_seconds: float = 0.0
    line: tuple[tuple[int, float], ...] = ()  # places in line and seconds expected, one a moment
    key: str | None = None
    problem: dict[str, Any] | None = None
    ready: dict[str, Any] | None = None  # None: ready; else the problem that /readyz answers
    break_once: bool = False
    cache: str = "miss"
    asked: list[dict[str, Any]] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)
    pictures: dict[str, tuple[bytes, str]] = field(default_factory=dict)


def problem(status: int, code: str, detail: str, **more: Any) -> JSONResponse:
    body = {"title": code, "status": status, "code": code, "detail": detail, **more}
    return JSONResponse(body, status, media_type="application/problem+json")


def explain_of(images: int, budget: float, gamma: float, layers: int = 4) -> dict[str, Any]:
    """An explanation of the real shape: the first `budget` of a spiral round the middle stays."""
    groups = [f"layers {2 * at + 1}–{2 * at + 2}" for at in range(layers // 2)]
    said = []
    for image in range(images):
        before = (images - image) ** 2
        after = before * gamma ** (2 * image / max(1, images - 1))
        said.append((before, after))
    sums = [sum(column) for column in zip(*said, strict=True)]

    def grid(image: int, shift: int) -> list[list[float]]:
        middle = (GRID - 1) / 2 + shift * 0.6, (GRID - 1) / 2 - image * 0.5
        far = sorted(
            ((row - middle[0]) ** 2 + (column - middle[1]) ** 2, row, column)
            for row in range(GRID)
            for column in range(GRID)
        )
        held = {(row, column) for _, row, column in far[: round(budget * GRID * GRID)]}
        return [[float((r, c) in held) for c in range(GRID)] for r in range(GRID)]

    def part(image: int, shift: int) -> dict[str, Any]:
        return {
            "kept": budget * GRID * GRID,
            "before": said[image][0] / sums[0],
            "after": said[image][1] / sums[1],
            "grid": grid(image, shift),
            "bins": [] if budget == 1 else [9, 14],
        }

    return {
        "groups": [{"label": label} for label in ("All layers", *groups)],
        "images": [
            {"tokens": GRID * GRID, "groups": [part(image, at) for at in range(len(groups) + 1)]}
            for image in range(images)
        ],
    }


def done(body: dict[str, Any], answer: str) -> dict[str, Any]:
    pruning = body.get("pruning", {})
    budget = 1.0 if pruning.get("policy") == "full" else pruning.get("budget", 0.2)
    choice = {"budget": 0.1, "why": "enough here"} if budget == "auto" else None
    budget = 0.1 if choice else budget
    images = len(body["images"])
    tokens = GRID * GRID * images
    return {
        "id": "ask_fake0001",
        "model": "scripted",
        "answer": answer,
        "finish_reason": "stop",
        "usage": {
            "prompt_tokens": tokens + 14,
            "text_tokens": 14,
            "image_tokens": tokens,
            "kept_tokens": tokens * budget,
            "bin_tokens": 0 if budget == 1 else 4,
            "completion_tokens": max(1, len(answer.split())),
            "kv_bytes": int(tokens * budget * 2048),
            "kv_bytes_full": tokens * 2048,
            "budget_effective": budget,
        },
        "cache": {"result": "miss", "features": 0, "prefill": "none"},
        "timings": {
            "queue_ms": 3,
            "vision_ms": 12,
            "prefill_ms": 20,
            "prune_ms": 1.5,
            "first_token_ms": 41,
            "decode_ms": 55,
            "total_ms": 96,
        },
        "warnings": [],
        "budget_choice": choice,
        "explain": explain_of(images, budget, pruning.get("gamma", 1))
        if body.get("explain")
        else None,
    }


def fake(script: Script) -> FastAPI:  # noqa: PLR0915 - one route after another
    app = FastAPI()
    app.include_router(page.router)
    document = create_app(Settings()).openapi()
    app.openapi = lambda: document  # type: ignore[method-assign]

    def locked(request: Request) -> Response | None:
        wanted = script.key and f"Bearer {script.key}"
        if wanted and request.headers.get("authorization") != wanted:
            return problem(401, "unauthorized", "A key is needed.")
        return None

    @app.get("/readyz")
    async def readyz() -> Response:
        if script.ready:
            return problem(503, "unavailable", **script.ready)
        return JSONResponse({"status": "ready"})

    @app.get("/v1/models")
    async def models() -> Response:
        return JSONResponse({"object": "list", "data": [{"id": "scripted"}]})

    @app.post("/v1/images")
    async def put(request: Request) -> Response:
        if refused := locked(request):
            return refused
        form = await request.form()
        upload: Any = form["image"]
        data = await upload.read()
        try:
            size = Image.open(BytesIO(data)).size
        except OSError:
            detail = "Picture 0: this is not a picture that can be read; send PNG or JPEG."
            return problem(422, "bad_image", detail, image_index=0)
        name = f"sha256:{hashlib.sha256(data).hexdigest()}"
        script.pictures[name] = (data, upload.content_type)
        told = {"id": name, "width": size[0], "height": size[1], "bytes": len(data), "tokens": 64}
        return JSONResponse(told, 201)

    @app.get("/v1/images/{name}")
    async def get(name: str) -> Response:
        if name not in script.pictures:
            return problem(404, "not_found", "No such picture.")
        data, kind = script.pictures[name]
        return Response(data, media_type=kind)

    @app.post("/v1/estimate")
    async def estimate(request: Request) -> Response:
        if refused := locked(request):
            return refused
        body = await request.json()
        tokens = 64 * len(body["images"])
        sizes = {str(budget): int(tokens * budget * 2048) for budget in (0.1, 0.2, 0.5, 1.0)}
        told = {"image_tokens": tokens, "text_tokens": 14, "fits": tokens < 4000, "kv_bytes": sizes}
        return JSONResponse({**told, "expected_wait_seconds": 2.5})

    @app.delete("/v1/asks/{ask_id}")
    async def cancel(ask_id: str) -> Response:
        script.cancelled.append(ask_id)
        return Response(status_code=202)

    @app.get("/v1/asks/{ask_id}/events")
    async def again(request: Request) -> Response:
        after = int(request.headers.get("last-event-id", "0"))
        return stream(script.asked[-1], after)

    @app.post("/v1/ask")
    async def ask(request: Request) -> Response:
        if refused := locked(request):
            return refused
        body = await body_of(request)
        script.asked.append(body)
        if script.problem:
            told = dict(script.problem)
            return problem(told.pop("status"), told.pop("code"), told.pop("detail"), **told)
        return stream(body, 0)

    def stream(body: dict[str, Any], after: int) -> Response:
        headers = {"X-Ask-Id": "ask_fake0001"}
        return StreamingResponse(events(body, after), 200, headers, "text/event-stream")

    async def events(body: dict[str, Any], after: int) -> AsyncIterator[str]:
        yield ": ping\n\n"
        for position, seconds in script.line:
            told = {"status": "queued", "position": position, "expected_wait_seconds": seconds}
            yield f"event: progress\nid: 0\ndata: {json.dumps(told)}\n\n"
            await asyncio.sleep(script.wait_seconds / len(script.line))
        words = script.answer.split(" ")
        for at, word in enumerate(words, 1):
            await asyncio.sleep(script.token_seconds)
            if at <= after:
                continue
            if script.break_once and at == 2:
                script.break_once = False
                return
            text = word if at == 1 else f" {word}"
            yield f"event: token\nid: {at}\ndata: {json.dumps({'text': text})}\n\n"
        answer = done(body, script.answer)
        answer["cache"]["result"] = script.cache
        ending = json.dumps(answer)
        yield f"event: done\nid: {len(words) + 1}\ndata: {ending}\n\n"

    return app


async def body_of(request: Request) -> dict[str, Any]:
    """The ask as a JSON body would have it, from JSON or from a form."""
    if request.headers["content-type"].startswith("application/json"):
        return dict(await request.json())
    form = await request.form()
    params = json.loads(str(form.get("params", "{}")))
    names = [{"file": getattr(upload, "filename", "")} for upload in form.getlist("images")]
    return {"question": form["question"], "images": names, **params}
