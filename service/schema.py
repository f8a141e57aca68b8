"""The bodies of HTTP: what an asker sends and what comes back.

Pruning and generation are the wire's own classes, so a field, its default, its bounds and its
help are declared once. Nothing here knows Redis, workers or how a picture is checked.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from wire.messages import BudgetChoice, CacheUse, Done, Timings, Usage
from wire.pruning import Generation, Params, Pruning, Tiles

OptionText = Annotated[str, Field(min_length=1, max_length=500)]
Options = Annotated[
    tuple[OptionText, ...],
    Field(max_length=64, description="The answers to choose from; the answer is one of them."),
]
IMAGE_ID = r"^sha256:[0-9a-f]{64}$"
SOURCES = ("data", "id", "url", "text")


class ImageItem(Params):
    """A picture by its bytes, its id or its address; or a text that stands between pictures."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1, "maxProperties": 1})

    data: str | None = Field(
        None, min_length=1, description="The picture's bytes in base64, or a `data:` URI of them."
    )
    id: str | None = Field(
        None, pattern=IMAGE_ID, description="A picture that was sent before, by its SHA-256."
    )
    url: str | None = Field(
        None, min_length=1, max_length=2048, description="An address to fetch; off by default."
    )
    text: str | None = Field(None, min_length=1, description="Text between two pictures.")

    @model_validator(mode="after")
    def _names_one_source(self) -> Self:
        if sum(getattr(self, name) is not None for name in SOURCES) != 1:
            raise ValueError("Give exactly one of `data`, `id`, `url` and `text`")
        return self


class AskParams(Params):
    """Everything an asker may choose; the text part `params` of a form holds just this."""

    options: Options = ()
    pruning: Pruning = Pruning()
    generation: Generation = Generation()
    tiles: Tiles = Field(
        "auto", description="How finely pictures are cut up: `base` is one tile per picture."
    )
    stream: bool = Field(False, description="Answer as server-sent events.")
    explain: bool = Field(False, description="Report what was kept of every picture.")
    cache: Literal["use", "refresh", "off"] = Field(
        "use", description="Whether a stored answer may be given, replaced, or left alone."
    )
    timeout_seconds: float | None = Field(
        None, gt=0, description="Time from now after which nobody waits any more."
    )
    webhook_url: str | None = Field(
        None,
        min_length=1,
        max_length=2048,
        description="Told how the ask ended, signed as Standard Webhooks says; off by default.",
    )


class AskBody(AskParams):
    """One question about one or more pictures, in the order the model sees them."""

    question: str = Field(min_length=1, description="What to ask; it comes after the pictures.")
    images: tuple[ImageItem, ...] = Field(
        min_length=1, max_length=1024, description="Pictures in order; texts may stand between."
    )


class Answer(Params):
    """The answer to one ask."""

    id: str
    model: str
    answer: str
    finish_reason: Literal["stop", "length", "cancelled"]
    usage: Usage
    cache: CacheUse
    timings: Timings
    warnings: tuple[str, ...] = Field(
        (), description="What may have made the answer worse, e.g. words the model does not know."
    )
    explain: dict[str, Any] | None = None
    budget_choice: BudgetChoice | None = Field(
        None, description="Which budget was taken where the ask said `auto`, and why."
    )


def answer_of(done: Done, ask_id: str) -> Answer:
    """The answer that HTTP shows of a good ending."""
    return Answer(
        id=ask_id,
        model=done.model,
        answer=done.answer,
        finish_reason=done.finish_reason,
        usage=done.usage,
        cache=done.cache,
        timings=done.timings,
        warnings=done.warnings,
        explain=done.explain,
        budget_choice=done.budget_choice,
    )


class ProblemBody(Params):
    """RFC 9457: what went wrong and what to change."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(description="Stable address of this kind of problem.")
    title: str
    status: int
    detail: str = Field(description="What to change.")
    code: str
    field: str | None = Field(None, description="JSON pointer of the field to blame.")
    image_index: int | None = Field(None, description="The picture to blame, from 0.")
    limit: float | None = None
    actual: float | None = None
    ask_id: str | None = None
    errors: list[dict[str, str]] | None = None


class AskSummary(Params):
    """An ask as a list shows it; moments are unix seconds."""

    id: str
    status: Literal["queued", "running", "done", "failed", "cancelled", "expired", "dead"]
    created_at: float
    deadline: float


POSITION_HELP = (
    "Place in line while `queued`: 1 is the next whose turn it is. Keys take turns, so it counts "
    "exactly the waiting asks, of this key and of others, whose turn comes before. An ask that "
    "comes later may still go first when its key has had fewer turns, and a worker that has read "
    "the pictures of an ask a little behind may take that one first, a few times at most. null "
    "once it runs."
)
WAIT_HELP = (
    "About how long until a worker claims it, by the mean time of recent asks; null once it runs, "
    "and while no worker takes asks."
)


class Progress(Params):
    """How far an ask is that has not ended: the event `progress` of a stream."""

    status: Literal["queued", "running"]
    position: int | None = Field(None, ge=1, description=POSITION_HELP)
    expected_wait_seconds: float | None = Field(None, ge=0, description=WAIT_HELP)


class AskState(AskSummary):
    """An ask as it stands: its answer once it is done, its problem once it has failed."""

    position: int | None = Field(None, ge=1, description=POSITION_HELP)
    expected_wait_seconds: float | None = Field(None, ge=0, description=WAIT_HELP)
    answer: Answer | None = None
    error: ProblemBody | None = None


class AskPage(Params):
    """Asks, newest first; `next` is the cursor of the following page, null on the last."""

    data: tuple[AskSummary, ...]
    next: int | None = None


class ImageCost(Params):
    """What one picture costs, in tokens; sizes in pixels as shown."""

    index: int
    width: int
    height: int
    tokens: int


class Estimate(Params):
    """What an ask would cost; nothing was run for it."""

    model: str | None
    images: tuple[ImageCost, ...]
    image_tokens: int
    text_tokens: int = Field(description="Estimated from characters: the gateway has no tokenizer.")
    context_tokens: int
    kv_bytes: dict[str, int] = Field(description="Bytes of KV by budget, bins included.")
    fits: bool = Field(description="Whether prompt and answer fit the model's context.")
    cached: bool = Field(description="Whether a stored answer would be given.")
    expected_wait_seconds: float | None = Field(None, description="Before a worker takes it up.")
