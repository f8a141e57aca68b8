"""The checkpoints that speed is measured on: the shipped pocket, and a random one of 110 M.

Answers are never ended by a stop token here: every contender makes the same number of tokens.
"""

import tempfile
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from transformers import (
    CLIPVisionConfig,
    GenerationConfig,
    LlamaConfig,
    LlavaNextConfig,
    LlavaNextForConditionalGeneration,
    LlavaNextProcessor,
)

from myopia.loading import Checkpoint, load

POCKET = Path(__file__).parents[2] / "pocket" / "weights"
PINPOINTS = [[336, 672], [672, 336], [672, 672], [1008, 336], [336, 1008]]


class Endless(Checkpoint):
    """A checkpoint whose answers end by length only."""

    @property
    def stop_ids(self) -> frozenset[int]:
        """None."""
        return frozenset()


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is measured on a subject, so that it ends within minutes on one core."""

    asks: int  # of the decode-heavy workload
    heavy_asks: int  # of the prefill-heavy one, which has 8 pictures
    rounds: int
    rows: int  # of a decode step
    steps: int
    pictures: int  # of a second question
    long: int  # pictures of the prompts whose scoring, and whose gap, are measured
    kv_bytes: int  # of an engine: pages that are never used take long to be touched


@dataclass(frozen=True)
class Subject:
    """A checkpoint for the engine, and the stock model and processor of the same weights."""

    name: str
    checkpoint: Checkpoint
    stock: Any
    processor: Any
    tiles: str
    scale: Scale

    @property
    def weight_bytes(self) -> int:
        """Bytes of weights that one decode step reads: the layers and the head."""
        parts = [self.checkpoint.model.model.language_model.layers, self.checkpoint.model.lm_head]
        return sum(p.numel() * p.element_size() for part in parts for p in part.parameters())


def pocket() -> Subject:
    """The shipped model: 2.6 M parameters, 36 to 88 tokens per picture."""
    return _subject("pocket", POCKET, "max", Scale(16, 16, 5, 16, 20, 8, 14, 2**28))


def middle() -> Subject:
    """A random Llama of 12 layers and 110 M parameters behind 336-pixel tiles of 576 tokens."""
    with tempfile.TemporaryDirectory() as folder:
        _write_middle(Path(folder))
        # A prompt of 8 pictures has 4.6 k tokens: 1 TFLOP, half a minute of one core.
        return _subject("middle", Path(folder), "base", Scale(4, 2, 1, 8, 12, 4, 8, 2**31))


def _subject(name: str, folder: Path, tiles: str, scale: Scale) -> Subject:
    loaded = load(str(folder), device="cpu")
    endless = Endless(**{field.name: getattr(loaded, field.name) for field in fields(loaded)})
    stock: Any = LlavaNextForConditionalGeneration.from_pretrained(folder)
    endings: Any = GenerationConfig
    stock.generation_config = endings(
        do_sample=False, eos_token_id=None, pad_token_id=0, bos_token_id=1
    )
    processor = LlavaNextProcessor.from_pretrained(folder)
    return Subject(name, endless, stock, processor, tiles, scale)


def _write_middle(folder: Path) -> None:
    text = LlamaConfig(
        vocab_size=32064,
        hidden_size=768,
        intermediate_size=2048,
        num_hidden_layers=12,
        num_attention_heads=12,
        num_key_value_heads=12,
        max_position_embeddings=32768,
        pad_token_id=0,
    )
    vision: Any = CLIPVisionConfig(
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=3,
        num_attention_heads=2,
        image_size=336,
        patch_size=14,
        projection_dim=64,
    )
    config = LlavaNextConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=4,
        image_grid_pinpoints=PINPOINTS,
        tie_word_embeddings=False,
    )
    torch.manual_seed(0)
    model: Any = LlavaNextForConditionalGeneration(config)
    model.save_pretrained(folder)
    processor = LlavaNextProcessor.from_pretrained(POCKET)  # a tokenizer is at hand there
    pictures = processor.image_processor
    pictures.size, pictures.crop_size = {"shortest_edge": 336}, {"height": 336, "width": 336}
    pictures.image_grid_pinpoints = PINPOINTS
    processor.patch_size = 14
    processor.save_pretrained(folder)
