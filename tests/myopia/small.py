"""A LLaVA-NeXT of a few kilobytes: 28-pixel tiles of 16 patches, three text layers."""

from typing import Any, Literal

import torch
from transformers import (
    CLIPVisionConfig,
    LlamaConfig,
    LlavaNextConfig,
    LlavaNextForConditionalGeneration,
    MistralConfig,
    Qwen2Config,
)

from myopia.tiles import Tiling

IMAGE, PAD, VOCABULARY = 5, 0, 40
PINPOINTS = [[28, 56], [56, 28], [56, 56]]
TILING = Tiling(28, 7, tuple((a, b) for a, b in PINPOINTS))
Text = Literal["llama", "mistral", "qwen2"]


def small_model(kind: Text = "llama", seed: int = 0, **more: Any) -> Any:
    """A random model in eval mode; `more` goes into the text config."""
    sizes: dict[str, Any] = {
        "vocab_size": VOCABULARY,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 2048,
        "initializer_range": 0.25,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": PAD,
    }
    if kind == "mistral":
        sizes["sliding_window"] = None
    kinds = {"llama": LlamaConfig, "mistral": MistralConfig, "qwen2": Qwen2Config}
    config = LlavaNextConfig(
        vision_config=CLIPVisionConfig(
            hidden_size=16,
            intermediate_size=24,
            num_hidden_layers=2,
            num_attention_heads=2,
            image_size=28,
            patch_size=7,
            projection_dim=16,
            initializer_range=0.4,
        ),
        text_config=kinds[kind](**{**sizes, **more}),
        image_token_index=IMAGE,
        image_grid_pinpoints=PINPOINTS,
        tie_word_embeddings=False,
    )
    torch.manual_seed(seed)
    model: Any = LlavaNextForConditionalGeneration(config).eval()
    model.generation_config.eos_token_id = None  # random answers must not end by chance
    model.generation_config.pad_token_id = PAD
    return model


def small_inputs(
    *rows: list[tuple[int, int]], seed: int = 0, tail: int = 6
) -> dict[str, torch.Tensor]:
    """Left-padded inputs; a row is the (height, width) of its pictures, text stands between."""
    chance = torch.Generator().manual_seed(seed)

    def words(count: int) -> list[int]:
        return torch.randint(6, VOCABULARY, (count,), generator=chance).tolist()

    prompts, sizes = [], []
    for pictures in rows:
        ids = [1]
        for size in pictures:
            ids += words(2) + [IMAGE] * TILING.span(0, size, "max").length
            sizes.append(size)
        prompts.append(ids + words(tail))
    width = max(map(len, prompts))
    inputs = {
        "input_ids": torch.tensor([[PAD] * (width - len(p)) + p for p in prompts]),
        "attention_mask": torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts]),
    }
    if sizes:
        inputs["pixel_values"] = torch.randn(len(sizes), 5, 3, 28, 28, generator=chance)
        inputs["image_sizes"] = torch.tensor(sizes)
    return inputs
