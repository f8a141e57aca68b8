"""The flash kernels called by name, for the row log-sum-exp that SDPA computes and throws away.

The output is the one that SDPA would have given. Nothing here knows what the sums are for.
"""

import torch


def attend_with_lse(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor | None,
    scaling: float,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Attention `(1, Q, T, D)` and its rows' log-sum-exp `(Q, T)` float32.

    query `(1, Q, T, D)`, key and value `(1, H, S, D)`; additive `mask (T, S)` in the query's type,
    None: causal, of a whole prompt (T = S). On CUDA fp16 or bf16, and no mask.
    """
    if query.is_cuda:
        groups = query.shape[1] // key.shape[1]
        if groups > 1:
            key = key.repeat_interleave(groups, dim=1)
            value = value.repeat_interleave(groups, dim=1)
        found = torch.ops.aten._scaled_dot_product_flash_attention(
            query, key, value, 0.0, True, False, scale=scaling
        )
        return found[0], found[1][0]
    attended, lse = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
        query, key, value, 0.0, mask is None, attn_mask=mask, scale=scaling
    )
    return attended, lse[0]
