"""What crosses between gateway and worker: the ask, its events, and the finished answer.

Every message carries a version; an unknown version, field or policy is refused with a code.
Pictures are named by content hash and never ride along. Nothing here knows HTTP or tensors.
"""

from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from wire.codes import Code
from wire.pruning import Generation, Params, Pruning, Tiles

VERSION: Literal[1] = 1
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256 of the bytes")]


class ImagePart(Params):
    """One picture, by the SHA-256 of its original bytes."""

    kind: Literal["image"] = "image"
    digest: Digest
    index: int = Field(ge=0, description="Place among the ask's pictures, from 0.")


class TextPart(Params):
    """Text that stands between pictures, or the question."""

    kind: Literal["text"] = "text"
    text: str


Part = Annotated[ImagePart | TextPart, Field(discriminator="kind")]


class Turn(Params):
    """One message of the conversation, in the order the model reads it."""

    role: Literal["system", "user", "assistant"]
    parts: tuple[Part, ...]


class Ask(Params):
    """One question about N images, as the worker gets it."""

    version: Literal[1] = VERSION
    ask_id: str = Field(pattern=r"^ask_[0-9A-Za-z_-]{8,64}$")
    turns: tuple[Turn, ...] = Field(min_length=1)
    options: tuple[str, ...] = ()
    pruning: Pruning = Pruning()
    generation: Generation = Generation()
    tiles: Tiles = "auto"
    reuse: Literal["none", "exact", "compressed"] = "exact"
    logprobs: int | None = Field(None, ge=0, le=20)
    explain: bool = False
    deadline: float = Field(description="Unix seconds; after it nobody waits any more.")
    traceparent: str | None = None


class Usage(Params):
    """Tokens and bytes of one ask; `kept_tokens` is a mean over layers."""

    prompt_tokens: int = 0
    text_tokens: int = 0
    image_tokens: int = 0
    kept_tokens: float = 0
    bin_tokens: float = 0
    completion_tokens: int = 0
    kv_bytes: int = 0
    kv_bytes_full: int = 0
    budget_effective: float = 0


class BudgetChoice(Params):
    """Which budget was taken where the ask said `auto`, and why."""

    budget: float
    target_agreement: float
    kind: str = Field(description="Kind of question that the calibration was read for.")
    images: int = Field(description="Number of pictures that the calibration was read for.")
    agreement: float | None = Field(
        None, description="Share of calibrating questions with the whole cache's answer."
    )
    questions: int = Field(0, description="How many questions that share is of.")
    why: str


class CacheUse(Params):
    """What did not have to be computed again."""

    result: Literal["hit", "miss", "joined", "off"] = "miss"
    features: int = Field(0, description="Pictures whose features were cached.")
    prefill: Literal["none", "exact", "compressed"] = "none"


class Timings(Params):
    """Milliseconds, as the worker's monotonic clock saw them; all 0 of a stored answer.

    An ask that joined another one has the other's.
    """

    queue_ms: float = 0
    vision_ms: float = 0
    prefill_ms: float = 0
    prune_ms: float = 0
    first_token_ms: float = 0
    decode_ms: float = 0
    total_ms: float = Field(
        0, description="From acceptance to the last token, `queue_ms` included; no network."
    )


class TokenLogprob(Params):
    """A sampled token, its log-probability and the likeliest others."""

    token: str
    logprob: float
    top: tuple[tuple[str, float], ...] = ()


class Token(Params):
    """A piece of the answer's text, as it is made."""

    version: Literal[1] = VERSION
    kind: Literal["token"] = "token"
    text: str


class Done(Params):
    """The one good ending of an ask."""

    version: Literal[1] = VERSION
    kind: Literal["done"] = "done"
    model: str
    answer: str
    finish_reason: Literal["stop", "length", "cancelled"]
    usage: Usage = Usage()
    cache: CacheUse = CacheUse()
    timings: Timings = Timings()
    warnings: tuple[str, ...] = ()
    logprobs: tuple[TokenLogprob, ...] | None = None
    explain: dict[str, Any] | None = None
    budget_choice: BudgetChoice | None = None


class Failed(Params):
    """The one bad ending of an ask; `detail` is written for the asker."""

    version: Literal[1] = VERSION
    kind: Literal["failed"] = "failed"
    code: Code
    detail: str
    field: str | None = Field(None, description="JSON pointer of the field to blame.")
    image_index: int | None = None
    limit: float | None = None
    actual: float | None = None


Event = Annotated[Token | Done | Failed, Field(discriminator="kind")]
EVENT: TypeAdapter[Token | Done | Failed] = TypeAdapter(Event)
