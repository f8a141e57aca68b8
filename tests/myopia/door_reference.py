"""What the door must equal: a full cache in which dropped columns are hidden, layer by layer.

Written without any of the door's layout: full keys, explicit positions, bins as extra columns.
"""

from typing import Any

import torch
from transformers import DynamicCache

from myopia.attention import attending
from myopia.door import MyopiaCache
from myopia.layout import Layout
from myopia.params import Pruning
from myopia.pruning import Survivors

Inputs = dict[str, torch.Tensor]


class Hidden:
    """An attention call over full keys that sees the survivors, the bins and what came later."""

    def __init__(self, kept: list[Survivors], layout: Layout) -> None:
        self.kept, self.layout = kept, layout

    def __call__(
        self,
        module: Any,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        mask: torch.Tensor | None,
        scaling: float,
    ) -> torch.Tensor:
        kept, length = self.kept[module.layer_idx], self.layout.length
        heads, stored, rows = key.shape[1], key.shape[2], query.shape[2]
        bias = torch.full((heads, rows, stored), -torch.inf)
        key, value = key.clone(), value.clone()
        for head in range(heads):
            own = kept.positions[head % kept.positions.shape[0], kept.bins :]
            bias[head, :, own] = 0
            key[0, head, own] = kept.keys[head, kept.bins :]  # `look-m` merges into them
            value[0, head, own] = kept.values[head, kept.bins :]
        for row in range(rows):
            bias[:, row, length : stored - rows + row + 1] = 0
        counts = torch.zeros(heads, 1, kept.bins)
        if kept.bias is not None:
            counts = kept.bias[:, None, : kept.bins]
        keys = torch.cat([kept.keys[:, : kept.bins], key[0]], dim=1)
        values = torch.cat([kept.values[:, : kept.bins], value[0]], dim=1)
        bias = torch.cat([counts.expand(-1, rows, -1), bias], dim=-1)
        groups = query.shape[1] // heads
        logits = torch.einsum("hgtd,hsd->hgts", query[0].unflatten(0, (heads, groups)), keys)
        weights = (logits * scaling + bias[:, None]).softmax(-1)
        mixed = torch.einsum("hgts,hsd->hgtd", weights, values).flatten(0, 1)
        return mixed.transpose(0, 1)[None]


class Recording(MyopiaCache):
    """Remembers what `prune_row` said, before the door's layers store it their way."""

    told: list[Survivors]

    def _survivors(self) -> list[list[Survivors]]:
        found = super()._survivors()
        self.told = found[0]
        return found


def survivors(model: Any, inputs: Inputs, pruning: Pruning) -> tuple[list[Survivors], Layout]:
    """What pruning a one-row prompt keeps."""
    cache = Recording(model, pruning)
    with torch.no_grad():
        model(**inputs, past_key_values=cache)
    return cache.told, cache.layouts[0]


def reference(
    model: Any, inputs: Inputs, pruning: Pruning, steps: int, at_once: torch.Tensor | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Greedy tokens `(1, steps)` and their logits of one row; or those of `at_once (1, T)`."""
    kept, layout = survivors(model, inputs, pruning)
    full = DynamicCache(config=model.config.get_text_config(decoder=True))
    with torch.no_grad():
        logits = model(**inputs, past_key_values=full).logits[:, -1:]
        tokens, seen = [logits[:, -1].argmax(-1)], [logits]
        place = layout.length
        if at_once is not None:
            positions = torch.arange(place, place + at_once.shape[1])[None]
            with attending(Hidden(kept, layout)):
                out = model(input_ids=at_once, past_key_values=full, position_ids=positions)
            return at_once, out.logits
        for _ in range(steps - 1):
            with attending(Hidden(kept, layout)):
                out = model(
                    input_ids=tokens[-1][:, None],
                    past_key_values=full,
                    position_ids=torch.tensor([[place]]),
                )
            place += 1
            seen.append(out.logits)
            tokens.append(out.logits[:, -1].argmax(-1))
    return torch.stack(tokens, dim=1), torch.cat(seen, dim=1)


def solo(inputs: Inputs, row: int, pictures: list[int]) -> Inputs:
    """One row of a padded batch by itself; `pictures[row]` tells how many are its own."""
    pad = int((inputs["attention_mask"][row] == 0).sum())
    first = sum(pictures[:row])
    own = {
        "input_ids": inputs["input_ids"][row : row + 1, pad:],
        "attention_mask": inputs["attention_mask"][row : row + 1, pad:],
    }
    if pictures[row]:
        own["pixel_values"] = inputs["pixel_values"][first : first + pictures[row]]
        own["image_sizes"] = inputs["image_sizes"][first : first + pictures[row]]
    return own


def greedy(model: Any, inputs: Inputs, cache: Any = None, steps: int = 10, **more: Any) -> Any:
    """Tokens `(B, steps)` and logits `(B, steps, V)` of stock `generate()`."""
    out = model.generate(
        **inputs,
        max_new_tokens=steps,
        past_key_values=cache,
        do_sample=False,
        output_logits=True,
        return_dict_in_generate=True,
        **more,
    )
    return out.sequences[:, inputs["input_ids"].shape[1] :], torch.stack(out.logits, dim=1)
