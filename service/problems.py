"""RFC 9457 problems: one table from code to status, one body, one response.

Details are sentences written by us that say what to change. Nothing here quotes what was sent,
prints an exception, or knows which route is being answered.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastapi.responses import JSONResponse

from wire.codes import Code
from wire.messages import Failed

MEDIA_TYPE = "application/problem+json"


@dataclass(frozen=True, slots=True)
class Kind:
    """What HTTP says about one code; `help` is the sentence of its documentation page."""

    status: int
    title: str
    help: str


KINDS: dict[Code, Kind] = {
    "bad_request": Kind(
        422, "The request cannot be read", "`field` names what to change; `errors` lists the rest."
    ),
    "bad_image": Kind(
        422,
        "A picture cannot be used",
        "`image_index` names the picture, counted from 0. Send a whole JPEG, PNG, WebP, GIF or "
        "BMP within the limits on bytes, pixels and shape.",
    ),
    "prompt_too_long": Kind(
        422,
        "The prompt does not fit the model",
        "Send fewer or smaller pictures, less text, or `tiles: base`; `limit` and `actual` are "
        "tokens.",
    ),
    "too_large": Kind(
        413, "Too large", "`limit` and `actual` are bytes. Send smaller or fewer pictures."
    ),
    "unsupported_media_type": Kind(
        415,
        "The content type is not supported",
        "Send application/json, or multipart/form-data with a boundary.",
    ),
    "unauthorized": Kind(
        401, "A key is needed", "Send `Authorization: Bearer <key>` or `X-API-Key: <key>`."
    ),
    "forbidden": Kind(403, "This key may not do that", "Use a key that has the scope named."),
    "not_found": Kind(404, "Not found", "It never was, or it was forgotten after its time."),
    "method_not_allowed": Kind(405, "Method not allowed", "The header `Allow` lists what is."),
    "conflict": Kind(409, "Too late or in conflict", "The ask has already ended."),
    "rate_limited": Kind(
        429, "Over a limit of this key", "Wait as long as the header `Retry-After` says."
    ),
    "overloaded": Kind(
        429, "Too many asks are waiting", "Wait as long as the header `Retry-After` says."
    ),
    "unavailable": Kind(
        503,
        "Nothing to run on",
        "The store or every worker is away; try again after `Retry-After` seconds.",
    ),
    "store_lost": Kind(503, "The store lost this ask", "Send the ask again."),
    "expired": Kind(
        504, "Time is up", "Raise `timeout_seconds`, or try again when the queue is shorter."
    ),
    "cancelled": Kind(409, "The ask was cancelled", "Send the ask again if it is still wanted."),
    "dead": Kind(
        500,
        "The ask failed every attempt",
        "Workers died while they worked on it; send it again with other pictures.",
    ),
    "out_of_memory": Kind(
        503,
        "The ask does not fit in memory now",
        "Send fewer or smaller pictures, or try again later.",
    ),
    "internal": Kind(500, "Something broke", "It is logged under the id given; try again."),
}
RETRY_LATER: dict[Code, int] = {
    "overloaded": 1,
    "rate_limited": 1,
    "unavailable": 2,
    "out_of_memory": 2,
}


@dataclass(eq=False)
class Problem(Exception):
    """A refusal or failure on its way to the asker; members as in the contract."""

    code: Code
    detail: str
    field: str | None = None
    image_index: int | None = None
    limit: float | None = None
    actual: float | None = None
    ask_id: str | None = None
    errors: tuple[dict[str, str], ...] = ()
    headers: Mapping[str, str] | None = None

    @property
    def status(self) -> int:
        """The HTTP status of the code."""
        return KINDS[self.code].status

    def body(self) -> dict[str, Any]:
        """The problem's JSON members; those that do not apply are left out."""
        kind = KINDS[self.code]
        members: dict[str, Any] = {
            "type": f"/problems/{self.code}",
            "title": kind.title,
            "status": kind.status,
            "detail": self.detail,
            "code": self.code,
        }
        for name in ("field", "image_index", "limit", "actual", "ask_id"):
            value = getattr(self, name)
            if value is not None:
                members[name] = plain(value)
        if len(self.errors) > 1:
            members["errors"] = list(self.errors)
        return members

    def text(self) -> str:
        """The problem as JSON text, for a stream."""
        return json.dumps(self.body())

    def response(self) -> JSONResponse:
        """The problem as an answer, with `Retry-After` where waiting helps."""
        headers = dict(self.headers or {})
        if self.code in RETRY_LATER:
            headers.setdefault("Retry-After", str(RETRY_LATER[self.code]))
        return JSONResponse(self.body(), self.status, headers, media_type=MEDIA_TYPE)


def plain(value: str | float) -> str | float:
    """A whole float as an int, so that a count is printed as one."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def from_failed(failed: Failed, ask_id: str) -> Problem:
    """The problem of an ask that ended badly."""
    return Problem(
        failed.code,
        failed.detail,
        field=failed.field,
        image_index=failed.image_index,
        limit=failed.limit,
        actual=failed.actual,
        ask_id=ask_id,
    )
