"""Orders made of scores: recent tokens beside heavy ones, pooling inside an image.

Pure tensor functions over the image-token axis; they know no policy and no budget.
"""

import torch

from myopia.layout import Layout


def descending(scores: torch.Tensor) -> torch.Tensor:
    """Indices `(H, N)` from best to worst; of equals the earlier token wins."""
    return torch.sort(scores, dim=-1, descending=True, stable=True).indices


def ranks(scores: torch.Tensor) -> torch.Tensor:
    """Place of every token `(H, N)` int64, 0 is best; of equals the earlier token wins."""
    order = descending(scores)
    places = torch.arange(scores.shape[-1], device=scores.device).expand_as(order)
    return torch.empty_like(order).scatter_(-1, order, places)


def beside_recent(scores: torch.Tensor, share: float) -> torch.Tensor:
    """Rank scores whose top K holds about `share`·K of the latest tokens, for every K.

    The two lists are merged like a zip at speeds `share` and `1 - share`; a token that both
    name makes room for the next. Returns negative places `(H, N)`, higher is better.
    """
    last = scores.shape[-1] - 1
    recent = (last - torch.arange(last + 1, device=scores.device)).float() + 1.0
    heavy = ranks(scores).float() + 1.0
    return -torch.minimum(heavy / (1.0 - share), (recent / share).expand_as(heavy))


def pooled(scores: torch.Tensor, layout: Layout, kernel: int) -> torch.Tensor:
    """Moving average `(H, N)` of odd width `kernel` inside each image, never across two."""
    lengths = [span.length for span in layout.spans]
    parts = []
    for part in torch.split(scores, lengths, dim=-1):
        if part.shape[-1] == 0:
            continue
        smooth = torch.nn.functional.avg_pool1d(
            part, kernel, stride=1, padding=kernel // 2, count_include_pad=False
        )
        parts.append(smooth)
    return torch.cat(parts, dim=-1)
