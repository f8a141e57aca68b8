"""POST /v1/estimate: what an ask would cost and how long it would wait.

Runs nothing and stores nothing: pictures are read for their size alone, and the model's facts
come from the workers' cards.
"""

import time

from fastapi import APIRouter, Depends, Request

from service import bodies
from service.caller import TheCaller, TheDesk, may
from service.costs import Costs, text_tokens
from service.dispatch import Wanted, key_of
from service.intake import Incoming
from service.openapi import ESTIMATE_DOCUMENT
from service.prepare import Said, Taking, build, gather, timeout_seconds
from service.problems import Problem
from service.schema import AskParams, Estimate, ImageCost
from wire.workers import Fleet

BUDGETS = (1.0, 0.5, 0.2, 0.1, 0.05)

router = APIRouter(tags=["asks"], dependencies=[Depends(may("ask"))])


@router.post("/v1/estimate", operation_id="estimate", **ESTIMATE_DOCUMENT)
async def estimate(request: Request, desk: TheDesk, key: TheCaller) -> Estimate:
    """Say what an ask would cost, without asking it."""
    with desk.holding(request.headers.get("content-length")):
        taking = Taking(desk, key, stores=False)
        incoming = await bodies.read(request, desk.settings, look_away, taking.keep)
        deadline = time.time() + timeout_seconds(incoming.params.timeout_seconds, desk.settings)
        said: Said = ("user", [*incoming.items, incoming.question])
        gathered = await gather(desk, key, [said])
    fleet = await desk.fleet()
    costs = Costs.of(fleet.facts)
    if costs is None:
        detail = "No worker is there to say what a picture costs; try again when one has started."
        raise Problem("unavailable", detail)
    message = build(gathered.turns, incoming.params, deadline, None)
    answer_key = key_of(Wanted(message, tenant=key.owner, cache=incoming.params.cache), fleet)
    stored = await desk.answers.get(answer_key) if answer_key else None
    wait = await desk.ledger.expected_wait_seconds(key.owner, fleet)
    return told(incoming, gathered.sizes, costs, fleet, (stored is not None, wait))


async def look_away(_: AskParams) -> None:
    """An estimate needs no room."""


def told(
    incoming: Incoming,
    sizes: list[tuple[int, int]],
    costs: Costs,
    fleet: Fleet,
    found: tuple[bool, float | None],
) -> Estimate:
    """The arithmetic; `sizes` are (width, height), `found` is (cached, seconds to wait)."""
    params = incoming.params
    images = tuple(
        ImageCost(
            index=index,
            width=width,
            height=height,
            tokens=costs.tokens(width, height, params.tiles),
        )
        for index, (width, height) in enumerate(sizes)
    )
    image_tokens = sum(image.tokens for image in images)
    texts = [incoming.question, *params.options]
    texts += [item for item in incoming.items if isinstance(item, str)]
    words = text_tokens(texts)
    pruning = params.pruning
    own = set() if pruning.budget == "auto" else {pruning.budget}
    budgets = sorted({*BUDGETS, *own}, reverse=True)
    return Estimate(
        model=fleet.model,
        images=images,
        image_tokens=image_tokens,
        text_tokens=words,
        context_tokens=costs.context,
        kv_bytes={
            f"{budget:g}": costs.kv_bytes(
                image_tokens, words, pruning.model_copy(update={"budget": budget})
            )
            for budget in budgets
        },
        fits=image_tokens + words + params.generation.max_tokens <= costs.context,
        cached=found[0],
        expected_wait_seconds=found[1],
    )
