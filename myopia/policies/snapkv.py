"""SnapKV: what the last window of the prompt looks at, smoothed over neighbours.

Source: "SnapKV: LLM Knows What You are Looking for Before Generation" (NeurIPS 2024, arXiv
2404.14469), section 4; window 32 and an average pool of 5 as in the released code.
Where we differ: only image tokens are candidates; pooling stays inside an image; heads share one
set unless `head_mode` is `wise`. Image tokens inside the window itself are always best, as the
window is kept.
"""

import torch

from myopia.evidence import Evidence, Needs, require
from myopia.geometry import image_positions
from myopia.layout import Layout
from myopia.params import Pruning
from myopia.policies.policy import EvenLayers
from myopia.ranking import pooled

WINDOW = 32
KERNEL = 5


class SnapKV(EvenLayers):
    """Votes of the window's rows."""

    knobs = frozenset({"head_mode"})
    graded = False  # tokens of the window are lifted above any vote

    def needs(self, pruning: Pruning) -> Needs:
        """See the window."""
        return Needs(window=WINDOW)

    def score(self, evidence: Evidence, layout: Layout, pruning: Pruning) -> torch.Tensor:
        """Smoothed votes `(H, N)`; tokens inside the window come first."""
        votes = pooled(require(evidence.window, "window"), layout, KERNEL)
        positions = image_positions(layout).to(votes.device)
        inside = positions >= layout.length - WINDOW
        # A vote is at most the number of rows, so this lifts without losing the order.
        return votes + (WINDOW + 1.0) * inside
