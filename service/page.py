"""Serves the page where one asks and sees what was kept: `/`, and its files under `/web/`.

Files come from a list made of the folder, so no path of a request ever reaches the disk. Nothing
here knows asks or pictures: the page speaks to the same routes as everybody.
"""

import functools
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.exceptions import HTTPException

FOLDER = Path(__file__).with_name("web")
MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".jpg": "image/jpeg",
}
# Nothing but our own files, our own routes and pictures that the page itself made: a text that
# somebody smuggles into an answer or a file name cannot become a script, a style or a request.
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob: data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Cache-Control": "no-cache",
}
# The schemas whose fields the page offers as knobs; their help is OpenAPI's.
OFFERED = ("AskBody", "Pruning", "Generation")


@dataclass(frozen=True, slots=True)
class Page:
    """One file of the page: its bytes, its media type and the hash that names its version."""

    body: bytes
    media_type: str
    etag: str


@functools.cache
def pages() -> dict[str, Page]:
    """Every file under `web/` by its path there, read once."""
    found = {}
    for path in sorted(FOLDER.rglob("*")):
        if path.is_file() and path.suffix in MEDIA_TYPES:
            body = path.read_bytes()
            name = path.relative_to(FOLDER).as_posix()
            found[name] = Page(body, MEDIA_TYPES[path.suffix], etag_of(body))
    return found


def etag_of(body: bytes) -> str:
    """The entity tag of these bytes, quotes included."""
    return f'"{hashlib.sha256(body).hexdigest()[:20]}"'


def answer(request: Request, page: Page) -> Response:
    """The file, or 304 where the browser holds this version already."""
    headers = {**HEADERS, "ETag": page.etag}
    known = request.headers.get("if-none-match", "")
    if page.etag in (tag.strip().removeprefix("W/") for tag in known.split(",")):
        return Response(status_code=304, headers=headers)
    body = b"" if request.method == "HEAD" else page.body
    headers["Content-Length"] = str(len(page.body))
    return Response(body, headers=headers, media_type=page.media_type)


def knobs(openapi: dict[str, Any]) -> dict[str, Any]:
    """The part of the OpenAPI document that the page draws its knobs from."""
    schemas = openapi["components"]["schemas"]
    return {
        "paths": sorted(openapi["paths"]),
        "schemas": {name: schemas[name] for name in OFFERED if name in schemas},
    }


router = APIRouter(include_in_schema=False)


@router.api_route("/", methods=["GET", "HEAD"])
async def index(request: Request) -> Response:
    """The page."""
    return answer(request, pages()["index.html"])


@router.get("/web/knobs.json")
async def knobs_json(request: Request) -> Response:
    """Names, bounds, defaults and help of what an asker may choose, and which routes there are."""
    body = json.dumps(knobs(request.app.openapi()), separators=(",", ":")).encode()
    return answer(request, Page(body, "application/json", etag_of(body)))


@router.api_route("/web/{name:path}", methods=["GET", "HEAD"])
async def file(request: Request, name: str) -> Response:
    """One file of the page."""
    page = pages().get(name)
    if page is None:
        raise HTTPException(404)
    return answer(request, page)
