"""What the engine says about an ask: pieces of its answer, then exactly one ending.

Plain values with the names the wire uses for the same things. Nothing here knows tensors.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

from myopia.errors import MyopiaError

FinishReason = Literal["stop", "length", "cancelled"]


@dataclass(slots=True)
class Usage:
    """Tokens and bytes of one ask; `kept_tokens` and `bin_tokens` are means over layers."""

    prompt_tokens: int = 0
    text_tokens: int = 0
    image_tokens: int = 0
    kept_tokens: float = 0
    bin_tokens: float = 0
    completion_tokens: int = 0
    kv_bytes: int = 0
    kv_bytes_full: int = 0
    budget_effective: float = 0


@dataclass(slots=True)
class CacheUse:
    """What did not have to be computed again: pictures' features, the image set's prefill."""

    features: int = 0
    prefill: Literal["none", "exact", "compressed"] = "none"


@dataclass(slots=True)
class Timings:
    """Milliseconds of the engine's own clock; `queue_ms` runs from add to admission."""

    queue_ms: float = 0
    vision_ms: float = 0
    prefill_ms: float = 0
    prune_ms: float = 0
    first_token_ms: float = 0
    decode_ms: float = 0
    total_ms: float = 0


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """A sampled token, its log-probability and the likeliest others."""

    token: str
    logprob: float
    top: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Finished:
    """The good ending of an ask."""

    reason: FinishReason
    answer: str
    usage: Usage = field(default_factory=Usage)
    cache: CacheUse = field(default_factory=CacheUse)
    timings: Timings = field(default_factory=Timings)
    warnings: tuple[str, ...] = ()
    logprobs: tuple[TokenLogprob, ...] | None = None
    explain: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Output:
    """News of one ask: a piece of text, its tokens, or (at most once, and last) its ending.

    The pieces of all outputs, joined, are `Finished.answer`.
    """

    ask_id: str
    text: str = ""
    tokens: tuple[int, ...] = ()
    finished: Finished | None = None
    failed: MyopiaError | None = None

    @property
    def ends(self) -> bool:
        """Whether nothing more will come of this ask."""
        return self.finished is not None or self.failed is not None
