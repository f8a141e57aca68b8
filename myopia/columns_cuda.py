"""Column sums on CUDA in one fused pass over queries and keys; the CPU's exact sum is its truth.

Nothing here imports Triton before a CUDA tensor asks for it.
"""

from importlib.util import find_spec

import torch


def fused_is_possible(query: torch.Tensor) -> bool:
    """Whether this tensor lies on a CUDA device that Triton can serve (compute 8.0 or later)."""
    if not query.is_cuda or find_spec("triton") is None:
        return False
    major, _ = torch.cuda.get_device_capability(query.device)
    return major >= 8 and query.shape[-1] <= 256


def fused_column_sums(
    query: torch.Tensor,
    key: torch.Tensor,
    positions: torch.Tensor,
    weights: torch.Tensor | None,
    scaling: float,
    lse: torch.Tensor | None = None,
) -> torch.Tensor:
    """As `columns.column_sums`; weights may be `(Q, R)`; the rows' `lse (Q, R)` saves a pass."""
    from myopia.columns_triton import column_sums_triton  # noqa: PLC0415 - needs a GPU's packages

    return column_sums_triton(query, key, positions, weights, scaling, lse)


def fused_row_lse(
    query: torch.Tensor, key: torch.Tensor, positions: torch.Tensor, scaling: float
) -> torch.Tensor:
    """As `columns.row_lse`."""
    from myopia.columns_triton import row_lse_triton  # noqa: PLC0415 - needs a GPU's packages

    return row_lse_triton(query, key, positions, scaling)
