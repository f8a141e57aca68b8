"""Loads a LLaVA-NeXT checkpoint, by folder or hub name, and refuses what this library cannot run.

Offline unless told otherwise. Nothing here knows requests, batches or policies.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import torch
from huggingface_hub import snapshot_download
from transformers import AutoConfig, LlavaNextForConditionalGeneration, LlavaNextProcessor
from transformers.models.llava_next.image_processing_pil_llava_next import (
    LlavaNextImageProcessorPil,
)

from myopia.attention import NAME, register
from myopia.errors import Unsupported
from myopia.revision import revision_of
from myopia.templates import FORMS, fallback_form
from myopia.text_model import TextModel
from myopia.tiles import Tiling

Dtype = Literal["auto", "float32", "bfloat16", "float16"]
FILES = ["*.json", "*.jinja", "*.safetensors", "*.model", "*.txt"]


@dataclass(frozen=True)
class Checkpoint:
    """A loaded model with everything that is the model's own; `revision` names its exact state."""

    name: str
    revision: str
    model: LlavaNextForConditionalGeneration
    tokenizer: Any
    image_processor: Any
    chat_template: str
    tiling: Tiling

    @property
    def text_config(self) -> Any:  # noqa: ANN401 - transformers' config classes differ by model
        """The language model's configuration."""
        return self.model.config.get_text_config(decoder=True)

    @cached_property
    def text_model(self) -> TextModel:
        """The decoder's layers, fused where their form allows."""
        return TextModel(self.model.model.language_model)

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        return self.model.device

    @property
    def dtype(self) -> torch.dtype:
        """The type of the weights, and of the KV cache."""
        return self.model.dtype

    @property
    def image_token_id(self) -> int:
        """The id that stands for one image token."""
        return int(self.model.config.image_token_id)

    @property
    def layers(self) -> int:
        """Decoder layers."""
        return int(self.text_config.num_hidden_layers)

    @property
    def key_heads(self) -> int:
        """Key heads per layer."""
        return int(self.text_config.num_key_value_heads)

    @property
    def head_dim(self) -> int:
        """Width of one head."""
        config = self.text_config
        width = getattr(config, "head_dim", None)
        return int(width or config.hidden_size // config.num_attention_heads)

    @property
    def context(self) -> int:
        """Most tokens of prompt and answer together."""
        return int(self.text_config.max_position_embeddings)

    @property
    def slot_bytes(self) -> int:
        """Bytes of key and value of one token in one layer, all heads."""
        return 2 * self.key_heads * self.head_dim * self.dtype.itemsize

    @property
    def stop_ids(self) -> frozenset[int]:
        """Tokens that end an answer."""
        named = [self.model.generation_config.eos_token_id, self.tokenizer.eos_token_id]
        flat = [one for ids in named for one in (ids if isinstance(ids, list) else [ids])]
        return frozenset(int(one) for one in flat if one is not None)

    def facts(self) -> dict[str, Any]:
        """What others need to do arithmetic without torch; JSON-able."""
        tiling = self.tiling
        return {
            "name": self.name,
            "revision": self.revision,
            "tile": tiling.tile,
            "patch": tiling.patch,
            "pinpoints": [list(pinpoint) for pinpoint in tiling.pinpoints],
            "base_tokens": tiling.side**2,
            "context": self.context,
            "layers": self.layers,
            "key_heads": self.key_heads,
            "head_dim": self.head_dim,
            "kv_bytes_per_token": self.layers * self.slot_bytes,
            "vocabulary": int(self.text_config.vocab_size),
            "parameters": sum(p.numel() for p in self.model.parameters()),
            "dtype": str(self.dtype).removeprefix("torch."),
            "device": str(self.device),
        }


def load(
    model: str, *, device: str = "auto", dtype: Dtype = "auto", offline: bool = True
) -> Checkpoint:
    """Load a checkpoint from a folder or the hub; `offline` allows only what is cached here.

    `auto`: CUDA where there is one; the checkpoint's own dtype there, float32 on a CPU.
    Raises Unsupported for anything that is not a LLaVA-NeXT this library can run.
    """
    folder = _folder_of(model, offline)
    config = AutoConfig.from_pretrained(folder, local_files_only=True)
    _refuse(config, model)
    register()
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    chosen: Any = dtype if dtype != "auto" else ("float32" if device == "cpu" else "auto")
    network: Any = LlavaNextForConditionalGeneration.from_pretrained(
        folder, dtype=chosen, local_files_only=True
    )
    network = network.to(device).eval().requires_grad_(False)
    network.set_attn_implementation({"text_config": NAME, "vision_config": "sdpa"})
    processor = LlavaNextProcessor.from_pretrained(folder, local_files_only=True)
    tokenizer = processor.tokenizer
    template = processor.chat_template or tokenizer.chat_template
    if isinstance(template, dict):
        template = template.get("default") or next(iter(template.values()))
    if not template:
        specials = set(tokenizer.all_special_tokens) | set(tokenizer.added_tokens_encoder)
        template = FORMS[fallback_form(config.text_config.model_type, specials)]
    return Checkpoint(
        name=Path(model).name if Path(model).is_dir() else model,
        revision=revision_of(folder),
        model=network,
        tokenizer=tokenizer,
        image_processor=LlavaNextImageProcessorPil.from_pretrained(folder, local_files_only=True),
        chat_template=template,
        tiling=Tiling(
            config.vision_config.image_size,
            config.vision_config.patch_size,
            tuple((int(height), int(width)) for height, width in config.image_grid_pinpoints),
        ),
    )


def _folder_of(model: str, offline: bool) -> Path:
    if Path(model).is_dir():
        return Path(model)
    try:
        return Path(snapshot_download(model, local_files_only=offline, allow_patterns=FILES))
    except (OSError, ValueError) as error:
        where = "in the local hub cache" if offline else "on the hub"
        raise Unsupported(
            f"no checkpoint {model!r}: neither a folder nor found {where}", field="model"
        ) from error


def _refuse(config: Any, model: str) -> None:  # noqa: ANN401 - any config class may come
    """Raise Unsupported for what would run wrongly, and say why."""
    if config.model_type != "llava_next":
        raise Unsupported(f"{model} is a {config.model_type!r}, not a LLaVA-NeXT", field="model")
    text = config.get_text_config(decoder=True)
    kinds = set(getattr(text, "layer_types", None) or ["full_attention"])
    if getattr(text, "sliding_window", None) is not None or kinds != {"full_attention"}:
        raise Unsupported(
            f"{model} attends through a sliding window; a pruned cache needs full attention",
            field="model",
        )
    if config.vision_feature_select_strategy != "default":
        raise Unsupported(
            f"{model} keeps the vision tower's class token "
            f"(vision_feature_select_strategy={config.vision_feature_select_strategy!r}); "
            "only 'default' is supported",
            field="model",
        )
