"""FastV, as KV pruning: the last prompt token's look at each image token.

Source: "An Image is Worth 1/2 Tokens After Layer 2" (ECCV 2024, arXiv 2403.06764), section 4.1;
the released code scores by the last token's row, the text by all rows.
Where we differ: FastV drops hidden states from layer K on, which also saves prefill. That variant
is out of scope here: every layer keeps its own K by its own last row and drops KV only, so layers
before K are pruned too.
"""

import torch

from myopia.evidence import Evidence, Needs, require
from myopia.layout import Layout
from myopia.params import Pruning
from myopia.policies.policy import EvenLayers


class FastV(EvenLayers):
    """Attention of the last row, mean over heads."""

    knobs: frozenset[str] = frozenset()
    graded = True

    def needs(self, pruning: Pruning) -> Needs:
        """See the last row."""
        return Needs(window=1)

    def score(self, evidence: Evidence, layout: Layout, pruning: Pruning) -> torch.Tensor:
        """Mean over heads `(1, N)`."""
        return require(evidence.window, "window").mean(0, keepdim=True)
