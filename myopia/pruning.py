"""From evidence to a shorter cache: scores, subsidy, counts, choice, bins, and the gather.

One function serves the engine and the library door alike. It knows no model, no batch and no
slot: a row's keys and values come in, the survivors go out.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from myopia import budget
from myopia.bins import Bins, Discarded, recycle
from myopia.evidence import Evidence, unit_mass
from myopia.geometry import image_index, image_positions
from myopia.layout import Layout
from myopia.merging import merge_evicted
from myopia.observer import Observer
from myopia.params import Pruning
from myopia.policies import policy_of
from myopia.selection import Rule, select, select_by_quota
from myopia.subsidy import image_sums, subsidy_weights
from myopia.traces import LayerTrace


@dataclass(frozen=True, slots=True)
class Survivors:
    """What one layer keeps of a row: bins first, then kept tokens by ascending position."""

    keys: torch.Tensor  # (H, K, D)
    values: torch.Tensor  # (H, K, D)
    bias: torch.Tensor | None  # (H, K) float32 log-counts, None where nothing needs a bias
    positions: torch.Tensor  # (H or 1, K) int64; a bin stands at its representative's position
    bins: int  # how many of the K come first as bins
    dropped: int = 0  # tokens of the prompt that are not among the K


@dataclass(frozen=True, slots=True)
class _Choice:
    """One layer's decision over image tokens."""

    scores: torch.Tensor  # (H or 1, N) subsidised
    kept: torch.Tensor  # (H or 1, N) bool
    bins: int


@torch.no_grad()
def prune_row(
    layers: Sequence[tuple[torch.Tensor, torch.Tensor]],
    observer: Observer,
    layout: Layout,
    pruning: Pruning,
) -> list[Survivors]:
    """Survivors of every layer; keys and values `(H, S, D)` with S = `layout.length`.

    Nothing to prune (no image, budget 1, policy `full`): the same tensors come back, unbiased.
    Raises BadRequest where the knobs do not fit the prompt (`budget.check`).
    """
    budget.check(pruning, layout)
    if not budget.prunes(layout, pruning):
        whole = torch.arange(layout.length, device=layers[0][0].device)[None]
        return [Survivors(keys, values, None, whole, 0) for keys, values in layers]
    policy = policy_of(pruning)
    seen = []
    for index in range(len(layers)):
        evidence = observer.evidence(index)
        scores = policy.score(evidence, layout, pruning).float()
        if pruning.head_mode == "aggregate":
            scores = scores.mean(0, keepdim=True)
        seen.append((evidence, scores))
    total = budget.image_quota(layout, pruning) * len(layers)
    quotas = budget.layer_quotas(layout, pruning, len(layers), policy.layer_sizes(seen, total))
    survivors = []
    for (evidence, scores), (keys, values), quota in zip(seen, layers, quotas, strict=True):
        choice = _choose(scores.to(keys.device), layout, pruning, quota)
        kept, bins = _store(keys, values, choice, layout, pruning)
        if observer.trace is not None:
            observer.trace.layers.append(_traced(evidence, scores, choice, bins, layout, pruning))
        survivors.append(kept)
    return survivors


def _choose(scores: torch.Tensor, layout: Layout, pruning: Pruning, quota: int) -> _Choice:
    """Subsidise and select within one layer's quota."""
    kept, bins = budget.split_quota(quota, layout, pruning)
    floor = budget.image_floor(kept, layout, pruning)
    rule = Rule(kept, floor, pruning.newline_policy)
    if not policy_of(pruning).graded:
        return _Choice(scores, select(scores, layout, rule), bins)
    scores = scores * subsidised(scores, layout, pruning)
    if pruning.subsidy == "quota":
        return _Choice(scores, select_by_quota(scores, layout, rule, pruning.gamma), bins)
    return _Choice(scores, select(scores, layout, rule), bins)


def subsidised(scores: torch.Tensor, layout: Layout, pruning: Pruning) -> torch.Tensor:
    """Factors `(H or 1, N)`; ones for policies that have no gamma."""
    if "gamma" not in policy_of(pruning).knobs:
        return torch.ones(1, scores.shape[-1], device=scores.device)
    return subsidy_weights(scores, layout, pruning)


