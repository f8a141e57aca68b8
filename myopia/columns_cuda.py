"""Column sums on CUDA in one fused pass over queries and keys; the CPU's exact sum is its truth.

`attend_with_lse` runs the flash kernel itself so that its row log-sum-exp is not computed twice.
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
    """As `columns.column_sums`; `lse (Q, R)` float32 of these rows saves a pass."""
    from myopia.columns_triton import column_sums_triton  # noqa: PLC0415 - needs a GPU's packages

    return column_sums_triton(query, key, positions, weights, scaling, lse)


def attend_with_lse(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scaling: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Causal flash attention `(1, Q, S, D)` of a whole prompt, and its row log-sum-exp `(Q, S)`.

    query `(1, Q, S, D)`, key and value `(1, H, S, D)`, fp16 or bf16 on CUDA.
    """
    groups = query.shape[1] // key.shape[1]
    if groups > 1:
        key = key.repeat_interleave(groups, dim=1)
        value = value.repeat_interleave(groups, dim=1)
    out = torch.ops.aten._scaled_dot_product_flash_attention(
        query, key, value, 0.0, True, False, scale=scaling
    )
    return out[0], out[1][0]
