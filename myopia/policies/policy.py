"""What a policy is: evidence of one layer in, scores out.

A policy cannot break an invariant: it never learns the budget, never touches keys, and what it
scores is decided for it. `knobs` names the fields of `Pruning` that it obeys; any other field
that is set away from its default is refused.
"""

from collections.abc import Sequence
from typing import Protocol

import torch

from myopia.evidence import Evidence, Needs
from myopia.layout import Layout
from myopia.params import Pruning

SeenLayer = tuple[Evidence, torch.Tensor]


class Policy(Protocol):
    """Scores image tokens; stateless, so that one object serves all rows of all threads."""

    knobs: frozenset[str]
    graded: bool
    """Whether scores are shares of attention (else they are ranks)."""

    def needs(self, pruning: Pruning) -> Needs:
        """Which rows it must see."""

    def score(self, evidence: Evidence, layout: Layout, pruning: Pruning) -> torch.Tensor:
        """Worth of keeping, `(H or 1, N)` float32, higher is kept; graded scores are >= 0."""

    def layer_sizes(self, seen: Sequence[SeenLayer], total: int) -> list[float] | None:
        """Wished tokens per layer, summing to about `total`; None shares evenly."""


class EvenLayers:
    """Mixed into policies that give every layer the same."""

    def layer_sizes(self, seen: Sequence[SeenLayer], total: int) -> list[float] | None:
        """No wish."""
        return None
