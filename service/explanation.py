"""GET /v1/asks/{id}/explain.png: what was kept of every picture of an ask that explained itself.

The answer carries the grids, the mailbox the pictures; which pictures they were is noted when the
ask is let in, since the ledger forgets an ask's words when it ends.
"""

import json
from collections.abc import Sequence
from typing import Any

from anyio import to_thread
from fastapi import APIRouter, Depends, Response

from service.asks import TheRecord
from service.caller import TheDesk, may
from service.desk import Desk
from service.openapi import problem_responses
from service.overlay import Grid, draw_strip
from service.problems import Problem
from wire.messages import Ask, Done
from wire.store import in_wire_errors

ASK_AGAIN = "Ask again with `explain: true` and `cache: off`, and look while it is fresh."

router = APIRouter(tags=["asks"])


async def note(desk: Desk, ask: Ask, ask_id: str) -> None:
    """Remember which pictures an ask is about, for as long as its record."""
    digests = [part.digest for turn in ask.turns for part in turn.parts if part.kind == "image"]
    with in_wire_errors():
        ttl = desk.settings.record_ttl_seconds + int(desk.settings.max_timeout_seconds)
        await desk.store.text.set(_name(desk, ask_id), json.dumps(digests), ex=ttl)


def _name(desk: Desk, ask_id: str) -> str:
    return f"{desk.settings.namespace}:explained:{ask_id}"


@router.get(
    "/v1/asks/{ask_id}/explain.png",
    operation_id="explain_ask",
    dependencies=[Depends(may("read"))],
    response_class=Response,
    responses={
        200: {"content": {"image/png": {}}, "description": "The pictures, side by side."},
        **problem_responses(401, 403, 404, 422, 503),
    },
)
async def explain_ask(desk: TheDesk, record: TheRecord) -> Response:
    """Show what was kept of every picture, over all layers."""
    ending = await desk.mailbox.ending(record.ask_id)
    with in_wire_errors():
        noted = await desk.store.text.get(_name(desk, record.ask_id))
    if not isinstance(ending, Done) or not ending.explain or noted is None:
        raise Problem("not_found", f"There is no explanation of this ask. {ASK_AGAIN}")
    pictures = [await desk.mailbox.picture(digest) for digest in json.loads(noted)]
    grids = grids_of(ending.explain)
    found = [data for data in pictures if data is not None]
    if len(found) != len(pictures) or len(found) != len(grids) or not found:
        raise Problem("not_found", f"The pictures are not stored any more. {ASK_AGAIN}")
    pairs = list(zip(found, grids, strict=True))
    png = await to_thread.run_sync(draw_strip, pairs, limiter=desk.decoding)
    return Response(png, media_type="image/png", headers={"Cache-Control": "private, max-age=60"})


def grids_of(explain: dict[str, Any]) -> Sequence[Grid]:
    """The grid over all layers of every picture; the first group is all layers."""
    return [image["groups"][0]["grid"] for image in explain["images"]]
