"""Keeps image tokens by chance: the floor that every scorer must beat.

Source: the usual control of pruning papers (for example kvpress' random press).
Where we differ: chance depends on the prompt's length and the layer alone, so the same ask keeps
the same tokens whatever its neighbours are.
"""

import torch

from myopia.evidence import Evidence, Needs
from myopia.layout import Layout
from myopia.params import Pruning
from myopia.policies.policy import EvenLayers


class Random(EvenLayers):
    """Uniform draws from a seed of its own."""

    knobs: frozenset[str] = frozenset()
    graded = False

    def needs(self, pruning: Pruning) -> Needs:
        """See nothing."""
        return Needs()

    def score(self, evidence: Evidence, layout: Layout, pruning: Pruning) -> torch.Tensor:
        """Draws in [0, 1), `(1, N)`."""
        chance = torch.Generator().manual_seed(layout.length * 1009 + evidence.layer)
        return torch.rand(1, layout.image_tokens, generator=chance)
