"""What one request asks of the engine: turns of pictures and text, pruning, sampling.

Plain frozen values. Bounds are checked here once more, since a notebook has no gateway.
Nothing here knows batches, caches or the wire.
"""

from dataclasses import dataclass, field
from typing import Literal

from PIL import Image

from myopia.errors import BadRequest

Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True, slots=True)
class Pruning:
    """How the KV cache of one row is pruned; field meanings as in the README's table."""

    policy: str = "myopia"
    budget: float = 0.2
    budget_scope: Literal["visual", "total"] = "visual"
    gamma: float = 1.0
    alpha: float = 0.5
    guide: Literal["question", "reply", "both"] = "both"
    subsidy: str = "asked"
    head_mode: Literal["aggregate", "wise"] = "aggregate"
    bin_tokens: int = 20
    bin_mode: Literal["matched", "mass", "paper", "off"] = "matched"
    bin_scope: Literal["image", "global"] = "image"
    min_per_image: int = 4
    newline_policy: Literal["score", "keep", "drop"] = "score"
    layer_budgets: Literal["policy", "uniform", "pyramid"] = "policy"
    merge: Literal["pivotal", "averaged", "weighted"] = "pivotal"

    def __post_init__(self) -> None:
        """Refuse numbers outside their range (NaN fails every comparison)."""
        bounds = {
            "budget": (0 < self.budget <= 1, "in (0, 1]"),
            "gamma": (0.4 <= self.gamma <= 4, "in [0.4, 4]"),
            "alpha": (0 <= self.alpha <= 1, "in [0, 1]"),
            "bin_tokens": (0 <= self.bin_tokens <= 64, "in [0, 64]"),
            "min_per_image": (0 <= self.min_per_image <= 64, "in [0, 64]"),
        }
        for name, (holds, wanted) in bounds.items():
            if not holds:
                raise BadRequest(f"{name} must be {wanted}", field=f"/pruning/{name}")


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are chosen; temperature 0 is greedy."""

    max_tokens: int = 128
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None
    stop: tuple[str, ...] = ()
    logprobs: int | None = None


@dataclass(frozen=True, slots=True)
class Picture:
    """One RGB picture and the SHA-256 of the bytes it came from (its cache key)."""

    image: Image.Image
    digest: str


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of the conversation: pictures and texts in reading order."""

    role: Role
    parts: tuple[Picture | str, ...]


@dataclass(frozen=True, slots=True)
class Request:
    """One question about N pictures, as the engine gets it; `deadline` is unix seconds."""

    ask_id: str
    turns: tuple[Turn, ...]
    options: tuple[str, ...] = ()
    pruning: Pruning = field(default_factory=Pruning)
    sampling: Sampling = field(default_factory=Sampling)
    tiles: Literal["auto", "base", "max"] = "auto"
    reuse: Literal["none", "exact", "compressed"] = "exact"
    explain: bool = False
    deadline: float | None = None
