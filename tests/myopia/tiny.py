"""Tiny random LLaVA-NeXT checkpoints that carry every value of the published ones but the weights.

336-pixel tiles of 14-pixel patches, the five pinpoints, feature layer -2, image token 32000 in a
vocabulary of 32064, a sentencepiece-style tokenizer with byte fallback, the published chat
templates. `mistral`: grouped heads, 32768 positions. `vicuna`: as many key heads as query heads,
4096 positions. Both save as stock folders that `from_pretrained` reads. `tile=56` is for tests
that need no published size: a picture then costs 16 to 84 tokens instead of 576 to 2928.
"""

import io
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, processors
from transformers import (
    CLIPVisionConfig,
    GenerationConfig,
    LlamaConfig,
    LlavaNextConfig,
    LlavaNextForConditionalGeneration,
    LlavaNextProcessor,
    MistralConfig,
    PreTrainedTokenizerFast,
)
from transformers.models.llava_next.image_processing_pil_llava_next import (
    LlavaNextImageProcessorPil,
)

Kind = Literal["mistral", "vicuna"]
PINPOINTS = [[336, 672], [672, 336], [672, 672], [1008, 336], [336, 1008]]
IMAGE_ID, PAD_ID, VOCABULARY = 32000, 32001, 32064
WORDS = [
    "which", "image", "shows", "a", "red", "circle", "what", "colour", "is", "the", "star", "in",
    "picture", "yes", "no", "one", "two", "three", "describe", "first", "last", "where", "does",
    "it", "move", "blue", "green", "yellow", "INST", "USER", "ASSISTANT",
]  # fmt: skip

MISTRAL_TEMPLATE = (
    "{% for message in messages %}{% if message['role'] == 'system' %}"
    "{{ '<<SYS>>\n' + message['content'][0]['text'] + '\n<</SYS>>\n\n' }}"
    "{% elif message['role'] == 'user' %}{{ '[INST] ' }}"
    "{% for item in message['content'] if item['type'] == 'image' %}{{ '<image>\n' }}{% endfor %}"
    "{% for item in message['content'] if item['type'] == 'text' %}{{ item['text'] }}{% endfor %}"
    "{{ ' [/INST]' }}{% elif message['role'] == 'assistant' %}"
    "{{ ' ' + message['content'][0]['text'] + '</s> ' }}{% endif %}{% endfor %}"
)
VICUNA_TEMPLATE = (
    "{% for message in messages %}{% if message['role'] == 'system' %}"
    "{{ message['content'][0]['text'] + ' ' }}{% else %}{{ message['role'].upper() + ': ' }}"
    "{% for item in message['content'] if item['type'] == 'image' %}{{ '<image>\n' }}{% endfor %}"
    "{% for item in message['content'] if item['type'] == 'text' %}{{ item['text'] + ' ' }}"
    "{% endfor %}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"
)


def sentencepiece_style() -> Any:
    """A fast tokenizer as Llama's and Mistral's: metaspace, BPE, byte fallback, `<s>` in front."""
    pieces = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁"]
    pieces += [chr(code) for code in range(33, 127)]
    merges: list[tuple[str, str]] = []
    known = set(pieces)
    for word in WORDS:
        whole = "▁"
        for letter in word:
            if whole + letter not in known:
                known.add(whole + letter)
                pieces.append(whole + letter)
                merges.append((whole, letter))
            whole += letter
    pieces += [f"▁¤{number}" for number in range(IMAGE_ID - len(pieces))]
    core = Tokenizer(
        models.BPE(
            {piece: number for number, piece in enumerate(pieces)},
            merges,
            unk_token="<unk>",
            fuse_unk=True,
            byte_fallback=True,
        )
    )
    core.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    core.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    core.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", 1)]
    )
    specials = ["<unk>", "<s>", "</s>", "<image>", "<pad>"]
    core.add_special_tokens([AddedToken(text, special=True, normalized=False) for text in specials])
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        pad_token="<pad>",
        extra_special_tokens={"image_token": "<image>"},
        clean_up_tokenization_spaces=False,
        padding_side="left",
    )


def pinpoints(tile: int) -> list[list[int]]:
    """The published grids, for tiles of that edge."""
    return [[height * tile // 336, width * tile // 336] for height, width in PINPOINTS]


def tiny_config(kind: Kind, tile: int = 336) -> LlavaNextConfig:
    """The published configuration with small hidden sizes and three layers."""
    sizes: dict[str, Any] = {
        "vocab_size": VOCABULARY,
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "initializer_range": 0.25,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": PAD_ID,
        "tie_word_embeddings": False,
    }
    text: Any
    if kind == "mistral":
        text = MistralConfig(
            **sizes,
            num_key_value_heads=2,
            max_position_embeddings=32768,
            rope_parameters={"rope_type": "default", "rope_theta": 1e6},
            sliding_window=None,
            rms_norm_eps=1e-5,
        )
    else:
        text = LlamaConfig(
            **sizes, num_key_value_heads=4, max_position_embeddings=4096, rms_norm_eps=1e-5
        )
    vision: Any = CLIPVisionConfig(
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=3,
        num_attention_heads=2,
        image_size=tile,
        patch_size=14,
        projection_dim=32,
    )
    return LlavaNextConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=IMAGE_ID,
        image_grid_pinpoints=pinpoints(tile),
        vision_feature_layer=-2,
        vision_feature_select_strategy="default",
        tie_word_embeddings=False,
    )


def tiny_processor(kind: Kind, tile: int = 336) -> Any:
    """The stock processor with the published image sizes and chat template."""
    pictures = LlavaNextImageProcessorPil(
        size={"shortest_edge": tile},
        crop_size={"height": tile, "width": tile},
        image_grid_pinpoints=pinpoints(tile),
    )
    return LlavaNextProcessor(
        image_processor=pictures,
        tokenizer=sentencepiece_style(),
        patch_size=14,
        vision_feature_select_strategy="default",
        chat_template=MISTRAL_TEMPLATE if kind == "mistral" else VICUNA_TEMPLATE,
        num_additional_image_tokens=1,
    )


def write_tiny(kind: Kind, folder: Path, seed: int = 0, tile: int = 336) -> Path:
    """Write a random checkpoint of that kind into `folder` and return the folder."""
    torch.manual_seed(seed)
    model: Any = LlavaNextForConditionalGeneration(tiny_config(kind, tile))
    model.generation_config = GenerationConfig(
        bos_token_id=1, eos_token_id=2, pad_token_id=PAD_ID, do_sample=False
    )
    model.save_pretrained(folder)
    tiny_processor(kind, tile).save_pretrained(folder)
    return folder


def draw(seed: int, width: int = 336, height: int = 336) -> Image.Image:
    """A picture of coloured blobs, another one for every seed."""
    random = np.random.default_rng(seed)
    small = random.integers(0, 256, size=(6, 6, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)


def draw_bytes(seed: int, width: int = 336, height: int = 336, form: str = "PNG") -> bytes:
    """The same picture as file bytes."""
    buffer = io.BytesIO()
    draw(seed, width, height).save(buffer, form)
    return buffer.getvalue()
