"""Problems in OpenAI's shape, on its routes only: `{"error": {message, type, param, code}}`."""

from typing import Any

from fastapi.responses import JSONResponse

from service.problems import Problem

PATHS = ("/v1/chat/completions", "/v1/models")
STATUSES: dict[int, int] = {422: 400}  # OpenAI's word for bad input.
TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    409: "conflict_error",
    413: "invalid_request_error",
    415: "invalid_request_error",
    429: "rate_limit_error",
    500: "server_error",
    503: "server_error",
    504: "timeout_error",
}
CODES: dict[str, str] = {
    "prompt_too_long": "context_length_exceeded",
    "unauthorized": "invalid_api_key",
}
RIDING = ("image_index", "limit", "actual", "ask_id")


def is_theirs(path: str) -> bool:
    """Whether a path speaks OpenAI's dialect; decides the shape of errors and nothing else."""
    return path in PATHS or path.startswith("/v1/models/")


def body_of(problem: Problem) -> dict[str, Any]:
    """The error object; numbers and places of ours ride along."""
    status = STATUSES.get(problem.status, problem.status)
    whole = problem.body()
    extra: dict[str, Any] = {name: whole[name] for name in RIDING if name in whole}
    error: dict[str, Any] = {
        "message": problem.detail,
        "type": TYPES[status],
        "param": problem.field.lstrip("/").replace("/", ".") if problem.field else None,
        "code": CODES.get(problem.code, problem.code),
        **extra,
    }
    return {"error": error}


def respond(problem: Problem) -> JSONResponse:
    """The problem as OpenAI's clients expect it."""
    plain = problem.response()
    kept = {name: plain.headers[name] for name in KEPT if name in plain.headers}
    status = STATUSES.get(problem.status, problem.status)
    return JSONResponse(body_of(problem), status, kept)


KEPT = ("retry-after", "www-authenticate", "allow", "connection")
