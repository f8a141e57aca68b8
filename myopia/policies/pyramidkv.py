"""PyramidKV: SnapKV's scores, with a budget that shrinks linearly from layer to layer.

Source: "PyramidKV: Dynamic KV Cache Compression based on Pyramidal Information Funneling"
(arXiv 2406.02069), section 4.1: last layer C/beta, first layer 2C - C/beta, beta 20.
Where we differ: C counts image tokens (the window is text and kept anyway); otherwise as SnapKV.
Peers report the pyramid to be harmful on models that see (AirCache, VL-Cache).
"""

from collections.abc import Sequence

from myopia.policies.policy import SeenLayer
from myopia.policies.snapkv import SnapKV

BETA = 20


def pyramid(layers: int, total: int) -> list[float]:
    """Tokens per layer, falling linearly, `total` together."""
    mean = total / layers
    least = mean / BETA
    most = 2 * mean - least
    if layers == 1:
        return [mean]
    return [most - layer * (most - least) / (layers - 1) for layer in range(layers)]


class PyramidKV(SnapKV):
    """SnapKV with a funnel of budgets."""

    def layer_sizes(self, seen: Sequence[SeenLayer], total: int) -> list[float] | None:
        """Wish a pyramid."""
        return pyramid(len(seen), total)