def _store(
    keys: torch.Tensor,
    values: torch.Tensor,
    choice: _Choice,
    layout: Layout,
    pruning: Pruning,
) -> tuple[Survivors, Bins | None]:
    """Gather what is kept, make bins (or merge) of the rest."""
    images = image_positions(layout).to(keys.device)
    alive = torch.ones(choice.kept.shape[0], layout.length, dtype=torch.bool, device=keys.device)
    alive[:, images] = choice.kept
    positions = alive.nonzero()[:, 1].view(alive.shape[0], -1)  # ascending, equal counts
    kept_keys, kept_values = gather(keys, positions), gather(values, positions)
    if pruning.policy == "look-m":
        merged = merge_evicted(keys[:, images], values[:, images], choice.kept, pruning.merge)
        _put(kept_keys, kept_values, merged, alive, images)
    if not choice.bins:
        dropped = layout.length - positions.shape[1]
        return Survivors(kept_keys, kept_values, None, positions, 0, dropped), None
    cast_off = Discarded(keys[:, images], values[:, images], choice.scores, ~choice.kept)
    bins = recycle(cast_off, layout, choice.bins, pruning.bin_scope)
    bias = None
    if pruning.bin_mode == "mass":
        bias = keys.new_zeros(keys.shape[0], choice.bins + positions.shape[1], dtype=torch.float32)
        bias[:, : choice.bins] = bins.counts.float().log()
    return (
        Survivors(
            torch.cat([bins.keys, kept_keys], dim=1),
            torch.cat([bins.values, kept_values], dim=1),
            bias,
            torch.cat([images[bins.seats], positions], dim=1),
            choice.bins,
            layout.length - positions.shape[1] - choice.bins,
        ),
        bins,
    )


def gather(tensor: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    """Entries `(H, K, D)` of `(H, S, D)` at positions `(H or 1, K)`."""
    if positions.shape[0] == 1:
        return tensor[:, positions[0]]
    return tensor.gather(1, positions[..., None].expand(-1, -1, tensor.shape[-1]))


def _put(
    kept_keys: torch.Tensor,
    kept_values: torch.Tensor,
    merged: tuple[torch.Tensor, torch.Tensor],
    alive: torch.Tensor,
    images: torch.Tensor,
) -> None:
    """Write merged image tokens `(H, K_img, D)` over the gathered ones, in place."""
    is_image = torch.zeros(alive.shape[1], dtype=torch.bool, device=alive.device)
    is_image[images] = True
    for head in range(alive.shape[0]):
        rows = slice(None) if alive.shape[0] == 1 else slice(head, head + 1)
        seats = is_image[alive[head].nonzero()[:, 0]].nonzero()[:, 0]
        kept_keys[rows, seats] = merged[0][rows]
        kept_values[rows, seats] = merged[1][rows]


def _traced(
    evidence: Evidence,
    scores: torch.Tensor,
    choice: _Choice,
    bins: Bins | None,
    layout: Layout,
    pruning: Pruning,
) -> LayerTrace:
    """What explaining wants to know of this layer."""
    graded = policy_of(pruning).graded
    before = scores if graded else evidence.mass()
    after = choice.scores if graded else before
    image_of = image_index(layout)
    return LayerTrace(
        kept=choice.kept.float().mean(0).cpu(),
        before=_shares(before, layout),
        after=_shares(after, layout),
        bin_sizes=() if bins is None else _rounded(bins.counts),
        bin_images=() if bins is None else tuple(image_of[bins.seats[0].cpu()].tolist()),
    )


def _shares(scores: torch.Tensor | None, layout: Layout) -> tuple[float, ...] | None:
    """Each image's part of the scores' sum, heads averaged."""
    if scores is None:
        return None
    even = unit_mass(scores.float()).mean(0, keepdim=True)
    return tuple(image_sums(even, layout)[0].tolist())


def _rounded(counts: torch.Tensor) -> tuple[int, ...]:
    return tuple(round(count) for count in counts.float().mean(0).tolist())
