"""Pruning the plain way: one layer, one head, one image after another, sizes by bisection.

The reference that the batched code is compared with. Nothing here is fast or meant to be.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from myopia import budget
from myopia.geometry import image_index, image_positions, newline_mask
from myopia.layout import Layout
from myopia.observer import Observer
from myopia.params import Pruning
from myopia.policies import policy_of
from myopia.pruning import subsidised
from myopia.subsidy import SHARING, image_weights


@dataclass
class Kept:
    """One layer's survivors, `(H, K, D)`, and their bias `(H, K)`."""

    keys: torch.Tensor
    values: torch.Tensor
    bias: torch.Tensor | None
    positions: torch.Tensor


Tensors = Sequence[tuple[torch.Tensor, torch.Tensor]]


def prune_slowly(layers: Tensors, observer: Observer, layout: Layout, pruning: Pruning):  # noqa: ANN201
    policy, seen = policy_of(pruning), []
    for index in range(len(layers)):
        evidence = observer.evidence(index)
        scores = policy.score(evidence, layout, pruning).float()
        if pruning.head_mode == "aggregate":
            scores = scores.mean(0, keepdim=True)
        seen.append((evidence, scores))
    total = budget.image_quota(layout, pruning) * len(layers)
    quotas = budget.layer_quotas(layout, pruning, len(layers), policy.layer_sizes(seen, total))
    looks = [e.text if e.window is None else e.window for e, _ in seen]
    shares = None
    if pruning.subsidy == "asked" and pruning.policy == "myopia":
        shares = asked_slowly(looks, layout, pruning.alpha)
    after = layout.length > layout.spans[-1].stop
    guides = [
        e.columns if look is None or not (after or e.columns is None) else look
        for look, (e, _) in zip(looks, seen, strict=True)
    ]
    return [
        _layer(keys, values, scores, quota, layout, pruning, shares, guide)
        for (_, scores), (keys, values), quota, guide in zip(
            seen, layers, quotas, guides, strict=True
        )
    ]


def _layer(keys, values, scores, quota, layout: Layout, pruning: Pruning, shares, guide) -> Kept:  # noqa: ANN001, PLR0917
    keep, bins = budget.split_quota(quota, layout, pruning)
    floor = budget.image_floor(keep, layout, pruning)
    if policy_of(pruning).graded:
        scores = scores * subsidised(scores, layout, pruning)
    shared = scores.shape[0] == 1
    heads = []
    for head in range(scores.shape[0]):
        mine = slice(None) if shared else slice(head, head + 1)
        novel = novel_slowly(keys[mine], scores[head], layout)
        kept = _chosen(scores[head], layout, pruning, keep, floor, novel, shares)
        own = guide[mine] if bins and pruning.bin_mode == "matched" else None
        heads.append(
            _head(keys[mine], values[mine], scores[head], kept, bins, layout, pruning, own)
        )
    biases = [one.bias for one in heads]
    return Kept(
        torch.cat([one.keys for one in heads]),
        torch.cat([one.values for one in heads]),
        None if biases[0] is None else torch.cat([b for b in biases if b is not None]),
        torch.stack([one.positions for one in heads]),
    )


def _order(worth: list[float]) -> list[int]:
    return sorted(range(len(worth)), key=lambda at: (-worth[at], at))


def _chosen(  # noqa: ANN202, PLR0917
    scores: torch.Tensor,
    layout: Layout,
    pruning: Pruning,
    keep: int,
    floor: int,
    novel: list[float],
    shares: list[float] | None,
):
    """Indices of the kept image tokens, ascending."""
    worth, image_of = scores.tolist(), layout.image_of()
    sharing = pruning.subsidy in SHARING and pruning.policy == "myopia"
    roots = [math.sqrt(max(0.0, one)) for one in worth]
    if sharing and pruning.subsidy != "quota":
        worth = (scores * torch.tensor(novel)).tolist()
    ends = newline_mask(layout).tolist()
    sign = {"score": 0, "keep": -1, "drop": 1}[pruning.newline_policy]
    place = {at: rank for rank, at in enumerate(_order(worth))}
    order = sorted(place, key=lambda at: (sign * ends[at], place[at]))
    images = range(len(layout.spans))
    if sharing:
        weights = image_weights(layout, pruning.gamma)
        wishes = [0.0 for _ in images]
        for at, image in enumerate(image_of):
            wishes[image] += weights[image] * roots[at]
        if shares is not None:
            wishes = [weights[image] * shares[image] for image in images]
        counts = share_slowly(wishes, keep, floor, [span.length for span in layout.spans])
        return sorted(at for image in images for at in _of(order, image_of, image)[: counts[image]])
    first_by = order if pruning.newline_policy == "drop" else sorted(place, key=place.__getitem__)
    first = {at for image in images for at in _of(first_by, image_of, image)[:floor]}
    return sorted(sorted(order, key=lambda at: at not in first)[:keep])


