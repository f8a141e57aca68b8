"""What one pruned row was left to see, as plain numbers that JSON can carry.

Read from an observer's trace after `prune_row`. Shares of attention, kept counts and grids are
given for all layers and for thirds of them. Knows no pixels; `overlay` draws.
"""

import itertools
from collections.abc import Sequence
from typing import Any

import torch

from myopia.layout import Layout, Span
from myopia.observer import Observer
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
    if observer.trace is None:
        if observer.layout.spans:
            raise ValueError("the observer was made without explain=True")
        return _frame(observer, [], [])
    layers = observer.trace.layers
    groups = layer_groups(observer.layers)
    return _frame(observer, [_image(observer, i, groups) for i in _images(observer)], layers)


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
    """How far each part of a picture is still there, `(rows, columns)` in [0, 1].

    `kept (n,)` holds the image's tokens, newlines among them. The tiles' grid (padding cut away)
    covers the picture as the base tile does; where both do, a part is there as far as either is.
    """
    base_rows, base_columns = span.base
    base = kept[: span.base_tokens].view(base_rows, base_columns)
    rows, columns = span.grid
    if rows == 0 or columns == 0:
        return base
    tiles = kept[span.base_tokens :].view(rows, -1)[:, :columns]  # newlines end the rows
    high, wide = max(rows, base_rows), max(columns, base_columns)
    return torch.maximum(_stretched(base, high, wide), _stretched(tiles, high, wide))


def _stretched(grid: torch.Tensor, rows: int, columns: int) -> torch.Tensor:
    """The same picture in more cells, each that of the nearest centre."""
    down = (torch.arange(rows) * 2 + 1) * grid.shape[0] // (2 * rows)
    across = (torch.arange(columns) * 2 + 1) * grid.shape[1] // (2 * columns)
    return grid[down][:, across]


def _images(observer: Observer) -> range:
    return range(len(observer.layout.spans))


def _frame(
    observer: Observer, images: list[dict[str, Any]], layers: Sequence[LayerTrace]
) -> dict[str, Any]:
    groups = layer_groups(observer.layers)
    return {
        "policy": observer.pruning.policy,
        "budget": observer.pruning.budget,
        "groups": [{"label": label, "layers": list(members)} for label, members in groups],
        "images": images,
        "by_layer": {
            "before": [_rounded(layer.before) for layer in layers],
            "after": [_rounded(layer.after) for layer in layers],
            "kept": [_kept_by_image(layer, observer.layout) for layer in layers],
        },
    }


def _image(observer: Observer, image: int, groups: list[tuple[str, range]]) -> dict[str, Any]:
    assert observer.trace is not None
    span = observer.layout.spans[image]
    first = sum(before.length for before in observer.layout.spans[:image])
    newlines = [position - span.start for position in span.newline_positions()]
    shown, ends = [], 0.0
    for _, members in groups:
        layers = [observer.trace.layers[i] for i in members if i < len(observer.trace.layers)]
        kept = [layer.kept[first : first + span.length] for layer in layers]
        kept = kept or [torch.ones(span.length)]  # nothing was pruned
        grids = torch.stack([patch_grid(one, span) for one in kept]).mean(0)
        if members == groups[0][1]:
            ends = float(torch.stack(kept).mean(0)[newlines].sum())
        shown.append(
            {
                "kept": round(float(torch.stack(kept).mean(0).sum()), 2),
                "before": _mean_share([layer.before for layer in layers], image),
                "after": _mean_share([layer.after for layer in layers], image),
                "grid": [[round(cell, 3) for cell in row] for row in grids.tolist()],
                "bins": _bin_sizes(layers, image),
            }
        )
    return {
        "tokens": span.length,
        "newlines": {"tokens": len(newlines), "kept": round(ends, 2)},
        "groups": shown,
    }


def _mean_share(shares: Sequence[tuple[float, ...] | None], image: int) -> float | None:
    seen = [share[image] for share in shares if share is not None]
    return round(sum(seen) / len(seen), 5) if seen else None


def _bin_sizes(layers: Sequence[LayerTrace], image: int) -> list[int]:
    """Sizes of this image's bins, largest first, mean over layers."""
    each = [
        sorted(
            (n for n, owner in zip(x.bin_sizes, x.bin_images, strict=True) if owner == image),
            reverse=True,
        )
        for x in layers
    ]
    most = max(map(len, each), default=0)
    full = [sizes + [0] * (most - len(sizes)) for sizes in each]
    means = [round(sum(column) / len(column)) for column in zip(*full, strict=True)]
    return [mean for mean in means if mean]


def _kept_by_image(layer: LayerTrace, layout: Layout) -> list[float]:
    parts = torch.split(layer.kept, [span.length for span in layout.spans])
    return [round(float(part.sum()), 2) for part in parts]


def _rounded(shares: tuple[float, ...] | None) -> list[float] | None:
    return None if shares is None else [round(share, 5) for share in shares]
