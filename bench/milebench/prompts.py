"""Builds the text of one MileBench question: choice list, placeholders, truncation, chat template.

The order of steps is the official generator's (milebench code 9583e1f, `utils.py`). Pictures stay
paths; the tokenizer is anything that encodes and decodes.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bench.milebench.samples import Sample

HERE = "<ImageHere>"
RETRIEVAL = "GPR1200"
SYSTEM = (
    "You are a helpful language and vision assistant. You are able to understand the visual content"
    " that the user provides, and assist the user with a variety of tasks using natural language."
)


class Tokenizer(Protocol):
    """The two calls that truncation makes; no special tokens either way."""

    def encode(self, text: str) -> list[int]:
        """Token ids of a text fragment."""

    def decode(self, ids: Sequence[int]) -> str:
        """Text of token ids."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What fits: tokens of the whole prompt, and tokens of one picture (by path).

    LOOK-M's setting: 4096 and 576. LLaVA-NeXT with tiles: a function of the picture's size.
    """

    context_tokens: int
    image_tokens: Callable[[Path], int]


@dataclass(frozen=True, slots=True)
class Prompt:
    """Text with one `<ImageHere>` per picture, and the pictures left after truncation."""

    text: str
    images: tuple[Path, ...]
    dropped_images: int

    def parts(self) -> list[str | Path]:
        """Texts and pictures in reading order.

        Pictures pair with the last placeholders, since truncation works from the end; a leading
        placeholder without a picture is left out, a picture without a placeholder comes first.
        """
        fragments = self.text.split(HERE)
        slots = len(fragments) - 1
        unplaced = max(0, len(self.images) - slots)
        parts: list[str | Path] = list(self.images[:unplaced])
        pictures = list(self.images[unplaced:])
        for index, fragment in enumerate(fragments):
            if index and slots - index < len(pictures):
                parts.append(pictures[len(pictures) - 1 - (slots - index)])
            if fragment:
                parts.append(fragment)
        return parts


def question_text(sample: Sample) -> str:
    """Steps 1-3: the context with its choice list, placeholders made uniform."""
    text = sample.context
    if sample.choices:
        lettered = sample.dataset != RETRIEVAL  # more than 26 options there
        lines = [
            (f"{chr(65 + index)}. " if lettered else "") + choice
            for index, choice in enumerate(sample.choices)
        ]
        text += "\nChoice list: \n" + "\n".join(lines) + "\nYour answer is: "
    for number in range(1, sample.image_count + 1):
        mark = f"<Image {number}> " if sample.combined else HERE
        text = text.replace(f"{{image#{number}}}", mark).replace(f"{{table#{number}}}", mark)
    return text


def build(sample: Sample, tokenizer: Tokenizer, limits: Limits) -> Prompt:
    """Steps 1-5: instruction and as much of the end of the context as fits."""
    budget = limits.context_tokens - len(tokenizer.encode(sample.instruction))
    text = question_text(sample)
    if sample.combined:
        (fragment,), _, _ = _walk([text], (), tokenizer, budget, limits.image_tokens)
        return Prompt(f"{HERE}\n{sample.instruction}\n{fragment}", sample.images, 0)
    fragments, images, image_first = _walk(
        text.split(HERE), sample.images, tokenizer, budget, limits.image_tokens
    )
    kept = (HERE if image_first else "") + HERE.join(fragments)
    return Prompt(f"{sample.instruction}\n{kept}", images, len(sample.images) - len(images))


def _walk(
    fragments: Sequence[str],
    images: Sequence[Path],
    tokenizer: Tokenizer,
    budget: int,
    image_tokens: Callable[[Path], int],
) -> tuple[list[str], tuple[Path, ...], bool]:
    """Step 4, from the last fragment to the first: texts, pictures, and is one in front.

    Quirks kept on purpose: the fit of a picture is tested before knowing that one is left; one is
    also taken after the first fragment when more pictures than placeholders exist; a budget of
    exactly 0 keeps the last fragment whole (a slice from -0).
    """
    kept: list[str] = []
    left = list(images)
    taken: list[Path] = []
    used = size = 0
    image_first = False
    for fragment in reversed(fragments):
        ids = tokenizer.encode(fragment)
        if used + len(ids) > budget:
            if not kept:
                kept.append(tokenizer.decode(ids[-budget:]))
            break
        image_first = False
        kept.insert(0, tokenizer.decode(ids))
        used += len(ids)
        size = image_tokens(left[-1]) if left else size
        if used + size > budget:
            break
        if left:
            image_first = True
            taken.insert(0, left.pop())
            used += size
    return kept, tuple(taken), image_first


def spread_pairs(text: str) -> str:
    """Step 6: adjacent placeholders get lines of their own (CLEVR-Change)."""
    return text.replace(HERE + HERE, f"{HERE}\n{HERE}\n")


def llama_2_template(text: str) -> str:
    """The template that the official harness uses for every LLaVA checkpoint."""
    return f"[INST] <<SYS>>\n{SYSTEM}\n<</SYS>>\n\n{text} [/INST]"


def mistral_template(text: str) -> str:
    """The template that LLaVA-1.6-mistral was trained with."""
    return f"[INST] {text} [/INST]"


class Words:
    """A tokenizer for tests and fixtures: one token per word or run of white space."""

    def __init__(self) -> None:
        self._ids: dict[str, int] = {}
        self._texts: list[str] = []

    def encode(self, text: str) -> list[int]:
        """Ids of the runs, new ones learned on the way."""
        ids = []
        for run in re.findall(r"\s+|\S+", text):
            if run not in self._ids:
                self._ids[run] = len(self._texts)
                self._texts.append(run)
            ids.append(self._ids[run])
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """The runs joined: the inverse of `encode`."""
        return "".join(self._texts[token] for token in ids)
