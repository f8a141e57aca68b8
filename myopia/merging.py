"""LOOK-M's merges: evicted image tokens are folded into the kept ones that they resemble.

Source: LOOK-M (arXiv 2406.18139), section 3.3, equations for averaged, pivotal and weighted
merging. Where we differ: only kept image tokens are targets (merging into text corrupted other
reproductions), every evicted token is merged (the released averaged and weighted forms filter, and
merge the wrong ones), and no count enters the logits, as in the paper.
Nothing here knows why a token was evicted.
"""

from dataclasses import dataclass

import torch

# Evicted rows compared at a time: 1024 x 3000 kept cosines in float32 are 12 MB per head.
ROWS_AT_A_TIME = 1024


@dataclass(frozen=True, slots=True)
class Merge:
    """Where each evicted token goes, and how alike it is (float32 cosine)."""

    target: torch.Tensor  # (C, E) index into the kept ones
    likeness: torch.Tensor  # (C, E)


def merge_evicted(
    keys: torch.Tensor, values: torch.Tensor, kept: torch.Tensor, form: str
) -> tuple[torch.Tensor, torch.Tensor]:
    """Kept keys and values `(C, h, K, D)` after merging; keys, values `(C, h, N, D)`.

    `kept (C, N)` has C choices, each for h heads, which share one assignment by their mean cosine;
    every choice keeps equally many.
    """
    choices = len(kept)
    inside = kept.nonzero()[:, 1].view(choices, -1)
    outside = (~kept).nonzero()[:, 1].view(choices, -1)
    choice = torch.arange(choices, device=kept.device)[:, None]
    merged, merge = [], None
    for tensor in (keys, values):
        rows = tensor.transpose(1, 2)
        own, lost = rows[choice, inside].float(), rows[choice, outside].float()  # (C, K, h, D)
        merge = _nearest(lost, own) if merge is None else merge
        merged.append(_fold(own, lost, merge, form).transpose(1, 2).to(tensor.dtype))
    return merged[0], merged[1]


def _nearest(evicted: torch.Tensor, kept: torch.Tensor) -> Merge:
    """Most alike kept token of each evicted one."""
    right = torch.nn.functional.normalize(kept, dim=-1).flatten(2).transpose(1, 2)
    left = torch.nn.functional.normalize(evicted, dim=-1).flatten(2)
    likeness, target = [], []
    for rows in torch.split(left, ROWS_AT_A_TIME, dim=1):
        best = ((rows @ right) / kept.shape[2]).max(-1)
        likeness.append(best.values)
        target.append(best.indices)
    return Merge(torch.cat(target, dim=1), torch.cat(likeness, dim=1))


def _fold(kept: torch.Tensor, evicted: torch.Tensor, merge: Merge, form: str) -> torch.Tensor:
    """The merged kept vectors `(C, K, h, D)`; all forms divide by one plus the members' number."""
    choices, count = kept.shape[:2]
    choice = torch.arange(choices, device=kept.device)[:, None]
    share = evicted
    if form == "weighted":
        share = evicted * merge.likeness[..., None, None]
    if form == "pivotal":
        share = (evicted + kept[choice, merge.target]) / 2
    target = (choice * count + merge.target).flatten()
    sums = kept.flatten(0, 1).index_add(0, target, share.flatten(0, 1))
    members = torch.bincount(target, minlength=choices * count)
    return (sums / (members + 1)[:, None, None]).view_as(kept)
