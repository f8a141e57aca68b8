"""What a model needs before a self-pruning cache can serve it, and which models cannot be served.

The model gets our attention's name and one pre-hook that shows a forward's arguments to the cache
it is about to use; with any other cache both do nothing. Knows no pruning.
"""

import threading
from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable
from weakref import WeakSet

import torch

from myopia import attention
from myopia.errors import Unsupported

TEXT_MODELS = ("llama", "mistral", "qwen2")
_PREPARED: WeakSet[torch.nn.Module] = WeakSet()
_PREPARING = threading.Lock()


@runtime_checkable
class Listener(Protocol):
    """A cache that wants to know what its model is about to read."""

    def hear(self, inputs: Mapping[str, Any]) -> None:
        """Take in a forward's arguments by name."""


def prepare(model: Any) -> None:  # noqa: ANN401 - transformers is untyped
    """Name our attention and set the hook, once per model; safe from several threads."""
    with _PREPARING:
        attention.register()
        if model.config.get_text_config(decoder=True)._attn_implementation != attention.NAME:
            model.set_attn_implementation({"text_config": attention.NAME})
        if model not in _PREPARED:
            model.register_forward_pre_hook(_show_inputs, with_kwargs=True)
            _PREPARED.add(model)


def refuse(model: Any) -> None:  # noqa: ANN401
    """Unsupported, by name, for what a pruned cache cannot do."""
    if getattr(model.config, "image_token_id", None) is None:
        raise Unsupported(f"{type(model).__name__}: a model without image tokens")
    text = model.config.get_text_config(decoder=True)
    if text.model_type not in TEXT_MODELS:
        raise Unsupported(f"text model {text.model_type}: known are {', '.join(TEXT_MODELS)}")
    slides = any("sliding" in kind for kind in getattr(text, "layer_types", None) or ())
    if slides or getattr(text, "sliding_window", None):
        raise Unsupported("sliding window attention: a window would slide over dropped tokens")
    wanted = getattr(getattr(model, "generation_config", None), "cache_implementation", None)
    if wanted not in {None, "dynamic"}:
        raise Unsupported(f"a {wanted} cache: set generation_config.cache_implementation to None")


def _show_inputs(module: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Pre-hook: `input_ids` may come first without a name."""
    cache = kwargs.get("past_key_values")
    if isinstance(cache, Listener):
        cache.hear({"input_ids": args[0], **kwargs} if args else kwargs)
