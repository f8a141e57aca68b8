"""From evidence to a shorter cache: scores, subsidy, counts, choice, bins, and the gather.

One function serves the engine and the library door alike. It knows no model, no batch and no
slot: a row's keys and values come in, the survivors go out.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch

from myopia import budget
from myopia.bins import Bins
from myopia.evidence import Evidence, unit_mass
from myopia.geometry import image_index, image_positions
from myopia.layout import Layout
from myopia.novelty import novelty
from myopia.observer import Observer
from myopia.params import Pruning
from myopia.policies import policy_of
from myopia.selection import Rule, root_sums, select, select_by_shares
from myopia.subsidy import SHARING, asked_shares, image_sums, subsidy_weights
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
    shares = None
    if by_quota(pruning) and pruning.subsidy == "asked":
        shares = asked_shares([_look(evidence) for evidence, _ in seen], layout, pruning.alpha)
    survivors: list[Survivors] = []
    for group in _groups(layers, quotas):
        scores = torch.cat([one for _, one in seen[group]]).to(layers[0][0].device)
        keys = [key for key, _ in layers[group]]
        choices = _choose(scores, keys, layout, pruning, quota=quotas[group.start], shares=shares)
        if choices.bins and pruning.bin_mode == "matched":
            weights = [_weights(evidence, layout) for evidence, _ in seen[group]]
            choices = replace(choices, weights=_by_choice(weights, scores))
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


def _choose(
    scores: torch.Tensor,
    keys: Sequence[torch.Tensor],
    layout: Layout,
    pruning: Pruning,
    *,
    quota: int,
    shares: torch.Tensor | None,
) -> Decisions:
    """Subsidise scores `(C, N)` and select within a quota; `shares (1, M)` where `asked` made any.

    Keys `(H, S, D)` are those of the layers that the scores belong to.
    """
    kept, bins = budget.split_quota(quota, layout, pruning)
    floor = budget.image_floor(kept, layout, pruning)
    rule = Rule(kept, floor, pruning.newline_policy)
    if not policy_of(pruning).graded:
        return Decisions(scores, select(scores, layout, rule), bins)
    scores = scores * subsidised(scores, layout, pruning)
    if not by_quota(pruning):
        return Decisions(scores, select(scores, layout, rule), bins)
    worth = scores
    if pruning.subsidy != "quota":
        worth = scores * novelty(_image_keys(keys, layout, len(scores)), scores, layout)
    shares = root_sums(scores, layout) if shares is None else shares
    return Decisions(scores, select_by_shares(worth, shares, layout, rule, pruning.gamma), bins)


def _image_keys(keys: Sequence[torch.Tensor], layout: Layout, choices: int) -> torch.Tensor:
    """Layers' keys of image tokens `(C, h, N, D)`: of h heads each, as many as make a choice."""
    images = image_positions(layout).to(keys[0].device)
    own = torch.cat([layer[:, images] for layer in keys])
    return own.view(choices, -1, *own.shape[1:])


def by_quota(pruning: Pruning) -> bool:
    """Whether each image has its own part of the budget; a default binds no rival's policy."""
    return pruning.subsidy in SHARING and "subsidy" in policy_of(pruning).knobs


def _look(evidence: Evidence) -> torch.Tensor | None:
    """What tells which images are asked about: the reply's row, else the question's, if seen."""
    return evidence.text if evidence.window is None else evidence.window


def _weights(evidence: Evidence, layout: Layout) -> torch.Tensor:
    """How much image tokens `(H, N)` count within their bins: as much as they were looked at.

    By the row whose answer comes next, else by the question's, so that bins give these the same as
    their members did. Where nothing stands behind the last image nobody asks, and all rows count.
    """
    look = _look(evidence) if layout.length > layout.spans[-1].stop else None
    weights = evidence.mass() if look is None else look
    if weights is None:
        raise AssertionError("bins are matched to attention, and none was seen")
    return weights


def _by_choice(weights: Sequence[torch.Tensor], scores: torch.Tensor) -> torch.Tensor:
    """Layers' weights `(H, N)` as `(C, h, N)`: of h heads each, as many as make a choice."""
    together = torch.cat(list(weights)).to(scores.device)
    return together.view(len(scores), -1, scores.shape[-1])


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
    graded, layers = policy_of(pruning).graded, len(evidences)
    before = scores if graded else _masses(evidences)
    after = choices.scores if graded else before
    if graded and by_quota(pruning):  # the subsidy is in the quotas, and not in the scores
        after = choices.kept.float()
    sizes: list[list[int]] = [[]] * layers
    images = sizes
    if bins is not None:
        sizes = _head_means(bins.counts.float(), layers).round().int().tolist()
        owners = image_index(layout)[bins.seats.cpu()]
        images = owners[:: len(owners) // layers].tolist()
    parts = zip(
        _head_means(choices.kept.float(), layers).cpu(),
        _shares(before, layers, layout),
        _shares(after, layers, layout),
        map(tuple, sizes),
        map(tuple, images),
        strict=True,
    )
    return [LayerTrace(*part) for part in parts]


def _masses(evidences: Sequence[Evidence]) -> torch.Tensor | None:
    """Attention mass of all layers `(C, N)`, None where nothing was seen."""
    seen = [mass for evidence in evidences if (mass := evidence.mass()) is not None]
    return torch.cat(seen) if len(seen) == len(evidences) else None


def _head_means(values: torch.Tensor, layers: int) -> torch.Tensor:
    """Means `(layers, …)` of values `(C, …)`, which are some heads' of each layer."""
    return values.view(layers, -1, *values.shape[1:]).mean(1)


def _shares(
    scores: torch.Tensor | None, layers: int, layout: Layout
) -> list[tuple[float, ...] | None]:
    """Each image's part of the scores' sum in every layer, heads averaged."""
    if scores is None:
        return [None] * layers
    even = _head_means(unit_mass(scores.float()), layers)
    return [tuple(shares) for shares in image_sums(even, layout).tolist()]
