"""LOOK-M: text first, accumulated attention and recency for images, evicted merged into kept.

Source: "LOOK-M: Look-Once Optimization in KV Cache for Efficient Multimodal Long-Context
Inference" (Findings of EMNLP 2024, arXiv 2406.18139), sections 3.2 (text prior) and 3.3 (merges).
Where we differ: the text prior is the rule of the house (text is always kept) and no offset is
added to scores; the merge (`myopia.merging`) has image tokens as targets only, the paper's all
kept tokens; heads share one set unless `head_mode` is `wise`.
"""

import torch

from myopia.evidence import Evidence, Needs, require
from myopia.layout import Layout
from myopia.params import Pruning
from myopia.policies.policy import EvenLayers
from myopia.ranking import beside_recent

# alpha1 = alpha2: as many recent tokens as important ones.
RECENT_SHARE = 0.5


class LookM(EvenLayers):
    """Column sums over all rows, zipped with recency; the merge happens at storage."""

    knobs = frozenset({"head_mode", "merge"})
    graded = False

    def needs(self, pruning: Pruning) -> Needs:
        """See every row."""
        return Needs(columns=True)

    def score(self, evidence: Evidence, layout: Layout, pruning: Pruning) -> torch.Tensor:
        """Ranks, half important and half recent at any budget."""
        columns = require(evidence.columns, "columns")
        if pruning.head_mode == "aggregate":
            columns = columns.mean(0, keepdim=True)
        return beside_recent(columns, RECENT_SHARE)
