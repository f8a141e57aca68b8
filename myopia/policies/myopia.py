"""Dynamic Attention Subsidy: cumulative and text-guided attention, mixed.

Source: "Myopia Rectification: KV Cache Pruning for MLLMs via Dynamic Attention Subsidy and Token
Reclamation" (CVPR 2026 Findings), abstract and supplementary sections on alpha and gamma.
The paper states alpha (weight of the text-image part), gamma in [1, 2.5] and that scores of late
images are raised; the exact formula could not be found. Ours: both parts are scaled to sum to one
over the image tokens before they are mixed, and the subsidy (`myopia.subsidy`) multiplies the
mixed score. A look at the paper's own form may differ there. `guide` is ours too: the question's
rows look at what may matter, the last row at what its answer needs, and half of each lost least
where both were measured (docs/decisions/0053).
"""

import torch

from myopia.evidence import Evidence, Needs, require, unit_mass
from myopia.layout import Layout
from myopia.params import Pruning
from myopia.policies.policy import EvenLayers
from myopia.subsidy import per_visible_row


class Myopia(EvenLayers):
    """S = (1 - alpha)·cumulative + alpha·text-guided, each summing to one."""

    knobs = frozenset(
        {
            "gamma",
            "alpha",
            "guide",
            "subsidy",
            "head_mode",
            "bin_tokens",
            "bin_mode",
            "bin_scope",
            "min_per_image",
        }
    )
    graded = True

    def needs(self, pruning: Pruning) -> Needs:
        """See only the parts that alpha gives a weight."""
        guided = pruning.alpha > 0
        return Needs(
            columns=pruning.alpha < 1,
            text=guided and pruning.guide != "reply",
            window=1 if guided and pruning.guide != "question" else 0,
        )

    def score(self, evidence: Evidence, layout: Layout, pruning: Pruning) -> torch.Tensor:
        """Mix the two parts; `(H, N)` or, aggregated, `(1, N)`; each head sums to one."""
        alpha = pruning.alpha
        aggregate = pruning.head_mode == "aggregate"
        mixed: torch.Tensor | None = None
        if alpha < 1:
            columns = require(evidence.columns, "columns")
            if pruning.subsidy == "visible":
                columns = per_visible_row(columns, layout)
            mixed = (1 - alpha) * unit_mass(columns.mean(0, keepdim=True) if aggregate else columns)
        if alpha > 0:
            looks = []
            if pruning.guide != "reply":
                looks.append(require(evidence.text, "text"))
            if pruning.guide != "question":
                looks.append(require(evidence.window, "window"))
            parts = [unit_mass(look.mean(0, keepdim=True) if aggregate else look) for look in looks]
            guided = alpha * torch.stack(parts).mean(0)
            mixed = guided if mixed is None else mixed + guided
        return require(mixed, "a part of the score")
