"""H2O: heavy hitters by accumulated attention, beside the most recent tokens.

Source: "H2O: Heavy-Hitter Oracle for Efficient Generative Inference" (NeurIPS 2023, arXiv
2306.14048), section 4 and algorithm 1: half of the budget each.
Where we differ: only image tokens are candidates (text is always kept), so "recent" counts image
tokens; pruning happens once after prefill and not at every decoded token; heads share one set
unless `head_mode` is `wise`.
"""

import torch

from myopia.evidence import Evidence, Needs, require
from myopia.layout import Layout
from myopia.params import Pruning
from myopia.policies.policy import EvenLayers
from myopia.ranking import beside_recent

RECENT_SHARE = 0.5


class H2O(EvenLayers):
    """Column sums over all rows, zipped with recency."""

    knobs = frozenset({"head_mode"})
    graded = False

    def needs(self, pruning: Pruning) -> Needs:
        """See every row."""
        return Needs(columns=True)

    def score(self, evidence: Evidence, layout: Layout, pruning: Pruning) -> torch.Tensor:
        """Ranks, half heavy and half recent at any budget."""
        columns = require(evidence.columns, "columns")
        if pruning.head_mode == "aggregate":
            columns = columns.mean(0, keepdim=True)
        return beside_recent(columns, RECENT_SHARE)
