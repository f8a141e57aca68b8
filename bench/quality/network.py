"""Runs a checkpoint's language model with keys and values in our hands, one row or many variants.

The measuring bench's own forward pass: the engine batches requests, this batches prunings of one
request. Scores and selection are the library's. Knows no protocol and no question.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from PIL import Image
from torch.nn.functional import scaled_dot_product_attention

from myopia.attention import attending
from myopia.loading import Checkpoint
from myopia.observer import Observer
from myopia.pruning import Survivors

KeysValues = tuple[torch.Tensor, torch.Tensor]


@dataclass(frozen=True, slots=True)
class Stored:
    """Keys and values of a row: per layer `(H, S, D)`, and the last token's logits `(V,)`."""

    layers: tuple[KeysValues, ...]
    logits: torch.Tensor


class _Prefill:
    """Plain causal attention of one row over itself and a prefix, shown to observers."""

    def __init__(self, observers: Sequence[Observer], past: Sequence[KeysValues]) -> None:
        self._observers, self._past = observers, past
        self.layers: list[KeysValues] = []

    def __call__(
        self,
        module: torch.nn.Module,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        mask: torch.Tensor | None,
        scaling: float,
    ) -> torch.Tensor:
        """Attend `(1, Q, T, D)` and remember the keys."""
        layer = int(str(module.layer_idx))
        if self._past:
            before = self._past[layer]
            key = torch.cat([before[0][None], key], dim=2)
            value = torch.cat([before[1][None], value], dim=2)
        start = key.shape[2] - query.shape[2]
        for observer in self._observers:
            observer.see(layer, query[0], key[0], start, scaling)
        self.layers.append((key[0], value[0]))
        bias = _causal(query.shape[2], start, query)
        out = scaled_dot_product_attention(
            query, key, value, attn_mask=bias, scale=scaling, enable_gqa=True
        )
        return out.transpose(1, 2)


class _Variants:
    """Attention of one text over many prunings of its prefix: a batch whose rows differ in K."""

    def __init__(self, variants: Sequence[Sequence[Survivors]]) -> None:
        self._variants = variants

    def __call__(
        self,
        module: torch.nn.Module,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        mask: torch.Tensor | None,
        scaling: float,
    ) -> torch.Tensor:
        """Attend `(B, Q, T, D)`; every row sees its own survivors and the new text up to itself."""
        layer = int(str(module.layer_idx))
        keys, values, bias = _stacked([variant[layer] for variant in self._variants])
        new = query.shape[2]
        heads = query.shape[1] // keys.shape[1]
        prefix = bias.repeat_interleave(heads, dim=1)[:, :, None, :].expand(-1, -1, new, -1)
        causal = _causal(new, 0, query).expand(*prefix.shape[:2], -1, -1)
        out = scaled_dot_product_attention(
            query,
            torch.cat([keys, key], dim=2),
            torch.cat([values, value], dim=2),
            attn_mask=torch.cat([prefix, causal], dim=-1).to(query.dtype),
            scale=scaling,
            enable_gqa=True,
        )
        return out.transpose(1, 2)


def _causal(new: int, start: int, like: torch.Tensor) -> torch.Tensor:
    """Additive mask `(1, 1, T, S)` of rows at positions from `start`."""
    mask = torch.full((new, start + new), torch.finfo(like.dtype).min, device=like.device)
    return torch.triu(mask, diagonal=start + 1)[None, None].to(like.dtype)


def _stacked(rows: Sequence[Survivors]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Keys, values `(B, H, K, D)` and bias `(B, H, K)`; shorter rows have masked junk in front."""
    longest = max(row.keys.shape[1] for row in rows)
    heads, _, width = rows[0].keys.shape
    keys = rows[0].keys.new_zeros(len(rows), heads, longest, width)
    values = torch.zeros_like(keys)
    bias = torch.full((len(rows), heads, longest), torch.finfo(keys.dtype).min, device=keys.device)
    for index, row in enumerate(rows):
        first = longest - row.keys.shape[1]
        keys[index, :, first:] = row.keys
        values[index, :, first:] = row.values
        bias[index, :, first:] = 0 if row.bias is None else row.bias
    return keys, values, bias


@torch.inference_mode()
def features(checkpoint: Checkpoint, pictures: Sequence[Image.Image]) -> list[torch.Tensor]:
    """Projected features `(n, E)` of each picture, any-resolution tiles."""
    read = checkpoint.image_processor(list(pictures), return_tensors="pt")
    out = checkpoint.model.model.get_image_features(
        read["pixel_values"].to(checkpoint.device, checkpoint.dtype),
        read["image_sizes"].to(checkpoint.device),
        return_dict=True,
    )
    return list(out.pooler_output)


@torch.inference_mode()
def embed(
    checkpoint: Checkpoint, ids: Sequence[int], pictures: Sequence[torch.Tensor] = ()
) -> torch.Tensor:
    """Input embeddings `(1, T, E)` with the pictures' features in their places."""
    table = torch.tensor([list(ids)], device=checkpoint.device)
    embeds: torch.Tensor = checkpoint.model.get_input_embeddings()(table)
    if pictures:
        places = (table == checkpoint.image_token_id)[..., None].expand_as(embeds)
        embeds = embeds.masked_scatter(places, torch.cat(list(pictures)).to(embeds))
    return embeds


@torch.inference_mode()
def prefill(
    checkpoint: Checkpoint,
    embeds: torch.Tensor,
    observers: Sequence[Observer] = (),
    past: Sequence[KeysValues] = (),
) -> Stored:
    """Run `(1, T, E)` after an unpruned prefix `past`; observers see every layer."""
    call = _Prefill(observers, past)
    start = past[0][0].shape[1] if past else 0
    hidden = _run(checkpoint, embeds, start, call)
    return Stored(tuple(call.layers), _logits(checkpoint, hidden[:, -1])[0])


@torch.inference_mode()
def resume(
    checkpoint: Checkpoint,
    variants: Sequence[Sequence[Survivors]],
    ids: Sequence[Sequence[int]],
    start: int,
) -> torch.Tensor:
    """Logits `(B, T, V)` of each variant's text `ids` (equal lengths) at positions from `start`."""
    embeds = torch.cat([embed(checkpoint, row) for row in ids])
    return _logits(checkpoint, _run(checkpoint, embeds, start, _Variants(variants)))


def _run(
    checkpoint: Checkpoint, embeds: torch.Tensor, start: int, call: _Prefill | _Variants
) -> torch.Tensor:
    positions = torch.arange(start, start + embeds.shape[1], device=embeds.device)[None]
    with attending(call):
        out = checkpoint.model.model.language_model(
            inputs_embeds=embeds, position_ids=positions, use_cache=False
        )
    hidden: torch.Tensor = out.last_hidden_state
    return hidden


def _logits(checkpoint: Checkpoint, hidden: torch.Tensor) -> torch.Tensor:
    logits: torch.Tensor = checkpoint.model.lm_head(hidden)
    return logits.float()
