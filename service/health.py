"""Is this gateway alive, and would an ask be taken up; and the numbers that Prometheus reads.

Nothing here starts work: a probe is one round trip to the store.
"""

from typing import Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel

from service.caller import TheDesk
from service.desk import Desk
from service.openapi import problem_responses
from service.problems import Problem
from wire.errors import StoreUnavailable

router = APIRouter(tags=["health"])


class Alive(BaseModel):
    """What `/livez` says."""

    status: Literal["alive"] = "alive"


class Ready(BaseModel):
    """What `/readyz` says when an ask that came now would be taken up."""

    status: Literal["ready"] = "ready"
    model: str | None
    workers: int
    slots: int


@router.get("/livez", operation_id="livez")
async def livez() -> Alive:
    """Say that this process answers; nothing else is looked at."""
    return Alive()


@router.get("/readyz", operation_id="readyz", responses=problem_responses(503))
async def readyz(desk: TheDesk) -> Ready:
    """Say whether a worker would take an ask up now."""
    fleet = await desk.fleet()
    if not fleet.is_ready:
        detail = "No worker would take an ask up now; start one, or wait until one has loaded."
        raise Problem("unavailable", detail)
    return Ready(model=fleet.model, workers=len(fleet.takers), slots=fleet.slots)


@router.get("/health", operation_id="health", responses=problem_responses(503))
async def health(desk: TheDesk) -> Ready:
    """Do as `/readyz`, under the name that clients of engines poll."""
    return await readyz(desk)


@router.get(
    "/metrics",
    operation_id="metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}, "description": "Prometheus' text format."}},
)
async def metrics(desk: TheDesk) -> Response:
    """Show the numbers of this gateway and of the ledger."""
    await _refresh(desk)
    return Response(desk.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


async def _refresh(desk: Desk) -> None:
    shown = desk.metrics
    shown.inflight.set(desk.inflight)
    try:
        counters, fleet = await desk.ledger.counters(), await desk.fleet()
    except StoreUnavailable:
        shown.store_up.set(0)
        return
    shown.store_up.set(1)
    for state in ("queued", "running", "done", "failed", "cancelled", "expired", "dead"):
        shown.asks.labels(state).set(getattr(counters, state))
    shown.waiting.set(counters.queued)
    shown.running.set(counters.running)
    shown.oldest.set(counters.oldest_queued_seconds)
    shown.imbalance.set(counters.imbalance)
    shown.workers.set(len(fleet.takers))
    shown.slots.set(fleet.slots)
