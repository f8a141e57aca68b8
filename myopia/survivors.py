"""What survives of a row's keys and values once it is decided: the gather, the bins, the merges.

Layers whose decisions keep equally many tokens are stored in one go. Nothing here knows scores
beyond their order, or where slots lie.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from myopia.bins import Bins, Discarded, recycle
from myopia.geometry import image_positions
from myopia.layout import Layout
from myopia.merging import merge_evicted
from myopia.params import Pruning


@dataclass(frozen=True, slots=True)
class Survivors:
    """What one layer keeps of a row: bins first, then kept tokens by ascending position."""

    keys: torch.Tensor  # (H, K, D)
    values: torch.Tensor  # (H, K, D)
    bias: torch.Tensor | None  # (H, K) float32 on the logits, None where nothing needs a bias
    positions: torch.Tensor  # (H or 1, K) int64; a bin stands at its representative's position
    bins: int  # how many of the K come first as bins
    dropped: int = 0  # tokens of the prompt that are not among the K


@dataclass(frozen=True, slots=True)
class Decisions:
    """Decisions over image tokens: C of them, one per layer, or per layer and head."""

    scores: torch.Tensor  # (C, N) subsidised
    kept: torch.Tensor  # (C, N) bool
    bins: int
    weights: torch.Tensor | None = None  # (C, h, N) of the tokens within bins; None: all alike


def store(
    layers: Sequence[tuple[torch.Tensor, torch.Tensor]],
    choices: Decisions,
    layout: Layout,
    pruning: Pruning,
) -> tuple[list[Survivors], Bins | None]:
    """Gather what a group of layers keeps, make bins (or merge) of the rest."""
    heads, length, width = layers[0][0].shape
    count, each = len(choices.kept), len(layers) * heads // len(choices.kept)
    keys, values = (
        _joined(one).view(count, each, length, width) for one in zip(*layers, strict=True)
    )
    images = image_positions(layout).to(keys.device)
    alive = torch.ones(count, length, dtype=torch.bool, device=keys.device)
    alive[:, images] = choices.kept
    positions = alive.nonzero()[:, 1].view(count, -1)  # ascending, equal counts
    kept_keys, kept_values = gather(keys, positions), gather(values, positions)
    if pruning.policy == "look-m":
        own_keys, own_values = keys[:, :, images], values[:, :, images]
        merged = merge_evicted(own_keys, own_values, choices.kept, pruning.merge)
        _put(kept_keys, kept_values, merged, positions, images)
    bins, bias = None, None
    if choices.bins:
        cast_off = Discarded(keys, values, choices.scores, ~choices.kept, choices.weights)
        bins = recycle(cast_off, layout, choices.bins, pruning.bin_scope)
        kept_keys = torch.cat([bins.keys, kept_keys], dim=2)
        kept_values = torch.cat([bins.values, kept_values], dim=2)
        positions = torch.cat([images[bins.seats], positions], dim=1)
        if pruning.bin_mode != "paper":
            bias = keys.new_zeros(kept_keys.shape[:3], dtype=torch.float32)
            bias[..., : choices.bins] = bins.bias
    held = positions.shape[1]
    by_layer = (len(layers), heads, held)
    made = zip(
        kept_keys.reshape(*by_layer, width),
        kept_values.reshape(*by_layer, width),
        [None] * len(layers) if bias is None else bias.view(by_layer),
        positions.view(len(layers), -1, held),
        strict=True,
    )
    return [Survivors(*parts, choices.bins, length - held) for parts in made], bins


def _joined(tensors: Sequence[torch.Tensor]) -> torch.Tensor:
    """Layers as one tensor; a single one is not copied."""
    return tensors[0][None] if len(tensors) == 1 else torch.stack(list(tensors))


def gather(tensor: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    """Entries `(C, h, K, D)` of `(C, h, S, D)` at positions `(C, K)`."""
    choice = torch.arange(len(tensor), device=positions.device)[:, None, None]
    head = torch.arange(tensor.shape[1], device=positions.device)[:, None]
    return tensor[choice, head, positions[:, None]]


def _put(
    kept_keys: torch.Tensor,
    kept_values: torch.Tensor,
    merged: tuple[torch.Tensor, torch.Tensor],
    positions: torch.Tensor,
    images: torch.Tensor,
) -> None:
    """Write merged image tokens `(C, h, K_img, D)` over the gathered ones, in place."""
    choices, heads = kept_keys.shape[:2]
    seats = torch.isin(positions, images).nonzero()[:, 1].view(choices, 1, -1)
    choice = torch.arange(choices, device=seats.device)[:, None, None]
    head = torch.arange(heads, device=seats.device)[:, None]
    kept_keys[choice, head, seats] = merged[0]
    kept_values[choice, head, seats] = merged[1]
