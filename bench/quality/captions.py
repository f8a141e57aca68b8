"""Table A2's shape: one picture, a caption, 40 % of the KV; CIDEr of drawn scenes.

As served: the first token comes from the whole cache, the rest from the pruned one. Also with the
question run again, where the first token is at stake too.
"""

import hashlib
from typing import Any

from bench.captions.cider import cider
from bench.intervals import standard_error
from bench.pocketbench.captioning import make_captioned
from bench.pocketbench.drawer import draw
from bench.quality.answering import Answerer
from bench.quality.grid import FULL, NONE
from bench.quality.network import features
from bench.quality.protocols import Protocol, Pruned, ask_again, prune, read, without_images
from myopia.loading import Checkpoint
from myopia.params import Picture, Pruning, Request, Sampling, Turn
from myopia.prompt import build_prompt

BUDGET = 0.4
ROWS: dict[str, Pruning] = {
    "fastv": Pruning(policy="fastv", budget=BUDGET),
    "myopia alpha 0.2": Pruning(budget=BUDGET, alpha=0.2),
    "myopia alpha 0.5": Pruning(budget=BUDGET, alpha=0.5),
    "myopia alpha 0.8": Pruning(budget=BUDGET, alpha=0.8),
    "random": Pruning(policy="random", budget=BUDGET),
}
PROTOCOLS: tuple[Protocol, ...] = ("served", "question")


def caption_table(checkpoint: Checkpoint, samples: int, seed: int = 0) -> dict[str, Any]:
    """Per protocol and row: 100 times mean CIDEr and its standard error."""
    said: dict[Protocol, dict[str, list[str]]] = {protocol: {} for protocol in PROTOCOLS}
    references = []
    for number in range(samples):
        scene = make_captioned(number, seed)
        references.append(scene.references)
        image = draw(scene.view)
        picture = Picture(image, hashlib.sha256(image.tobytes()).hexdigest())
        turn = Turn("user", (picture, "Describe image 1."))
        request = Request(f"ask_{number}", (turn,), sampling=Sampling(max_tokens=16), tiles="max")
        prompt = build_prompt(checkpoint, request)
        asked = read(checkpoint, prompt, features(checkpoint, [image]))
        answerer = Answerer(checkpoint, asked)
        served = prune(checkpoint, asked, list(ROWS.values()), "served")
        for protocol, pruned in (("served", served), ("question", ask_again(served, prompt))):
            rows = said["served" if protocol == "served" else "question"]
            texts = {name: row.text for name, row in zip(ROWS, answerer.say(pruned), strict=True)}
            empty = without_images(asked.full.layers, prompt.layout, pruned.start)
            floor = answerer.say(Pruned([empty], pruned.tail, pruned.start))[0]
            for name, text in {FULL: answerer.reference.text, NONE: floor.text, **texts}.items():
                rows.setdefault(name, []).append(text)
    return {
        protocol: {
            name: _cell([100 * score for score in cider(texts, references)])
            for name, texts in rows.items()
        }
        for protocol, rows in said.items()
    } | {"samples": samples}


def _cell(scores: list[float]) -> list[float]:
    return [round(sum(scores) / len(scores), 2), round(standard_error(scores), 2)]
