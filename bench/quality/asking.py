"""From a drawn question to a prompt of the checkpoint's own chat form, pictures in their places.

Knows MileBench samples and the library's request; nothing of caches or scores.
"""

import hashlib
from dataclasses import replace
from pathlib import Path

from PIL import Image

from bench.milebench.engines import bare_prompt
from bench.milebench.samples import Sample
from myopia.loading import Checkpoint
from myopia.params import Picture, Request, Sampling, Turn
from myopia.prompt import Prompt, build_prompt

MOST_TOKENS = 16


def bare_parts(sample: Sample) -> list[str | Path]:
    """Context without instruction and choice list: choices go to the engine as options."""
    return [
        part if isinstance(part, Path) else part.strip()
        for part in bare_prompt(sample).parts()
        if isinstance(part, Path) or part.strip()
    ]


def pictures_of(sample: Sample) -> list[Image.Image]:
    """The sample's pictures, RGB."""
    shown = []
    for path in sample.images:
        with Image.open(path) as picture:
            shown.append(picture.convert("RGB"))
    return shown


def request_of(sample: Sample, question: str | None = None) -> Request:
    """The library's request; `question` replaces the last text."""
    parts: list[Picture | str] = []
    pictures = iter(pictures_of(sample))
    for part in bare_parts(sample):
        if isinstance(part, str):
            parts.append(part)
        else:
            image = next(pictures)
            parts.append(Picture(image, hashlib.sha256(part.read_bytes()).hexdigest()))
    if question is not None:
        parts[-1] = question
    return Request(
        ask_id=f"ask_{sample.dataset}_{sample.sample_id}",
        turns=(Turn("user", tuple(parts)),),
        options=sample.choices,
        sampling=Sampling(max_tokens=MOST_TOKENS),
        tiles="max",
    )


def second_turn(sample: Sample, first: str, answer: str) -> Request:
    """The sample's question asked after another one about the same pictures, and its answer."""
    single = request_of(sample)
    *pictures, question = single.turns[0].parts
    turns = (
        Turn("user", (*pictures, first)),
        Turn("assistant", (answer,)),
        Turn("user", (question,)),
    )
    return replace(single, turns=turns)


def prompt_of(checkpoint: Checkpoint, sample: Sample, question: str | None = None) -> Prompt:
    """The prompt as the engine would build it."""
    return build_prompt(checkpoint, request_of(sample, question))
