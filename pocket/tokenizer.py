"""Builds the stock processor: fast word-level tokenizer, chat template, PIL image processor.

Spellings that mean the same are folded by the tokenizer's own normalizer, for every client.
Knows no model weights.
"""

from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers
from transformers import LlavaNextProcessor, PreTrainedTokenizerFast
from transformers.models.llava_next.image_processing_pil_llava_next import (
    LlavaNextImageProcessorPil,
)

from pocket.sizes import PATCH, PINPOINTS, TILE
from pocket.words import CARDINALS, ORDINALS, SAME, SPECIALS, VOCABULARY

# The template numbers the pictures. The last text of a user's turn is the question, at the end.
CHAT_TEMPLATE = (
    "{{ '<s>' }}{% set ns = namespace(k=0, last=-1) %}"
    "{% for message in messages %}"
    "{% if message['content'] is string %}"
    "{% if message['role'] == 'user' %}{{ ' <q> ' + message['content'] }}"
    "{% elif message['role'] == 'assistant' %}{{ ' <a> ' + message['content'] + ' </s>' }}"
    "{% else %}{{ ' ' + message['content'] }}{% endif %}"
    "{% else %}{% set ns.last = -1 %}"
    "{% if message['role'] == 'user' %}{% for item in message['content'] %}"
    "{% if item['type'] == 'text' %}{% set ns.last = loop.index0 %}{% endif %}"
    "{% endfor %}{% endif %}"
    "{% if message['role'] == 'assistant' %}{{ ' <a>' }}{% endif %}"
    "{% for item in message['content'] %}"
    "{% if item['type'] == 'image' %}{% set ns.k = ns.k + 1 %}"
    "{{ ' image ' ~ ns.k ~ ' : <image>' }}"
    "{% elif item['type'] == 'text' and loop.index0 != ns.last %}"
    "{{ ' ' + item['text'] }}{% endif %}{% endfor %}"
    "{% if ns.last >= 0 %}{{ ' <q> ' + message['content'][ns.last]['text'] }}{% endif %}"
    "{% if message['role'] == 'assistant' %}{{ ' </s>' }}{% endif %}"
    "{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ ' <a>' }}{% endif %}"
)


def normalizer_rules() -> list[tuple[str, str]]:
    """(regular expression, replacement) pairs, applied in order to lower-cased text."""
    rules = [
        ("[-=]+>|\u2192", " to "),
        ('[\\s.?!:;"()\\[\\]{}#*`~|\\\\^$\u2026\u00bf\u00a1-]+', " "),
        ("[\u2018\u2019]", "'"),
    ]
    rules += [(rf"\b(?:{spelled})\b", word) for word, spelled in SAME]
    rules += [(r"'s\b", " "), ("'", " ")]
    for k, ordinal in enumerate(ORDINALS, start=1):
        suffix = {1: "st", 2: "nd", 3: "rd"}.get(k, "th")
        nth = rf"(?:{k}{suffix}|{ordinal})"
        rules += [(rf"\b(?:a )?{nth} image\b", f"image {k}"), (rf"\b(?:a )?{nth}\b", f"{k}")]
    rules += [(rf"\b{word}\b", str(k)) for k, word in enumerate(CARDINALS)]
    # "in what image the 7 is" asks for a number; "what image 7 shows" names one
    return [*rules, (r"\bwhat image\b(?! \d)", "which image")]


def build_tokenizer() -> PreTrainedTokenizerFast:
    """The fast tokenizer; unknown words become <unk>."""
    table = {word: i for i, word in enumerate(VOCABULARY)}
    core = Tokenizer(models.WordLevel(table, unk_token="<unk>"))  # noqa: S106
    steps: list[Any] = [normalizers.NFKC(), normalizers.Lowercase()]
    steps += [normalizers.Replace(Regex(pattern), word) for pattern, word in normalizer_rules()]
    core.normalizer = normalizers.Sequence([*steps, normalizers.Strip()])
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Whitespace(), pre_tokenizers.Punctuation(), pre_tokenizers.Digits(False)]
    )
    core.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in SPECIALS])
    named = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=core,
        **named,
        extra_special_tokens={"image_token": "<image>", "ask_token": "<q>", "reply_token": "<a>"},
        clean_up_tokenization_spaces=False,
        model_max_length=4096,
        padding_side="left",
    )


def build_processor() -> LlavaNextProcessor:
    """`LlavaNextProcessor` whose sizes agree with `model.build_config`."""
    pictures = LlavaNextImageProcessorPil(
        size={"shortest_edge": TILE},
        crop_size={"height": TILE, "width": TILE},
        image_grid_pinpoints=PINPOINTS,
        image_mean=[0.5, 0.5, 0.5],
        image_std=[0.5, 0.5, 0.5],
    )
    return LlavaNextProcessor(  # type: ignore[no-untyped-call]
        image_processor=pictures,
        tokenizer=build_tokenizer(),
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        chat_template=CHAT_TEMPLATE,
        num_additional_image_tokens=1,
    )
