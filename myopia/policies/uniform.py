"""Keeps the same number of tokens of every image, evenly spread: the fair share without attention.

Source: the usual control of multi-image pruning (equal quota per image).
Where we differ: nothing; inside an image tokens come in van der Corput order, so that the first K
are evenly spread over its rows for every K.
"""

from functools import lru_cache

import torch

from myopia.evidence import Evidence, Needs
from myopia.layout import Layout
from myopia.params import Pruning
from myopia.policies.policy import EvenLayers
from myopia.ranking import ranks


class Uniform(EvenLayers):
    """Minus the token's turn in its own image; ties go to the earlier image."""

    knobs: frozenset[str] = frozenset()
    graded = False

    def needs(self, pruning: Pruning) -> Needs:
        """See nothing."""
        return Needs()

    def score(self, evidence: Evidence, layout: Layout, pruning: Pruning) -> torch.Tensor:
        """Turns, `(1, N)`."""
        return torch.cat([-_turns(span.length) for span in layout.spans], dim=-1)


@lru_cache(64)
def _turns(tokens: int) -> torch.Tensor:
    """The turn `(1, tokens)` of each token: by its index with the bits reversed."""
    bits = max(1, (tokens - 1).bit_length())
    mirrored = [int(format(index, f"0{bits}b")[::-1], 2) for index in range(tokens)]
    return ranks(-torch.tensor([mirrored], dtype=torch.float32)).float()
