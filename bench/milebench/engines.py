"""Answers samples with the library's engine, or with a running service over HTTP.

Both are callables from a sample to text, as `running.run` wants. Knows no scores.
"""

import base64
import json
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from PIL import Image

from bench.milebench.prompts import HERE, SYSTEM, Limits, Prompt, build, spread_pairs
from bench.milebench.samples import Sample
from myopia.engine import Engine
from myopia.loading import Checkpoint
from myopia.params import Picture, Pruning, Request, Sampling, Turn
from myopia.pictures import read_picture

Form = Literal["llama_2", "mistral", "own"]
Read = Callable[[Sample], Prompt]

# Chat templates that keep text and pictures in the order they came; LLaVA-NeXT's own puts the
# pictures first. `llama_2` is what the official harness uses for every LLaVA checkpoint.
_CONTENT = (
    "{% for item in messages[0]['content'] %}{% if item['type'] == 'image' %}{{ '<image>' }}"
    "{% else %}{{ item['text'] }}{% endif %}{% endfor %}"
)
TEMPLATES: dict[Form, str] = {
    "llama_2": "[INST] <<SYS>>\n" + SYSTEM + "\n<</SYS>>\n\n" + _CONTENT + " [/INST]",
    "mistral": "[INST] " + _CONTENT + " [/INST]",
}


class NoAnswer(RuntimeError):
    """An ask failed; the message names the sample and says why."""


class PlainTokens:
    """A Hugging Face tokenizer without special tokens, as truncation wants it."""

    def __init__(self, tokenizer: Any) -> None:  # noqa: ANN401 - tokenizers are untyped
        self._tokenizer = tokenizer

    def encode(self, text: str) -> list[int]:
        """Token ids of a fragment."""
        return list(self._tokenizer(text, add_special_tokens=False).input_ids)

    def decode(self, ids: Sequence[int]) -> str:
        """Text of token ids."""
        return str(self._tokenizer.decode(ids))


@dataclass(frozen=True, slots=True)
class Asking:
    """How questions are put.

    `tiles`: `base` gives every picture its base tile (LOOK-M's setting), `max` its own tiles.
    `bare`: the context alone, choices given as options to the engine, for models that cannot read
    a choice list.
    """

    form: Form = "llama_2"
    tiles: Literal["base", "max"] = "base"
    context_tokens: int = 4096
    max_tokens: int = 512
    bare: bool = False


def limits_of(checkpoint: Checkpoint, asking: Asking) -> Limits:
    """What fits: every picture's tokens from its size alone."""

    def size(path: Path) -> int:
        with Image.open(path) as picture:
            width, height = picture.size
        return checkpoint.tiling.span(0, (height, width), asking.tiles).length

    return Limits(asking.context_tokens, size)


def bare_prompt(sample: Sample) -> Prompt:
    """The context alone, placeholders made uniform, nothing cut."""
    text = sample.context
    for number in range(1, sample.image_count + 1):
        text = text.replace(f"{{image#{number}}}", HERE).replace(f"{{table#{number}}}", HERE)
    return Prompt(text, sample.images, 0)


def reader(checkpoint: Checkpoint, asking: Asking) -> Read:
    """The prompt builder that fits a checkpoint and a way of asking."""
    if asking.bare:
        return bare_prompt
    tokens, limits = PlainTokens(checkpoint.tokenizer), limits_of(checkpoint, asking)

    def read(sample: Sample) -> Prompt:
        prompt = build(sample, tokens, limits)
        return replace(prompt, text=spread_pairs(prompt.text))

    return read


def lettered(sample: Sample, said: str) -> str:
    """An option that was chosen is said with its letter, as a choice list invites."""
    if said in sample.choices:
        return f"{chr(65 + sample.choices.index(said))}. {said}"
    return said


class EngineAnswer:
    """Answers with an engine in this process."""

    def __init__(self, checkpoint: Checkpoint, pruning: Pruning, asking: Asking) -> None:
        if asking.form != "own":
            checkpoint = replace(checkpoint, chat_template=TEMPLATES[asking.form])
        self._engine = Engine(checkpoint)
        self._pruning, self._asking = pruning, asking
        self._read = reader(checkpoint, asking)

    def __call__(self, sample: Sample) -> str:
        """Ask and wait; raises `NoAnswer` where the ask fails."""
        self._engine.add(self.request(sample))
        while self._engine.has_work:
            for output in self._engine.step():
                if output.failed is not None:
                    name = f"{sample.dataset} {sample.sample_id}"
                    raise NoAnswer(f"{name}: {output.failed}") from output.failed
                if output.finished is not None:
                    said = output.finished.answer
                    return lettered(sample, said) if self._asking.bare else said
        raise NoAnswer(f"{sample.dataset} {sample.sample_id}: the engine fell silent")

    def request(self, sample: Sample) -> Request:
        """The library's request of a sample."""
        parts: list[Picture | str] = [
            part if isinstance(part, str) else read_picture(part.read_bytes())
            for part in self._read(sample).parts()
        ]
        return Request(
            ask_id=f"ask_{sample.dataset}_{sample.sample_id}",
            turns=(Turn("user", tuple(parts)),),
            options=sample.choices if self._asking.bare else (),
            pruning=self._pruning,
            sampling=Sampling(max_tokens=self._asking.max_tokens),
            tiles=self._asking.tiles,
        )


class ServiceAnswer:
    """Answers with a running service; the service's own model and chat form are used."""

    def __init__(
        self, url: str, pruning: Pruning, read: Read, *, key: str = "", asking: Asking
    ) -> None:
        self._url = url.rstrip("/") + "/v1/ask"
        self._key, self._read = key, read
        self._pruning, self._asking = pruning, asking

    def __call__(self, sample: Sample) -> str:
        """POST one ask; raises `NoAnswer` with the service's own words."""
        request = urllib.request.Request(
            self._url,
            json.dumps(self.body(sample)).encode(),
            {"Content-Type": "application/json", "Authorization": f"Bearer {self._key}"},
        )
        if not self._key:
            request.remove_header("Authorization")
        try:
            with urllib.request.urlopen(request, timeout=600) as response:
                said = str(json.load(response)["answer"])
        except urllib.error.HTTPError as error:
            name = f"{sample.dataset} {sample.sample_id}"
            raise NoAnswer(f"{name}: {error.code} {error.read().decode()[:500]}") from error
        return lettered(sample, said) if self._asking.bare else said

    def body(self, sample: Sample) -> dict[str, Any]:
        """The JSON body: pictures and texts in order, the last text as the question."""
        items: list[dict[str, str]] = []
        for part in self._read(sample).parts():
            if isinstance(part, str):
                items.append({"text": part})
            else:
                items.append({"data": base64.b64encode(part.read_bytes()).decode()})
        question = items.pop()["text"] if "text" in items[-1] else "?"
        body: dict[str, Any] = {
            "question": question,
            "images": items,
            "pruning": asdict(self._pruning),
            "generation": {"max_tokens": self._asking.max_tokens},
            "tiles": self._asking.tiles,
            "cache": "off",
        }
        return body | ({"options": list(sample.choices)} if self._asking.bare else {})
