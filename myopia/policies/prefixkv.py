"""PrefixKV: accumulated attention, and layer budgets that keep the same share of it everywhere.

Source: "PrefixKV: Adaptive Prefix KV Cache is What Vision Instruction-Following Models Need for
Efficient Generation" (NeurIPS 2025, arXiv 2412.03409), section 3: one threshold p for all layers,
found by bisection so that the shortest prefixes of sorted scores that reach p fit the budget.
Where we differ: the threshold is found per row on its own scores, not offline on ten samples;
only image tokens are candidates (the paper's 4 first and 1 last tokens are text here).
"""

from collections.abc import Sequence

import torch

from myopia.evidence import Evidence, Needs, require, unit_mass
from myopia.layout import Layout
from myopia.params import Pruning
from myopia.policies.policy import SeenLayer

BISECTIONS = 40


class PrefixKV:
    """Column sums over all rows, mean over heads."""

    knobs: frozenset[str] = frozenset()
    graded = True

    def needs(self, pruning: Pruning) -> Needs:
        """See every row."""
        return Needs(columns=True)

    def score(self, evidence: Evidence, layout: Layout, pruning: Pruning) -> torch.Tensor:
        """Mean over heads `(1, N)`, summing to one."""
        return unit_mass(require(evidence.columns, "columns").mean(0, keepdim=True))

    def layer_sizes(self, seen: Sequence[SeenLayer], total: int) -> list[float] | None:
        """Shortest prefixes that hold the same share of mass in every layer."""
        curves = [
            scores.mean(0).sort(descending=True).values.double().cumsum(0) for _, scores in seen
        ]
        low, high = 0.0, 1.0
        for _ in range(BISECTIONS):
            middle = (low + high) / 2
            if sum(_prefix(curve, middle) for curve in curves) > total:
                high = middle
            else:
                low = middle
        return [float(_prefix(curve, low)) for curve in curves]


def _prefix(curve: torch.Tensor, share: float) -> int:
    """Fewest best tokens whose mass reaches `share` of the layer's."""
    return int(torch.searchsorted(curve, share * curve[-1])) + 1
