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

    target: torch.Tensor  # (E,) index into the kept ones
    likeness: torch.Tensor  # (E,)


def merge_evicted(
    keys: torch.Tensor, values: torch.Tensor, kept: torch.Tensor, form: str
) -> tuple[torch.Tensor, torch.Tensor]:
    """Kept keys and values `(H, K, D)` after merging; keys, values `(H, N, D)`, kept `(H or 1, N)`.

    Heads that share one mask share one assignment, by their mean cosine.
    """
    shared = kept.shape[0] == 1
    merged_keys, merged_values = [], []
    for head in range(kept.shape[0]):
        chosen = slice(None) if shared else slice(head, head + 1)
        k, v, mask = keys[chosen].float(), values[chosen].float(), kept[head]
        merge = _nearest(k[:, ~mask], k[:, mask])
        merged_keys.append(_fold(k[:, mask], k[:, ~mask], merge, form))
        merged_values.append(_fold(v[:, mask], v[:, ~mask], merge, form))
    return torch.cat(merged_keys).to(keys.dtype), torch.cat(merged_values).to(values.dtype)


def _nearest(evicted: torch.Tensor, kept: torch.Tensor) -> Merge:
    """Most alike kept token of each evicted one."""
    right = torch.nn.functional.normalize(kept, dim=-1)
    likeness, target = [], []
    left = torch.nn.functional.normalize(evicted, dim=-1)
    for rows in torch.split(left, ROWS_AT_A_TIME, dim=1):
        best = (torch.einsum("hed,hkd->ek", rows, right) / kept.shape[0]).max(-1)
        likeness.append(best.values)
        target.append(best.indices)
    return Merge(torch.cat(target), torch.cat(likeness))


def _fold(kept: torch.Tensor, evicted: torch.Tensor, merge: Merge, form: str) -> torch.Tensor:
    """The merged kept vectors `(H, K, D)`; all forms divide by one plus the number of members."""
    counts = torch.bincount(merge.target, minlength=kept.shape[1])[None, :, None]
    share = evicted
    if form == "weighted":
        share = evicted * merge.likeness[None, :, None]
    if form == "pivotal":
        share = (evicted + kept[:, merge.target]) / 2
    sums = kept.clone().index_add_(1, merge.target, share)
    return sums / (counts + 1)
