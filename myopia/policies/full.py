"""Keeps everything: the reference that every other policy is measured against.

Source: none. `budget` is ignored.
"""

import torch

from myopia.evidence import Evidence, Needs
from myopia.layout import Layout
from myopia.params import Pruning
from myopia.policies.policy import EvenLayers


class Full(EvenLayers):
    """No evidence, no choice."""

    knobs: frozenset[str] = frozenset()
    graded = False

    def needs(self, pruning: Pruning) -> Needs:
        """See nothing."""
        return Needs()

    def score(self, evidence: Evidence, layout: Layout, pruning: Pruning) -> torch.Tensor:
        """All equal."""
        return torch.zeros(1, layout.image_tokens)
