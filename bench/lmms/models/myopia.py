"""lmms-eval's model interface over the library's engine; tested against lmms-eval 0.7.

`--model_args pretrained=<checkpoint>,policy=myopia,budget=0.2`. Pictures go where the text says
`<image>`, else in front. Knows no task.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import fields
from typing import Any

from lmms_eval.api.model import (  # type: ignore[import-not-found,import-untyped,unused-ignore]
    lmms,
)
from PIL import Image

from myopia.engine import Engine
from myopia.loading import load
from myopia.params import Picture, Pruning, Request, Sampling, Turn

MARK = "<image>"
MOST_TOKENS = 1024


class Myopia(lmms):  # type: ignore[misc,unused-ignore]  # lmms-eval is untyped
    """Answers lmms-eval's requests together, as many as the engine holds."""

    is_simple = True

    def __init__(
        self,
        pretrained: str,
        device: str = "auto",
        tiles: str = "auto",
        batch_size: int | str = 1,
        **pruning: Any,  # noqa: ANN401 - the fields of `Pruning`
    ) -> None:
        super().__init__()
        self._engine = Engine(load(pretrained, device=device))
        self._pruning = pruning_of(pruning)
        if tiles not in {"auto", "base", "max"}:
            raise ValueError("tiles must be auto, base or max")
        self._tiles: Any = tiles

    def generate_until(self, requests: Sequence[Any]) -> list[str]:
        """Answers in the order of the requests; raises where one fails, naming it."""
        names = []
        for number, request in enumerate(requests):
            asked = self.request(f"ask_{number:08d}", request)
            names.append(asked.ask_id)
            self._engine.add(asked)
        answers: dict[str, str] = {}
        while self._engine.has_work:
            for output in self._engine.step():
                if output.failed is not None:
                    raise RuntimeError(f"request {output.ask_id}: {output.failed}")
                if output.finished is not None:
                    answers[output.ask_id] = output.finished.answer
        return [answers[name] for name in names]

    def request(self, ask_id: str, request: Any) -> Request:  # noqa: ANN401 - lmms-eval's Instance
        """One of lmms-eval's requests in the library's words."""
        text, wanted, to_pictures, doc_id, task, split = request.args
        shown = to_pictures(self.task_dict[task][split][doc_id]) or []
        stop = wanted.get("until") or ()
        stop = (stop,) if isinstance(stop, str) else tuple(mark for mark in stop if mark)
        return Request(
            ask_id=ask_id,
            turns=(Turn("user", tuple(interleaved(text, [picture_of(one) for one in shown]))),),
            pruning=self._pruning,
            sampling=Sampling(
                max_tokens=int(wanted.get("max_new_tokens", MOST_TOKENS)),
                temperature=float(wanted.get("temperature") or 0.0),
                stop=stop,
            ),
            tiles=self._tiles,
        )

    def loglikelihood(self, requests: Sequence[Any]) -> list[tuple[float, bool]]:
        """Refuse: pruning acts on what is generated, scoring a given text is another thing."""
        raise NotImplementedError("use tasks of output type generate_until")

    def generate_until_multi_round(self, requests: Sequence[Any]) -> list[str]:
        """Refuse: rounds over one cache are not offered through lmms-eval."""
        raise NotImplementedError("use tasks of output type generate_until")


def pruning_of(given: dict[str, Any]) -> Pruning:
    """`Pruning` from command-line arguments; an unknown name is refused with the known ones."""
    known = {field.name for field in fields(Pruning)}
    unknown = sorted(set(given) - known)
    if unknown:
        raise ValueError(f"unknown model_args {unknown}; pruning has {sorted(known)}")
    return Pruning(**given)


def picture_of(shown: Any) -> Picture:  # noqa: ANN401 - lmms-eval passes pictures, videos, paths
    """A picture of a document; refuses what is no picture."""
    if not isinstance(shown, Image.Image):
        raise TypeError(f"only pictures can be asked about, not {type(shown).__name__}")
    image = shown.convert("RGB")
    return Picture(image, hashlib.sha256(image.tobytes() + repr(image.size).encode()).hexdigest())


def interleaved(text: str, pictures: Sequence[Picture]) -> Iterator[Picture | str]:
    """Pictures at their marks; those without a mark come first, marks without one are dropped."""
    fragments = text.split(MARK)
    waiting = iter(pictures)
    for _ in range(len(pictures) - (len(fragments) - 1)):
        yield next(waiting)
    for index, fragment in enumerate(fragments):
        if index and (picture := next(waiting, None)) is not None:
            yield picture
        if fragment.strip():
            yield fragment
