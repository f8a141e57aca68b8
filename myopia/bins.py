"""The Recycling Bin: what is pruned is merged into a few slots instead of being forgotten.

Source: the paper's abstract ("compresses the discarded tokens to a minimal size"); nearest
representative by cosine of rotated keys and count-weighted means as in a third-party account.
Our additions: a bias on a bin's logits for the mass of its members, bins that hold tokens of one
image only, and members that count by the attention they had.

With weights w that sum to one, a bin's key is the sum of w·k, its value the sum of w·v, and its
bias the entropy of w, the log of how many members count (log n where all count alike). Whatever
the query, it never claims more mass than its members had, and it claims all of it where w is the
query's own attention: log(sum of exp(x)) is the largest of sum(w·x) + entropy(w) over all w, and
softmax(x) attains it (Gibbs' variational principle). The attention output is then exact, too.
Nothing here knows budgets or policies.
"""

from dataclasses import dataclass

import torch

from myopia.allotment import share_out
from myopia.geometry import image_index, image_positions
from myopia.layout import Layout
from myopia.ranking import descending, ranks
from myopia.selection import best_of_images
from myopia.subsidy import image_sums


@dataclass(frozen=True, slots=True)
class Bins:
    """B merged slots per head; C choices, each made for `h` heads."""

    keys: torch.Tensor  # (C, h, B, D)
    values: torch.Tensor  # (C, h, B, D)
    bias: torch.Tensor  # (C, h, B) float32, log of how many members count
    counts: torch.Tensor  # (C, B) int64, members of each
    seats: torch.Tensor  # (C, B) int64, image-token index of each representative


@dataclass(frozen=True, slots=True)
class Discarded:
    """What is pruned: a row's keys and values `(C, h, S, D)`, text included, and C choices.

    `scores` and the mask `pruned` are `(C, N)` over the image tokens; every choice prunes equally
    many. `weights (C, h, N)`, from 0 up: how much a token counts within its bin; None: all alike.
    """

    keys: torch.Tensor
    values: torch.Tensor
    scores: torch.Tensor
    pruned: torch.Tensor
    weights: torch.Tensor | None = None


def recycle(cast_off: Discarded, layout: Layout, count: int, scope: str) -> Bins:
    """Merge all pruned tokens into `count` bins; `image` scope holds once every image gets one."""
    choices = len(cast_off.pruned)
    images = image_positions(layout).to(cast_off.pruned.device)
    lost = image_sums(cast_off.pruned.long(), layout)
    owned = (lost > 0).sum(-1, keepdim=True) <= count if scope == "image" else False
    seats = _seats(cast_off, layout, count, lost, owned)
    members = cast_off.pruned.nonzero()[:, 1].view(choices, -1)  # (C, P), ascending
    at = torch.searchsorted(members, seats)  # where the representatives stand among the members
    keys = _rows(cast_off.keys, images[members])  # (C, P, h, D)
    alike = _likeness(keys, at)
    if not isinstance(owned, bool):
        image_of = image_index(layout).to(seats.device)
        foreign = image_of[members][:, :, None] != image_of[seats][:, None]
        alike.masked_fill_(foreign & owned[:, :, None], -torch.inf)
    nearest = alike.argmax(-1)
    # A representative is its own member, also where another's key is the same.
    nearest.scatter_(1, at, torch.arange(count, device=at.device).expand(choices, -1))
    counts = torch.zeros_like(seats).scatter_add_(1, nearest, torch.ones_like(nearest))
    values = _rows(cast_off.values, images[members])
    parts = _parts(cast_off.weights, members, nearest, counts)
    return Bins(
        keys=_means(keys, parts, nearest, count).to(cast_off.keys.dtype),
        values=_means(values, parts, nearest, count).to(cast_off.values.dtype),
        bias=_sums(-torch.special.xlogy(parts, parts), nearest, count).transpose(1, 2),
        counts=counts,
        seats=seats,
    )


def _seats(
    cast_off: Discarded,
    layout: Layout,
    count: int,
    lost: torch.Tensor,
    owned: torch.Tensor | bool,
) -> torch.Tensor:
    """Image-token indices `(C, B)` of the representatives, ascending: the best of the pruned.

    Where bins belong to images, every image that lost anything gets bins by the mass it lost.
    """
    worth = torch.where(cast_off.pruned, cast_off.scores, -torch.inf)
    chosen = torch.zeros_like(cast_off.pruned).scatter_(-1, descending(worth)[:, :count], True)
    if not isinstance(owned, bool) and bool(owned.any()):
        mass = image_sums(torch.where(cast_off.pruned, cast_off.scores, 0.0), layout)
        total = lost.new_full((len(lost),), count)
        shares = share_out(mass, total, torch.ones_like(total), lost)
        chosen = torch.where(owned, best_of_images(-ranks(worth), layout, shares), chosen)
    return chosen.nonzero()[:, 1].view(len(chosen), -1)


def _rows(tensor: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    """Float32 entries `(C, P, h, D)` of `(C, h, S, D)` at positions `(C, P)`."""
    choices, _, stored, _ = tensor.shape
    rows = torch.arange(choices, device=positions.device)[:, None] * stored + positions
    together = tensor.transpose(1, 2).flatten(0, 1)  # one copy, and then whole rows: faster
    found = together.index_select(0, rows.flatten()).view(*positions.shape, *together.shape[1:])
    return found.float()


def _likeness(members: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
    """Cosine of keys, mean over heads: `(C, P, B)` of members `(C, P, h, D)` with those `at`."""
    heads = members.shape[2]
    units = torch.nn.functional.normalize(members, dim=-1).flatten(2)
    seats = units.gather(1, at[..., None].expand(-1, -1, units.shape[-1]))
    return (units @ seats.transpose(1, 2)) / heads


def _parts(
    weights: torch.Tensor | None, members: torch.Tensor, nearest: torch.Tensor, counts: torch.Tensor
) -> torch.Tensor:
    """Each member's part `(C, P, h or 1)` of its bin, summing to one in every bin."""
    if weights is None:
        return counts.gather(1, nearest).float().reciprocal()[..., None]
    own = weights.float().transpose(1, 2)
    own = own.gather(1, members[..., None].expand(-1, -1, own.shape[2]))
    own = own.clamp_min(torch.finfo(torch.float32).tiny)  # where nobody was seen, all count alike
    sums = _sums(own, nearest, counts.shape[1])
    return own / sums.gather(1, nearest[..., None].expand_as(own))


def _means(
    members: torch.Tensor, parts: torch.Tensor, nearest: torch.Tensor, bins: int
) -> torch.Tensor:
    """Mean of each bin's members `(C, P, h, D)` by their parts `(C, P, h or 1)`: `(C, h, B, D)`."""
    return _sums(members * parts[..., None], nearest, bins).transpose(1, 2)


def _sums(members: torch.Tensor, nearest: torch.Tensor, bins: int) -> torch.Tensor:
    """Sum over each bin's members `(C, P, …)`: `(C, B, …)`."""
    choices = len(members)
    first = torch.arange(choices, device=nearest.device)[:, None] * bins
    sums = members.new_zeros(choices * bins, *members.shape[2:])
    sums.index_add_(0, (first + nearest).flatten(), members.flatten(0, 1))
    return sums.view(choices, bins, *members.shape[2:])
