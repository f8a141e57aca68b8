"""StreamingLLM: the first tokens and the latest ones, whatever they say.

Source: "Efficient Streaming Language Models with Attention Sinks" (ICLR 2024, arXiv 2309.17453),
section 3.2: four sinks and a window.
Where we differ: the sinks are the first tokens of the prompt, which are text and kept, so the
first image tokens count as sinks only where they stand among the first four; positions are not
renumbered.
"""

import torch

from myopia.evidence import Evidence, Needs
from myopia.geometry import image_positions
from myopia.layout import Layout
from myopia.params import Pruning
from myopia.policies.policy import EvenLayers

SINKS = 4


class Streaming(EvenLayers):
    """Position itself, sinks above all."""

    knobs: frozenset[str] = frozenset()
    graded = False

    def needs(self, pruning: Pruning) -> Needs:
        """See nothing."""
        return Needs()

    def score(self, evidence: Evidence, layout: Layout, pruning: Pruning) -> torch.Tensor:
        """Recency, `(1, N)`."""
        positions = image_positions(layout).float()[None]
        return torch.where(positions < SINKS, positions + layout.length, positions)
