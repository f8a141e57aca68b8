"""VL-Cache: what the text after the images looks at, with layer budgets by sparsity.

Source: "VL-Cache: Sparsity and Modality-Aware KV Cache Compression for Vision-Language Model
Inference Acceleration" (ICLR 2025, arXiv 2410.23317), sections 4.1 and 4.2: post-vision attention
accumulated over text rows; a layer's share grows with its density (entries of at least 1 % of
their row's maximum); a tenth of the cache is a recent window.
Where we differ: only image tokens are candidates, so the window counts image tokens; special
tokens are not among the rows; heads share one set unless `head_mode` is `wise`.
"""

from collections.abc import Sequence

import torch

from myopia.evidence import Evidence, Needs, require
from myopia.layout import Layout
from myopia.params import Pruning
from myopia.policies.policy import SeenLayer
from myopia.ranking import beside_recent

RECENT_SHARE = 0.1


class VLCache:
    """Column sums over the asking rows, zipped with a little recency."""

    knobs = frozenset({"head_mode"})
    graded = False

    def needs(self, pruning: Pruning) -> Needs:
        """See the asking rows, and how sparse they are."""
        return Needs(text=True, sparsity=True)

    def score(self, evidence: Evidence, layout: Layout, pruning: Pruning) -> torch.Tensor:
        """Ranks, a tenth recent at any budget."""
        text = require(evidence.text, "text")
        if pruning.head_mode == "aggregate":
            text = text.mean(0, keepdim=True)
        return beside_recent(text, RECENT_SHARE)

    def layer_sizes(self, seen: Sequence[SeenLayer], total: int) -> list[float] | None:
        """In proportion to density, one minus sparsity."""
        density = [1.0 - (evidence.sparsity or 0.0) for evidence, _ in seen]
        if sum(density) <= 0:
            return None
        return [share / sum(density) * total for share in density]
