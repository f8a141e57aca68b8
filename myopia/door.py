"""The library door: a cache for stock `generate()` that prunes itself when prefill is over.

    model.generate(**inputs, past_key_values=MyopiaCache(model, Pruning(budget=0.2)))

The model is prepared once (attention named `myopia`, one pre-hook that shows a forward's arguments
to the cache it uses) and behaves as before with any other cache. Scores, selection and bins are
the engine's own. It knows no service, no engine and no tokenizer.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from transformers.cache_utils import Cache
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from myopia import attention, budget
from myopia.door_layer import MyopiaLayer
from myopia.door_model import prepare, refuse
from myopia.door_prompt import RowPrompt, has_pictures, read_prompts
from myopia.errors import BadRequest, Unsupported
from myopia.explanation import explain_row
from myopia.layout import Layout
from myopia.observer import Observer
from myopia.params import Pruning
from myopia.pruning import Survivors, prune_row


class MyopiaCache(Cache):
    """KV of one batch; `pruning` is one for all rows, or one per row of the batch.

    Raises Unsupported by name for models whose text part slides, or whose generation config asks
    for a static or quantised cache, and BadRequest for knobs that make no sense.
    """

    def __init__(
        self,
        model: Any,  # noqa: ANN401 - transformers is untyped
        pruning: Pruning | Sequence[Pruning] | None = None,
        *,
        explain: bool = False,
    ) -> None:
        refuse(model)
        prepare(model)
        self._config = model.config
        self.pruning = pruning if pruning is not None else Pruning()
        for one in [self.pruning] if isinstance(self.pruning, Pruning) else self.pruning:
            budget.check(one)
        self._explain = explain
        self._prompts: list[RowPrompt] | None = None
        self._observers: list[Observer] = []
        count = model.config.get_text_config(decoder=True).num_hidden_layers
        self.parts = [MyopiaLayer() for _ in range(count)]
        super().__init__(layers=list(self.parts))

    @classmethod
    def for_inputs(
        cls,
        model: Any,  # noqa: ANN401
        inputs: Mapping[str, Any],
        pruning: Pruning | Sequence[Pruning] | None = None,
        *,
        explain: bool = False,
    ) -> "MyopiaCache":
        """A cache told of the whole prompt beforehand: needed for chunked prefill only."""
        return cls.for_rows(model, read_prompts(model.config, inputs), pruning, explain=explain)

    @classmethod
    def for_rows(
        cls,
        model: Any,  # noqa: ANN401
        rows: Sequence[RowPrompt],
        pruning: Pruning | Sequence[Pruning] | None = None,
        *,
        explain: bool = False,
    ) -> "MyopiaCache":
        """A cache told exactly where images and asking rows lie."""
        cache = cls(model, pruning, explain=explain)
        cache._learn(list(rows))
        return cache

    @property
    def pruned(self) -> bool:
        """Whether prefill is over and something was dropped."""
        return any(layer.settled is not None for layer in self.parts)

    @property
    def kv_bytes(self) -> int:
        """Bytes of keys and values now in memory."""
        return sum(
            tensor.nbytes
            for layer in self.parts
            for tensor in (layer.keys, layer.values)
            if tensor is not None
        )

    @property
    def layouts(self) -> list[Layout]:
        """Where images lie in each row, padding left out; empty before the first forward."""
        return [row.layout for row in self._prompts or ()]

    def kept_positions(self, row: int = 0) -> list[torch.Tensor]:
        """Per layer, the prompt positions `(H or 1, K)` that survive; bins first."""
        return [layer.settled.positions[row] for layer in self.parts if layer.settled]

    def explanation(self, row: int = 0) -> dict[str, Any]:
        """What was kept of every image of a row; only with `explain=True`, after prefill."""
        if not self._explain or self._prompts is None or not self._observers:
            raise BadRequest("nothing to explain: make the cache with explain=True and prefill it")
        return explain_row(self._observers[row])

    def update(  # noqa: D102 - transformers' own
        self,
        key_states: torch.Tensor,
        value_states: torch.Tensor,
        layer_idx: int,
        *args: Any,  # noqa: ANN401
        **kwargs: Any,  # noqa: ANN401
    ) -> tuple[torch.Tensor, torch.Tensor]:
        if self._prompts is None:
            raise Unsupported("this forward: call the model that the cache was made for")
        keys, values = super().update(key_states, value_states, layer_idx, *args, **kwargs)
        attention.hand_over(keys, self._attend)
        return keys, values

    def reset(self) -> None:
        """Empty the cache for another prompt."""
        super().reset()  # type: ignore[no-untyped-call]
        self._prompts, self._observers = None, []

    def hear(self, inputs: Mapping[str, Any]) -> None:
        """Learn of a forward about to run; the hook's business."""
        if self._prompts is None:
            self._learn(read_prompts(self._config, inputs))
        elif self.get_seq_length() >= self._length and has_pictures(inputs):
            raise Unsupported(
                "images after the pruned prompt: start a new cache, or with chunked prefill "
                "make it by MyopiaCache.for_inputs(model, inputs, pruning)"
            )

    @property
    def _length(self) -> int:
        """Width of the padded prompt."""
        assert self._prompts is not None
        return max(row.pad + row.layout.length for row in self._prompts)

    def _learn(self, prompts: list[RowPrompt]) -> None:
        given = [self.pruning] if isinstance(self.pruning, Pruning) else list(self.pruning)
        each, left = divmod(len(prompts), len(given))
        beams = all(prompts[i] == prompts[i - i % max(each, 1)] for i in range(len(prompts)))
        if left or (len(given) > 1 and not beams):  # beams repeat a row next to itself
            raise BadRequest(f"{len(given)} prunings for {len(prompts)} rows")
        prunings = [one for one in given for _ in range(each)]
        for one, row in zip(prunings, prompts, strict=True):
            budget.check(one, row.layout)
        self._prompts = prompts
        self._observers = [
            Observer(row.layout, one, layers=len(self.parts), explain=self._explain)
            for one, row in zip(prunings, prompts, strict=True)
        ]

    def _attend(
        self,
        module: Any,  # noqa: ANN401
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        mask: torch.Tensor | None,
        scaling: float,
    ) -> torch.Tensor:
        """Attend; while prefilling show it to the observers, at prefill's end prune."""
        layer = self.parts[module.layer_idx]
        if layer.settled is not None:
            mask = layer.additive_mask(query, mask)
        output, _ = sdpa_attention_forward(module, query, key, value, mask, scaling=scaling)
        if key.shape[2] <= self._length and layer.settled is None:
            self._observe(module.layer_idx, query, key, scaling)
            if module.layer_idx == len(self.parts) - 1 and key.shape[2] == self._length:
                self._prune()
        return output

    def _observe(self, layer: int, query: torch.Tensor, key: torch.Tensor, scaling: float) -> None:
        assert self._prompts is not None
        self._match_batch(query.shape[0])
        begin = key.shape[2] - query.shape[2]
        for index, (row, observer) in enumerate(zip(self._prompts, self._observers, strict=True)):
            first = max(begin, row.pad)
            if first < key.shape[2]:
                rows, columns = query[index, :, first - begin :], key[index, :, row.pad :]
                observer.see(layer, rows, columns, first - row.pad, scaling)

    def _match_batch(self, batch: int) -> None:
        """Repeat what was learnt where beams repeated the rows."""
        assert self._prompts is not None
        if batch == len(self._prompts):
            return
        if batch % len(self._prompts):
            raise BadRequest(f"the cache was made for {len(self._prompts)} rows, not {batch}")
        each = batch // len(self._prompts)
        self._learn([row for row in self._prompts for _ in range(each)])

    def _survivors(self) -> list[list[Survivors]]:
        """What every row keeps in every layer, `[row][layer]`."""
        assert self._prompts is not None
        by_row = []
        for index, (row, observer) in enumerate(zip(self._prompts, self._observers, strict=True)):
            full = [layer.row(index, row.pad) for layer in self.parts]
            by_row.append(prune_row(full, observer, row.layout, observer.pruning))
        return by_row

    def _prune(self) -> None:
        """Replace every layer's KV by what survives, where anything does not."""
        by_row = self._survivors()
        if all(kept.dropped == 0 for row in by_row for kept in row):
            return
        for layer, kept in zip(self.parts, zip(*by_row, strict=True), strict=True):
            layer.settle(kept)
