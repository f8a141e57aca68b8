"""AirCache: elite text rows vote, and layers get budgets by strength and skewness.

Source: "AirCache: Activating Inter-modal Relevancy KV Cache Compression for Efficient Large
Vision-Language Model Inference" (ICCV 2025, arXiv 2503.23956), section 3: elite rows are those
text tokens that the last token gives at least .9 of its maximum; softmax over image keys alone;
layer budget from the mean of normalised strength and skewness.
Where we differ: strength is the sum of positive scores in excess of an even spread (their sum of
a softmax is one by construction, so a plain sum tells layers nothing apart); elite rows are chosen
among at most 64 asking rows, special tokens excluded; mean over heads.
"""

from collections.abc import Sequence

import torch

from myopia.evidence import Evidence, Needs, require
from myopia.layout import Layout
from myopia.params import Pruning
from myopia.policies.policy import SeenLayer


class AirV:
    """Mean image-only softmax of elite rows."""

    knobs: frozenset[str] = frozenset()
    graded = True

    def needs(self, pruning: Pruning) -> Needs:
        """See elite rows."""
        return Needs(elite=True)

    def score(self, evidence: Evidence, layout: Layout, pruning: Pruning) -> torch.Tensor:
        """Already a mean over heads, `(1, N)`, summing to one."""
        return require(evidence.elite, "elite")

    def layer_sizes(self, seen: Sequence[SeenLayer], total: int) -> list[float] | None:
        """Half by strength, half by skewness."""
        strength = [_strength(scores[0]) for _, scores in seen]
        skewness = [_skewness(scores[0]) for _, scores in seen]
        if sum(strength) <= 0 or sum(skewness) <= 0:
            return None
        return [
            total * (s / sum(strength) + k / sum(skewness)) / 2
            for s, k in zip(strength, skewness, strict=True)
        ]


def _strength(scores: torch.Tensor) -> float:
    """Mass above an even spread, in [0, 1)."""
    return float((scores - 1.0 / len(scores)).clamp_min(0).sum())


def _skewness(scores: torch.Tensor) -> float:
    """Third standardised moment, floored at 0."""
    centred = scores.double() - scores.double().mean()
    spread = float(centred.square().mean().sqrt())
    if spread < 1e-12:
        return 0.0
    return max(0.0, float((centred / spread).pow(3).mean()))
