"""Every exception that a request can end in, turned into a problem.

Closes two gaps of FastAPI: a validation error would echo the whole input, and a body whose
declared length is too large would be answered as plain text without asking any handler.
"""

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import iter_route_contexts
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

from service import openai_errors
from service.problems import Problem
from wire.codes import Code
from wire.errors import AskLost, StoreUnavailable

MOST_ERRORS = 20
KNOWN_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
WISH = re.compile(r"^(Input|String|Tuple|List|Value) should")
HUNG_UP = 499  # nginx's number for an asker who left; only our own metrics ever see it.
STATUS_CODES: dict[int, Code] = {
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    413: "too_large",
    415: "unsupported_media_type",
}
HTTP_DETAILS: dict[Code, str] = {
    "not_found": "No such route; /docs lists those that there are.",
    "method_not_allowed": "This route does not take that method; see the header `Allow`.",
    "too_large": "The body is larger than this service takes; send smaller or fewer pictures.",
    "unsupported_media_type": "Send application/json or multipart/form-data.",
    "bad_request": "The body cannot be read as its content type says.",
}

log = structlog.get_logger(__name__)


def pointer(location: Iterable[str | int]) -> str:
    """A JSON pointer of a place in the body; a name that is not a plain word is left out."""
    parts = []
    for part in location:
        if isinstance(part, str) and not KNOWN_NAME.fullmatch(part):
            break
        parts.append(str(part))
    return "".join(f"/{part}" for part in parts)


def advice(error: Mapping[str, Any]) -> str:
    """One sentence that says what to change; never the value that was sent."""
    kind = error["type"]
    if kind == "missing":
        return "This field is required; add it."
    if kind == "extra_forbidden":
        return "This field is not known here; remove it or correct its name (see /docs)."
    if kind == "json_invalid":
        return "The JSON is not well formed; send one JSON object in UTF-8."
    text = str(error["msg"]).removeprefix("Value error, ")
    text = WISH.sub("This must", text)
    return text if text.endswith(".") else f"{text}."


def from_validation(errors: Iterable[Any], prefix: tuple[str | int, ...] = ()) -> Problem:
    """The problem of a body, query or header that does not fit its schema."""
    found = []
    for error in list(errors)[:MOST_ERRORS]:
        place = [part for part in error["loc"] if part not in ("body", "query", "path", "header")]
        if error["type"] == "json_invalid":
            place = []
        found.append({"field": pointer([*prefix, *place]), "detail": advice(error)})
    first = found[0]
    return Problem(
        "bad_request",
        f"{first['field'] or 'The body'}: {first['detail']}",
        field=first["field"] or None,
        errors=tuple(found),
    )


def told(path: str, problem: Problem) -> Response:
    """The problem as the dialect of this path has it."""
    if openai_errors.is_theirs(path):
        return openai_errors.respond(problem)
    return problem.response()


async def on_validation(request: Request, error: Exception) -> Response:
    """Answer a schema error of FastAPI."""
    assert isinstance(error, RequestValidationError)
    return told(request.url.path, from_validation(error.errors()))


async def on_problem(request: Request, error: Exception) -> Response:
    """Answer a problem that the service raised itself."""
    assert isinstance(error, Problem)
    return told(request.url.path, error)


async def on_http(request: Request, error: Exception) -> Response:
    """Answer what Starlette raises: unknown route, method, body limit."""
    assert isinstance(error, HTTPException)
    code = STATUS_CODES.get(error.status_code, "bad_request")
    headers = {"Allow": ", ".join(allowed(request))} if code == "method_not_allowed" else None
    problem = Problem(code, HTTP_DETAILS.get(code, "Refused."), headers=headers)
    return told(request.url.path, problem)


def allowed(request: Request) -> list[str]:
    """Every method of this path; Starlette names those of one route only."""
    methods: set[str] = set()
    for route in iter_route_contexts(request.app.routes):
        pattern = getattr(route, "path_regex", None)
        if pattern is not None and pattern.match(request.scope["path"]):
            methods |= set(getattr(route, "methods", None) or ())
    return sorted(methods)


async def on_store(request: Request, error: Exception) -> Response:
    """Answer while Redis is away: never a 500, never a hang."""
    log.warning("store away", cause=type(error).__name__)
    detail = "The store of asks does not answer; nothing was accepted. Try again shortly."
    return told(request.url.path, Problem("unavailable", detail))


async def on_lost(request: Request, error: Exception) -> Response:
    """Answer for an ask that was accepted and whose record is gone."""
    assert isinstance(error, AskLost)
    detail = "The store has no record of this ask any more; send it again."
    return told(request.url.path, Problem("store_lost", detail, ask_id=error.ask_id))


async def on_hang_up(_: Request, __: Exception) -> Response:
    """Answer nobody: the asker left while the body was being read."""
    return Response(status_code=HUNG_UP)


async def on_anything(request: Request, error: Exception) -> Response:
    """Answer a defect of ours; the cause goes to the log alone."""
    log.error("defect", path=request.url.path, exc_info=error)
    problem = Problem("internal", "Something broke in the service; it is in its log.")
    return told(request.url.path, problem)


def install(app: FastAPI) -> None:
    """Give `app` a problem for every exception."""
    handlers: dict[type[Exception], Callable[[Request, Exception], Awaitable[Response]]] = {
        RequestValidationError: on_validation,
        Problem: on_problem,
        HTTPException: on_http,
        StoreUnavailable: on_store,
        AskLost: on_lost,
        ClientDisconnect: on_hang_up,
        Exception: on_anything,
    }
    for kind, handler in handlers.items():
        app.add_exception_handler(kind, handler)


class DeclaredSize:
    """ASGI guard: a body that says it is too large is refused before a byte is read."""

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self.app = app
        self.limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, or pass on."""
        if scope["type"] == "http":
            declared = dict(scope["headers"]).get(b"content-length", b"0")
            size = int(declared) if declared.isdigit() else 0
            if size > self.limit:
                problem = Problem(
                    "too_large",
                    f"The body has {size} bytes; this service takes {self.limit}. "
                    "Send smaller or fewer pictures.",
                    limit=self.limit,
                    actual=size,
                    headers={"Connection": "close"},
                )
                await told(scope["path"], problem)(scope, receive, send)
                return
        await self.app(scope, receive, send)
