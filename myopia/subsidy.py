"""Dynamic Attention Subsidy: what later images' scores are multiplied by, or what images share.

Source: the paper's abstract and supplementary (gamma in [1, 2.5] against an exponential decay of
scores over images); which form it uses is not known, so there are several and `index` stands for
the paper's by choice. The last three of `FORMS` are ours and share tokens out instead. Nothing
here knows how scores were made or what is kept.
"""

import math
from collections.abc import Sequence

import torch

from myopia.evidence import unit_mass
from myopia.geometry import image_index, image_lengths, image_positions
from myopia.layout import Layout
from myopia.params import Pruning

# `visible`: the last tokens are seen by few rows, and dividing by less than this overrates them.
LEAST_VISIBLE_ROWS = 64
# `fitted`: half of the fitted decay is real relevance as likely as not, so half is taken back.
SHRINK = 0.5
# `index_power` grows without bound: gamma 1.5 would be 290 at the 15th image.
LARGEST_POWER = 64.0
# `asked`: where every head looks at all images alike, they count alike.
LEAST_TELLING = 1e-6
# Forms that give every image its own number of tokens instead of multiplying scores.
SHARING = ("quota", "peaks", "asked")
FORMS = ("index", "index_power", "exp", "token", "fitted", "visible", *SHARING)


def subsidy_weights(scores: torch.Tensor, layout: Layout, pruning: Pruning) -> torch.Tensor:
    """Factors `(H or 1, N)` for scores `(H, N)`; one image is never subsidised.

    `visible` and the sharing forms weigh elsewhere (column sums; images' quotas): all ones here.
    """
    images = len(layout.spans)
    form = pruning.subsidy
    ones = torch.ones(1, layout.image_tokens, device=scores.device)
    if images < 2 or form == "visible" or form in SHARING:
        return ones
    if form == "token":
        positions = image_positions(layout).float()
        along = (positions - positions[0]) / (positions[-1] - positions[0])
        return torch.pow(pruning.gamma, along)[None].to(scores.device)
    if form == "fitted" and images >= 3:
        return _fitted(scores, layout, pruning.gamma)
    per_image = torch.tensor([[_by_image(form, m, images, pruning.gamma) for m in range(images)]])
    return spread(per_image, layout).to(scores.device)


def image_weights(layout: Layout, gamma: float) -> list[float]:
    """gamma^(m / (N - 1)): the last image counts gamma times the first, whatever N."""
    images = len(layout.spans)
    return [_by_image("index", m, images, gamma) if images > 1 else 1.0 for m in range(images)]


def asked_shares(
    looks: Sequence[torch.Tensor | None], layout: Layout, alpha: float
) -> torch.Tensor:
    """Shares `(1, M)` of M images, summing to one: alpha by what was looked at, the rest evenly.

    `looks`: what guiding rows looked at, `(H, N)` per layer, None where not seen. A head's shares
    count by how far they are from even (1 minus their entropy over log M): few heads tell images
    apart, and the mean of all would drown them. All layers get the same shares, since those heads
    sit in few layers.
    Before any question (no row after the last image) nothing is asked, and all is even.
    """
    images = len(layout.spans)
    even = torch.full((1, images), 1.0 / images)
    seen = [look for look in looks if look is not None]
    if images < 2 or not seen or layout.length <= layout.spans[-1].stop:
        return even
    heads = unit_mass(image_sums(torch.cat(seen).float(), layout))
    entropy = -torch.special.xlogy(heads, heads).sum(-1, keepdim=True)
    telling = (1 - entropy / math.log(images)).clamp_min(LEAST_TELLING)
    looked: torch.Tensor = (telling * heads).sum(0, keepdim=True) / telling.sum()
    return (1 - alpha) * even.to(looked.device) + alpha * looked


def per_visible_row(columns: torch.Tensor, layout: Layout) -> torch.Tensor:
    """Column sums `(H, N)` per row that could see the token: removes exposure, not behaviour."""
    positions = image_positions(layout).to(columns.device)
    seen_by = (layout.length - positions).clamp_min(LEAST_VISIBLE_ROWS)
    return columns / seen_by


def spread(per_image: torch.Tensor, layout: Layout) -> torch.Tensor:
    """Repeat values `(H, images)` over each image's tokens: `(H, N)`."""
    lengths = image_lengths(layout).to(per_image.device)
    return per_image.repeat_interleave(lengths, dim=-1)


def image_sums(values: torch.Tensor, layout: Layout) -> torch.Tensor:
    """Sum of values `(H, N)` over each image's tokens: `(H, images)`."""
    index = image_index(layout).to(values.device).expand_as(values)
    return values.new_zeros(values.shape[0], len(layout.spans)).scatter_add_(-1, index, values)


def _by_image(form: str, image: int, images: int, gamma: float) -> float:
    if form == "index_power":
        bound = math.log(LARGEST_POWER)
        return math.exp(max(-bound, min(bound, image * math.log(gamma))))
    along = image / (images - 1)
    if form == "exp":
        return math.exp(gamma * along)
    return math.pow(gamma, along)  # `index`, and `fitted` where two images cannot show a trend


def _fitted(scores: torch.Tensor, layout: Layout, largest: float) -> torch.Tensor:
    """Take back half of a log-linear decay of images' mean scores, at most `largest`, per head."""
    lengths = image_lengths(layout).to(scores.device)
    means = image_sums(scores, layout) / lengths
    logs = means.clamp_min(torch.finfo(torch.float32).tiny).log()
    place = torch.arange(len(lengths), device=scores.device, dtype=torch.float32)
    centred = place - place.mean()
    decay = -(logs * centred).sum(-1, keepdim=True) / centred.square().sum()  # per image
    strength = (SHRINK * decay * (len(lengths) - 1)).clamp(0.0, max(0.0, math.log(largest)))
    return spread(torch.exp(strength * place / (len(lengths) - 1)), layout)
