"""Sizes of the pocket and how it is put together, saved and loaded: always the stock class.

Knows nothing of drawing, questions or training.
"""

from pathlib import Path
from typing import Any

import torch
from transformers import (
    CLIPVisionConfig,
    GenerationConfig,
    LlamaConfig,
    LlavaNextConfig,
    LlavaNextForConditionalGeneration,
)

from pocket.sizes import PATCH, PINPOINTS, TILE
from pocket.tokenizer import build_processor
from pocket.words import VOCABULARY

# The stock class; transformers does not type its parts.
Model = Any

BOS, EOS, PAD, IMAGE = (VOCABULARY.index(t) for t in ("<s>", "</s>", "<pad>", "<image>"))


def build_config() -> LlavaNextConfig:
    """Configuration of the shipped checkpoint; 36 to 88 image tokens per picture."""
    vision = CLIPVisionConfig(
        hidden_size=160,
        intermediate_size=512,
        num_hidden_layers=4,
        num_attention_heads=5,
        image_size=TILE,
        patch_size=PATCH,
        projection_dim=128,
        hidden_act="gelu",
    )
    text = LlamaConfig(
        vocab_size=-(-len(VOCABULARY) // 32) * 32,
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=6,
        num_attention_heads=4,
        num_key_value_heads=4,
        head_dim=32,
        max_position_embeddings=4096,
        tie_word_embeddings=True,
        initializer_range=0.06,
        rms_norm_eps=1e-5,
        bos_token_id=BOS,
        eos_token_id=EOS,
        pad_token_id=PAD,
    )
    return LlavaNextConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=IMAGE,
        image_grid_pinpoints=PINPOINTS,
        vision_feature_layer=-1,
        vision_feature_select_strategy="default",
        tie_word_embeddings=True,
        projector_hidden_act="gelu",
    )


def build_model(seed: int) -> Model:
    """A fresh model with random weights."""
    torch.manual_seed(seed)
    model: Model = LlavaNextForConditionalGeneration(build_config())
    model.generation_config = GenerationConfig(  # type: ignore[no-untyped-call]
        bos_token_id=BOS, eos_token_id=EOS, pad_token_id=PAD, do_sample=False, max_new_tokens=16
    )
    return model


def export(model: Model, folder: Path) -> None:
    """Write model and processor so that `from_pretrained(folder)` finds everything."""
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder, safe_serialization=True)
    build_processor().save_pretrained(folder)
