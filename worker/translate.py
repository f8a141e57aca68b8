"""The wire's words to the engine's and back, field by field; and exceptions to codes.

A field that one side has and the other lacks is an error here, at import of the tests. Nothing
here talks to a queue or runs a model.
"""

import hashlib
from collections.abc import Callable
from dataclasses import asdict

from myopia.errors import (
    BadImage,
    BadRequest,
    Expired,
    MyopiaError,
    OutOfMemory,
    PromptTooLong,
    Unsupported,
)
from myopia.params import Picture, Pruning, Request, Sampling, Turn
from myopia.pictures import PictureLimits, read_picture
from myopia.report import Finished
from wire import messages
from wire.codes import Code
from wire.errors import MessageRefused, StoreUnavailable
from wire.messages import Ask, Done, Failed
from wire.records import Ending

CODES: tuple[tuple[type[Exception], Code], ...] = (
    (BadImage, "bad_image"),
    (PromptTooLong, "prompt_too_long"),
    (BadRequest, "bad_request"),
    (Unsupported, "bad_request"),
    (OutOfMemory, "out_of_memory"),
    (Expired, "expired"),
    (MyopiaError, "internal"),
    (MessageRefused, "bad_request"),
    (StoreUnavailable, "unavailable"),
    (Exception, "internal"),
)
"""Exception to code; the first that fits."""

SETTLED = {"preset", "target_agreement"}
"""Fields of the wire's pruning that have done their work before the engine is asked."""

INTERNAL = "The worker failed in a way that was not expected; its log has the cause."
Fetch = Callable[[str], bytes | None]


def to_request(ask: Ask, deadline: float, fetch: Fetch, limits: PictureLimits) -> Request:
    """Build what the engine takes; raises BadImage for a picture that is gone or cannot be read."""
    return Request(
        ask_id=ask.ask_id,
        turns=tuple(
            Turn(turn.role, tuple(_part(part, fetch, limits) for part in turn.parts))
            for turn in ask.turns
        ),
        options=ask.options,
        pruning=_pruning(ask),
        sampling=_sampling(ask),
        tiles=ask.tiles,
        reuse=ask.reuse,
        explain=ask.explain,
        deadline=deadline,
    )


def _pruning(ask: Ask) -> Pruning:
    """As asked; a budget of `auto` must have been settled before (`worker.calibration`)."""
    if ask.pruning.budget == "auto":
        raise BadRequest("budget `auto` was not settled; give a number", field="/pruning/budget")
    return Pruning(**ask.pruning.model_dump(exclude=SETTLED))


def _part(part: messages.Part, fetch: Fetch, limits: PictureLimits) -> Picture | str:
    if isinstance(part, messages.TextPart):
        return part.text
    data = fetch(part.digest)
    if data is None:
        raise BadImage(
            f"picture {part.index + 1} is no longer stored; send it again", image_index=part.index
        )
    return read_picture(data, index=part.index, limits=limits)


def _sampling(ask: Ask) -> Sampling:
    """As asked; an unseeded sample gets a seed of the ask's id, so that attempts agree."""
    wanted = ask.generation.model_dump()
    if wanted["seed"] is None and wanted["temperature"] > 0:
        digest = hashlib.sha256(ask.ask_id.encode()).digest()
        wanted["seed"] = int.from_bytes(digest[:4], "big")
    return Sampling(**wanted, logprobs=ask.logprobs)


def to_done(
    finished: Finished,
    *,
    model: str,
    queue_ms: float,
    warnings: tuple[str, ...] = (),
    budget_choice: messages.BudgetChoice | None = None,
) -> Done:
    """Build the good ending; `queue_ms` in the ledger is added to the engine's own."""
    timings = asdict(finished.timings)
    timings["queue_ms"] += queue_ms
    timings["total_ms"] += queue_ms
    timings["first_token_ms"] += queue_ms
    return Done(
        model=model,
        answer=finished.answer,
        finish_reason=finished.reason,
        usage=messages.Usage(**asdict(finished.usage)),
        cache=messages.CacheUse(**asdict(finished.cache)),
        # hundredths of a millisecond: what lies below is noise of the clock
        timings=messages.Timings(**{name: round(ms, 2) for name, ms in timings.items()}),
        warnings=(*finished.warnings, *warnings),
        logprobs=None
        if finished.logprobs is None
        else tuple(messages.TokenLogprob(**asdict(one)) for one in finished.logprobs),
        explain=finished.explain,
        budget_choice=budget_choice,
    )


def to_failed(error: Exception) -> Failed:
    """Build the bad ending; only errors made for the asker are quoted."""
    code = next(code for kind, code in CODES if isinstance(error, kind))
    if isinstance(error, MyopiaError) and code != "internal":
        return Failed(
            code=code,
            detail=str(error),
            field=error.field,
            image_index=error.image_index,
            limit=error.limit,
            actual=error.actual,
        )
    if isinstance(error, MessageRefused):
        return Failed(code=code, detail=error.detail, field=error.field)
    return Failed(code=code, detail=INTERNAL if code == "internal" else str(error))


def ending_state(ending: Done | Failed) -> Ending:
    """The ledger's state that an ending belongs to."""
    if isinstance(ending, Done):
        return "cancelled" if ending.finish_reason == "cancelled" else "done"
    states: dict[Code, Ending] = {"expired": "expired", "cancelled": "cancelled"}
    return states.get(ending.code, "failed")
