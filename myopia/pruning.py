"""From evidence to a shorter cache: scores, subsidy, counts, choice, bins, and the gather.

One function serves the engine and the library door alike. It knows no model, no batch and no
slot: a row's keys and values come in, the survivors go out.
"""

from collections.abc import Iterator, Sequence

import torch

from myopia import budget
from myopia.bins import Bins
from myopia.evidence import Evidence, unit_mass
from myopia.geometry import image_index
from myopia.layout import Layout
from myopia.observer import Observer
from myopia.params import Pruning
from myopia.policies import policy_of
from myopia.selection import Rule, select, select_by_quota
from myopia.subsidy import image_sums, subsidy_weights
from myopia.survivors import Decisions, Survivors, store
from myopia.traces import LayerTrace

__all__ = ["Survivors", "prune_row"]

# Layers are pruned together as long as their keys and values in float32 take no more than this:
# small models need few calls, large ones little memory.
BYTES_TOGETHER = 32 * 2**20


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
    survivors: list[Survivors] = []
    for group in _groups(layers, quotas):
        scores = torch.cat([one for _, one in seen[group]]).to(layers[0][0].device)
        choices = _choose(scores, layout, pruning, quotas[group.start])
        kept, bins = store(layers[group], choices, layout, pruning)
        survivors += kept
        if observer.trace is not None:
            evidences = [evidence for evidence, _ in seen[group]]
            observer.trace.layers += _traced(evidences, scores, choices, bins, layout, pruning)
    return survivors


def _groups(
    layers: Sequence[tuple[torch.Tensor, torch.Tensor]], quotas: Sequence[int]
) -> Iterator[slice]:
    """Neighbouring layers of equal quotas, as many as may be worked on together."""
    keys, values = layers[0]
    most = max(1, BYTES_TOGETHER // (4 * (keys.numel() + values.numel())))
    start = 0
    for stop in range(1, len(quotas) + 1):
        if stop == len(quotas) or quotas[stop] != quotas[start] or stop - start == most:
            yield slice(start, stop)
            start = stop


def _choose(scores: torch.Tensor, layout: Layout, pruning: Pruning, quota: int) -> Decisions:
    """Subsidise scores `(C, N)` and select within a quota."""
    kept, bins = budget.split_quota(quota, layout, pruning)
    floor = budget.image_floor(kept, layout, pruning)
    rule = Rule(kept, floor, pruning.newline_policy)
    if not policy_of(pruning).graded:
        return Decisions(scores, select(scores, layout, rule), bins)
    scores = scores * subsidised(scores, layout, pruning)
    if by_quota(pruning):
        return Decisions(scores, select_by_quota(scores, layout, rule, pruning.gamma), bins)
    return Decisions(scores, select(scores, layout, rule), bins)


def by_quota(pruning: Pruning) -> bool:
    """Whether each image has its own part of the budget; a default binds no rival's policy."""
    return pruning.subsidy == "quota" and "subsidy" in policy_of(pruning).knobs


def subsidised(scores: torch.Tensor, layout: Layout, pruning: Pruning) -> torch.Tensor:
    """Factors `(C or 1, N)`; ones for policies that have no gamma."""
    if "gamma" not in policy_of(pruning).knobs:
        return torch.ones(1, scores.shape[-1], device=scores.device)
    return subsidy_weights(scores, layout, pruning)


def _traced(
    evidences: Sequence[Evidence],
    scores: torch.Tensor,
    choices: Decisions,
    bins: Bins | None,
    layout: Layout,
    pruning: Pruning,
) -> list[LayerTrace]:
    """What explaining wants to know of each of these layers."""
    graded, image_of = policy_of(pruning).graded, image_index(layout)
    each = len(scores) // len(evidences)
    traces = []
    for number, evidence in enumerate(evidences):
        own = slice(number * each, (number + 1) * each)
        before = scores[own] if graded else evidence.mass()
        after = choices.scores[own] if graded else before
        if graded and by_quota(pruning):  # the subsidy is in the quotas, and not in the scores
            after = choices.kept[own].float()
        traces.append(
            LayerTrace(
                kept=choices.kept[own].float().mean(0).cpu(),
                before=_shares(before, layout),
                after=_shares(after, layout),
                bin_sizes=() if bins is None else _rounded(bins.counts[own]),
                bin_images=()
                if bins is None
                else tuple(image_of[bins.seats[own][0].cpu()].tolist()),
            )
        )
    return traces


def _shares(scores: torch.Tensor | None, layout: Layout) -> tuple[float, ...] | None:
    """Each image's part of the scores' sum, heads averaged."""
    if scores is None:
        return None
    even = unit_mass(scores.float()).mean(0, keepdim=True)
    return tuple(image_sums(even, layout)[0].tolist())


def _rounded(counts: torch.Tensor) -> tuple[int, ...]:
    return tuple(round(count) for count in counts.float().mean(0).tolist())
