"""What one pruned row was left to see, as plain numbers that JSON can carry.

Read from an observer's trace after `prune_row`. Shares of attention, kept counts and grids are
given for all layers and for thirds of them. Knows no pixels; `overlay` draws.
"""

import itertools
from collections.abc import Sequence
from typing import Any

import torch

from myopia.geometry import image_offsets, newline_mask
from myopia.layout import Layout, Span
from myopia.observer import Observer
from myopia.subsidy import image_sums
from myopia.traces import LayerTrace

# Groups of layers shown beside "all": early, middle, late.
GROUPS = 3


def explain_row(observer: Observer) -> dict[str, Any]:
    """Per image and layer group: kept tokens, shares before and after the subsidy, grid, bins.

    `{policy, budget, groups: [{label, layers}], images: [{tokens, newlines, groups: [...]}],
    by_layer: {before, after, kept}}`; shares are None where the policy saw no attention. A grid
    is rows of how often a patch was kept, 0 to 1, and covers the whole picture. Raises ValueError
    where the observer was not made to explain.
    """
    layout, groups = observer.layout, layer_groups(observer.layers)
    if observer.trace is None and layout.spans:
        raise ValueError("the observer was made without explain=True")
    layers = [] if observer.trace is None else observer.trace.layers
    kept = torch.stack([layer.kept for layer in layers]) if layers else None
    return {
        "policy": observer.pruning.policy,
        "budget": observer.pruning.budget,
        "groups": [{"label": label, "layers": list(members)} for label, members in groups],
        "images": _images(layout, layers, [members for _, members in groups]),
        "by_layer": {
            "before": [_rounded_shares(layer.before) for layer in layers],
            "after": [_rounded_shares(layer.after) for layer in layers],
            "kept": [] if kept is None else _rounded(image_sums(kept, layout), 2),
        },
    }


def layer_groups(layers: int) -> list[tuple[str, range]]:
    """All layers first, then thirds where there are at least three."""
    groups = [("All layers", range(layers))]
    if layers < GROUPS:
        return groups
    edges = [layers * part // GROUPS for part in range(GROUPS + 1)]
    for begin, end in itertools.pairwise(edges):
        many = f"Layers {begin + 1}–{end}" if end > begin + 1 else f"Layer {end}"
        groups.append((many, range(begin, end)))
    return groups


def patch_grid(kept: torch.Tensor, span: Span) -> torch.Tensor:
    """How far each part of a picture is still there, `(…, rows, columns)` in [0, 1].

    `kept (…, n)` holds the image's tokens, newlines among them. The tiles' grid (padding cut away)
    covers the picture as the base tile does; where both do, a part is there as far as either is.
    """
    base = kept[..., : span.base_tokens].reshape(*kept.shape[:-1], *span.base)
    rows, columns = span.grid
    if rows == 0 or columns == 0:
        return base
    tiles = kept[..., span.base_tokens :].reshape(*kept.shape[:-1], rows, -1)
    tiles = tiles[..., :columns]  # newlines end the rows
    high, wide = max(rows, span.base[0]), max(columns, span.base[1])
    return torch.maximum(_stretched(base, high, wide), _stretched(tiles, high, wide))


def _stretched(grid: torch.Tensor, rows: int, columns: int) -> torch.Tensor:
    """The same picture in more cells, each that of the nearest centre."""
    if grid.shape[-2:] == (rows, columns):
        return grid
    down = (torch.arange(rows) * 2 + 1) * grid.shape[-2] // (2 * rows)
    across = (torch.arange(columns) * 2 + 1) * grid.shape[-1] // (2 * columns)
    return grid[..., down, :][..., across]


def _images(
    layout: Layout, layers: Sequence[LayerTrace], groups: Sequence[range]
) -> list[dict[str, Any]]:
    """What is told of every image; all images and layers are worked out together."""
    if not layout.spans:
        return []
    if layers:
        kept = torch.stack([layer.kept for layer in layers])
        means = torch.zeros(len(groups), len(layers))  # of layers, group by group
        for row, members in enumerate(groups):
            means[row, list(members)] = 1 / len(members)
    else:  # nothing was pruned
        kept, means = torch.ones(1, layout.image_tokens), torch.ones(len(groups), 1)
    by_group = means @ kept
    counts = _rounded(image_sums(by_group, layout), 2)
    ends = _rounded(image_sums(by_group[:1] * newline_mask(layout), layout)[0], 2)
    grids = _grids(kept, means, layout)
    before = [_mean_shares([layers[i].before for i in g] if layers else [], layout) for g in groups]
    after = [_mean_shares([layers[i].after for i in g] if layers else [], layout) for g in groups]
    sizes = [_sizes_by_image(layer, len(layout.spans)) for layer in layers]
    return [
        {
            "tokens": span.length,
            "newlines": {"tokens": len(span.newline_positions()), "kept": ends[image]},
            "groups": [
                {
                    "kept": counts[number][image],
                    "before": before[number][image],
                    "after": after[number][image],
                    "grid": grids[image][number],
                    "bins": _bin_sizes([sizes[i][image] for i in members] if layers else []),
                }
                for number, members in enumerate(groups)
            ],
        }
        for image, span in enumerate(layout.spans)
    ]


def _grids(kept: torch.Tensor, means: torch.Tensor, layout: Layout) -> list[list[Any]]:
    """Every image's grids, one per group of layers, from kept `(L, N)` and means `(G, L)`.

    Pictures of one form are worked out together.
    """
    forms: dict[tuple[object, ...], list[int]] = {}
    for image, span in enumerate(layout.spans):
        forms.setdefault((span.base, span.grid, span.newlines), []).append(image)
    found: list[list[Any]] = [[] for _ in layout.spans]
    for images in forms.values():
        span = layout.spans[images[0]]
        at = image_offsets(layout)[images][:, None] + torch.arange(span.length)
        cells = patch_grid(kept[:, at], span)  # (L, m, rows, columns)
        rounded = _rounded(torch.einsum("gl,lmrc->mgrc", means, cells), 3)
        for image, grids in zip(images, rounded, strict=True):
            found[image] = grids
    return found


def _mean_shares(
    shares: Sequence[tuple[float, ...] | None], layout: Layout
) -> list[float] | list[None]:
    """Each image's mean over the layers that saw attention."""
    seen = [share for share in shares if share is not None]
    if not seen:
        return [None] * len(layout.spans)
    return [round(sum(each) / len(seen), 5) for each in zip(*seen, strict=True)]


def _sizes_by_image(layer: LayerTrace, images: int) -> list[list[int]]:
    """Sizes of each image's bins in one layer, largest first."""
    found: list[list[int]] = [[] for _ in range(images)]
    for size, owner in zip(layer.bin_sizes, layer.bin_images, strict=True):
        found[owner].append(size)
    for sizes in found:
        sizes.sort(reverse=True)
    return found


def _bin_sizes(layers: Sequence[list[int]]) -> list[int]:
    """Sizes of one image's bins, largest first, mean over layers."""
    columns = itertools.zip_longest(*layers, fillvalue=0)
    means = [round(sum(column) / len(column)) for column in columns]
    return [mean for mean in means if mean]


def _rounded(values: torch.Tensor, digits: int) -> list[Any]:
    """As nested lists of decimals."""
    found: list[Any] = values.double().round(decimals=digits).tolist()
    return found


def _rounded_shares(shares: tuple[float, ...] | None) -> list[float] | None:
    return None if shares is None else [round(share, 5) for share in shares]