def novel_slowly(keys: torch.Tensor, scores: torch.Tensor, layout: Layout) -> list[float]:
    """1 minus the greatest mean cosine to a better token of the same image, token by token."""
    units = torch.nn.functional.normalize(keys[:, image_positions(layout)], dim=-1)
    order, image_of = _order(scores.tolist()), layout.image_of()
    found = [1.0] * len(order)
    for rank, at in enumerate(order):
        better = [one for one in order[:rank] if image_of[one] == image_of[at]]
        alike = [float((units[:, at] * units[:, one]).sum(-1).mean()) for one in better]
        found[at] = 1 - max([0.0, *alike])
    return found


def asked_slowly(looks, layout: Layout, alpha: float) -> list[float]:  # noqa: ANN001
    """Half (alpha) by what telling heads look at, half evenly, head by head."""
    images, image_of = len(layout.spans), layout.image_of()
    even, looked, weight = 1 / images, [0.0] * images, 0.0
    after = layout.length > layout.spans[-1].stop
    for head in [head for look in looks if look is not None and after for head in look.tolist()]:
        parts = [sum(head[at] for at in _of(range(len(head)), image_of, m)) for m in range(images)]
        parts = [part / sum(parts) if sum(parts) else even for part in parts]
        entropy = -sum(part * math.log(part) for part in parts if part)
        telling = max(1e-6, 1 - entropy / math.log(images)) if images > 1 else 1.0
        looked = [one + telling * part for one, part in zip(looked, parts, strict=True)]
        weight += telling
    if not weight:
        return [even] * images
    return [(1 - alpha) * even + alpha * one / weight for one in looked]


def _of(order: list[int], image_of: list[int], image: int) -> list[int]:
    return [at for at in order if image_of[at] == image]


def _head(keys, values, scores, kept, bins: int, layout: Layout, pruning: Pruning, guide) -> Kept:  # noqa: ANN001, PLR0917
    """One choice's survivors: bins first, then kept tokens by position."""
    places = image_positions(layout)
    lost = [at for at in range(layout.image_tokens) if at not in set(kept)]
    dead = set(places[lost].tolist())
    alive = torch.tensor([at for at in range(layout.length) if at not in dead])
    own_keys, own_values = keys[:, alive].clone(), values[:, alive].clone()
    if pruning.policy == "look-m":
        seats = [int((alive == places[at]).nonzero()[0]) for at in kept]
        merged = _merged(keys[:, places], values[:, places], kept, lost, pruning.merge)
        own_keys[:, seats], own_values[:, seats] = merged
    if not bins:
        return Kept(own_keys, own_values, None, alive)
    seats, members = _members(keys, scores, lost, bins, layout, pruning)
    bin_keys, bin_values = torch.zeros(2, len(keys), bins, keys.shape[2])
    bias = torch.zeros(len(keys), bins + len(alive))
    for at, one in enumerate(members):
        for head in range(len(keys)):
            weights = [1.0] * len(one) if guide is None else guide[head, one].tolist()
            total = sum(weights)
            parts = [weight / total if total else 1 / len(one) for weight in weights]
            bias[head, at] = -sum(part * math.log(part) for part in parts if part)
            for part, token in zip(parts, one, strict=True):
                bin_keys[head, at] += part * keys[head, places[token]]
                bin_values[head, at] += part * values[head, places[token]]
    return Kept(
        torch.cat([bin_keys, own_keys], 1),
        torch.cat([bin_values, own_values], 1),
        None if pruning.bin_mode == "paper" else bias,
        torch.cat([places[seats], alive]),
    )


