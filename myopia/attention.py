"""The one door between transformers' attention layers and us.

`register` teaches transformers the implementation name `myopia`. A forward pass made inside
`attending(call)` hands every layer's q, k, v to `call`; a cache may `hand_over` the one attention
that follows its update; anything else runs plain SDPA. The call in force is a context variable:
two threads with different calls never mix.
Nothing here knows which model, which policy, or what is kept.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol

import torch
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

NAME = "myopia"


class AttentionCall(Protocol):
    """What to do with one layer's q `(B, Q, T, D)` and k, v `(B, H, S, D)`, rotations applied."""

    def __call__(
        self,
        module: torch.nn.Module,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        mask: torch.Tensor | None,
        scaling: float,
    ) -> torch.Tensor:
        """Return the heads' outputs `(B, T, Q, D)`; `module.layer_idx` is the layer."""


_CALL: ContextVar[AttentionCall | None] = ContextVar("myopia_attention_call", default=None)


@contextmanager
def attending(call: AttentionCall) -> Iterator[None]:
    """Route the attention of every layer run inside the block through `call`."""
    token = _CALL.set(call)
    try:
        yield
    finally:
        _CALL.reset(token)


_NEXT: ContextVar[tuple[torch.Tensor, AttentionCall] | None] = ContextVar(
    "myopia_next_attention", default=None
)


def hand_over(key: torch.Tensor, call: AttentionCall) -> None:
    """Route the next attention of this thread through `call`, if it attends to this very `key`.

    A layer calls its cache's `update` right before its attention, with what `update` returned.
    """
    _NEXT.set((key, call))


def myopia_attention(  # noqa: PLR0913, PLR0917 - the shape of transformers' attention interface
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **kwargs: Any,  # noqa: ANN401
) -> tuple[torch.Tensor, None]:
    """Attend as handed over, else by the call in force, or by SDPA where there is none."""
    call, note = _CALL.get(), _NEXT.get()
    if note is not None:
        _NEXT.set(None)
        if note[0] is key:
            call = note[1]
    if call is None:
        output, _ = sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **kwargs
        )
        return output, None
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    return call(module, query, key, value, attention_mask, scale), None


def register() -> None:
    """Teach transformers the implementation; the mask entry is as necessary as the function.

    Without it the mask is None for an unknown name and chunked prefill sees its own future.
    """
    AttentionInterface.register(NAME, myopia_attention)
    AttentionMaskInterface.register(NAME, sdpa_mask)