def _members(keys, scores, lost, count: int, layout: Layout, pruning: Pruning):  # noqa: ANN001, ANN202
    """Seats ascending, and the tokens merged into each."""
    image_of, worth = image_index(layout).tolist(), scores.tolist()
    order = [at for at in _order(worth) if at in set(lost)]
    bereft = [len(_of(lost, image_of, image)) for image in range(len(layout.spans))]
    owned = pruning.bin_scope == "image" and count >= sum(1 for n in bereft if n)
    seats = sorted(order[:count])
    if owned:
        mass = [sum(worth[at] for at in _of(lost, image_of, m)) for m in range(len(bereft))]
        shares = share_slowly(mass, count, 1, bereft)
        seats = sorted(at for m, n in enumerate(shares) for at in _of(order, image_of, m)[:n])
    units = torch.nn.functional.normalize(keys[:, image_positions(layout)], dim=-1)
    members: list[list[int]] = [[] for _ in seats]
    for at in lost:
        likeness = [
            float((units[:, at] * units[:, seat]).sum(-1).mean())
            if not owned or image_of[seat] == image_of[at]
            else -math.inf
            for seat in seats
        ]
        goal = seats.index(at) if at in seats else likeness.index(max(likeness))
        members[goal].append(at)
    return seats, members


def _merged(keys, values, kept, lost, form: str):  # noqa: ANN001, ANN202
    """LOOK-M's merge of one choice, token by token."""
    units = torch.nn.functional.normalize(keys, dim=-1)
    sums = [keys[:, kept].clone(), values[:, kept].clone()]
    counts = [1] * len(kept)
    for at in lost:
        alike = [float((units[:, at] * units[:, one]).sum(-1).mean()) for one in kept]
        goal = alike.index(max(alike))
        counts[goal] += 1
        for total, source in zip(sums, (keys, values), strict=True):
            share = source[:, at] * (alike[goal] if form == "weighted" else 1)
            if form == "pivotal":
                share = (share + source[:, kept[goal]]) / 2
            total[:, goal] += share
    return [total / torch.tensor(counts)[None, :, None] for total in sums]


def share_slowly(wishes: list[float], total: int, floor: int, limits: list[int]) -> list[int]:
    """What `allotment.share_out` does, for one row."""
    shares, left = [0] * len(limits), total
    names = [m for m, limit in enumerate(limits) if limit]
    while names:
        low = min(floor, left // len(names))
        sizes = allot_slowly([wishes[m] for m in names], left, low, left)
        over = [m for m, size in zip(names, sizes, strict=True) if size > limits[m]]
        if not over:
            for m, size in zip(names, sizes, strict=True):
                shares[m] = size
            break
        for m in over:
            shares[m] = limits[m]
            left -= limits[m]
        names = [m for m in names if m not in over]
    return shares


def allot_slowly(wishes: list[float], total: int, low: int, high: int) -> list[int]:
    """Whole numbers by proportion, the scale between bounds found by bisection."""
    count = len(wishes)
    total = max(low * count, min(high * count, total))
    shares = [max(0.0, wish) for wish in wishes]
    if sum(shares) <= 0:
        shares = [1.0] * count
    shares = [share / sum(shares) + 1e-12 for share in shares]

    def clipped(scale: float) -> list[float]:
        return [min(float(high), max(float(low), scale * share)) for share in shares]

    exact = [total * share for share in shares]
    if min(exact) < low or max(exact) > high:
        below, above = 0.0, 1.0
        while sum(clipped(above)) < total and above < 1e18:
            above *= 2
        while below < (middle := (below + above) / 2) < above:
            below, above = (middle, above) if sum(clipped(middle)) <= total else (below, middle)
        exact = clipped(below)
    sizes = [math.floor(size + 1e-9) for size in exact]
    by_remainder = sorted(range(count), key=lambda i: (sizes[i] - exact[i], i))
    while sum(sizes) < total:
        for i in by_remainder:
            if sum(sizes) < total and sizes[i] < high:
                sizes[i] += 1
    return sizes
