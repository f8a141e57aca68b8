"""What scoring costs beside the prefill that it watches: one decoder layer of published size.

    python -m bench.scores [--tokens 2048 8192] [--device cuda] [--shape mistral-7b]
    python -m bench.scores --asks

Prints milliseconds of the layer itself, of seeing text rows alone (alpha 1), of seeing all rows
(alpha .5, as the default does), of pruning, and of explaining, each also as a part of the layer's
own time: medians over rounds in which all of them take their turns. On a CPU a millisecond is the
one thread's own. The log-sum-exp of the flash kernel is used, as the engine does. Weights are
random: only time is measured. `--asks` measures what explaining adds to whole asks of the shipped
small model.
"""

import argparse
import json
import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.nn.functional import silu

from bench.speed import clock, contenders, subjects
from myopia.explanation import explain_row
from myopia.flash import attend_with_lse
from myopia.layout import Layout, Span
from myopia.observer import Observer
from myopia.params import Pruning
from myopia.pruning import prune_row


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of one decoder layer."""

    hidden: int
    inner: int
    queries: int
    keys: int

    @property
    def width(self) -> int:
        """Of one head."""
        return self.hidden // self.queries


SHAPES = {
    "mistral-7b": Shape(4096, 14336, 32, 8),
    "vicuna-7b": Shape(4096, 11008, 32, 32),
    "quarter": Shape(1024, 3584, 8, 2),
    "110m": Shape(768, 2048, 12, 12),  # of bench.speed's `middle`, twelve such layers
    "300m": Shape(1024, 4096, 16, 8),  # eighteen such layers
}
BASE = (24, 24)
GRID = (24, 24)  # one tile beside the base, newlines among them: 1176 tokens, a square picture
QUESTION = 48


class Layer:
    """The matrix products and the attention of one layer; no norms, no rotation."""

    def __init__(self, shape: Shape, device: str, dtype: torch.dtype) -> None:
        self.shape = shape

        def weight(rows: int, columns: int) -> torch.Tensor:
            drawn = torch.randn(rows, columns, device=device, dtype=dtype)
            return drawn / math.sqrt(columns)

        keys = shape.keys * shape.width
        self.q, self.k = weight(shape.hidden, shape.hidden), weight(keys, shape.hidden)
        self.v, self.o = weight(keys, shape.hidden), weight(shape.hidden, shape.hidden)
        self.up, self.gate = (weight(shape.inner, shape.hidden) for _ in range(2))
        self.down = weight(shape.hidden, shape.inner)

    def heads(self, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        """Project `(S, hidden)` to `(1, heads, S, width)`."""
        heads: torch.Tensor = (x @ weight.T).view(x.shape[0], -1, self.shape.width)
        return heads.transpose(0, 1)[None]

    def __call__(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Run the layer; query `(Q, S, D)`, key and value `(H, S, D)`, log-sum-exp `(Q, S)`."""
        q = self.heads(x, self.q)
        k, v = (self.heads(x, weight).contiguous() for weight in (self.k, self.v))  # as a cache
        mixed, lse = attend_with_lse(q, k, v, None, self.shape.width**-0.5)
        x = x + mixed[0].transpose(0, 1).flatten(1) @ self.o.T
        x = x + (silu(x @ self.gate.T) * (x @ self.up.T)) @ self.down.T
        return q[0], k[0], v[0], lse


def layout_of(tokens: int) -> Layout:
    """A prompt of square pictures and a question of 48 tokens, about `tokens` long."""
    one = Span(0, BASE, GRID).length
    count = max(1, round((tokens - QUESTION) / (one + 2)))
    spans = tuple(Span(1 + (one + 2) * m, BASE, GRID) for m in range(count))
    length = spans[-1].stop + QUESTION
    return Layout(length, spans, tuple(range(spans[-1].stop, length - 4)))


def taken(work: Callable[[], object], device: str) -> float:
    """Milliseconds of one call: wall on CUDA, the one thread's own time on a CPU."""
    read = time.perf_counter if device == "cuda" else time.process_time
    if device == "cuda":
        torch.cuda.synchronize()
    began = read()
    work()
    if device == "cuda":
        torch.cuda.synchronize()
    return (read() - began) * 1e3


def measure(
    tokens: int, shape: Shape, device: str, times: int
) -> tuple[int, list[dict[str, float]]]:
    """Tokens of the prompt, and milliseconds of one layer and of what watches it, every round."""
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    layout, layer = layout_of(tokens), Layer(shape, device, dtype)
    x = torch.randn(layout.length, shape.hidden, device=device, dtype=dtype)
    query, key, value, lse = layer(x)
    scaling = shape.width**-0.5

    def see(pruning: Pruning, explain: bool = False) -> Observer:
        observer = Observer(layout, pruning, layers=1, explain=explain)
        observer.see(0, query, key, 0, scaling, lse)
        return observer

    def prune(observer: Observer) -> None:
        prune_row([(key, value)], observer, layout, observer.pruning)

    def explained(observer: Observer) -> None:
        assert observer.trace is not None
        observer.trace.layers.clear()
        prune(observer)
        explain_row(observer)

    seen, traced = see(Pruning()), see(Pruning(), explain=True)
    works: dict[str, Callable[[], object]] = {
        "layer": lambda: layer(x),
        "text": lambda: see(Pruning(alpha=1.0)),
        "all": lambda: see(Pruning(alpha=0.5)),
        "prune": lambda: prune(seen),
        "explain": lambda: explained(traced),
    }
    rounds = []
    for turn in range(times + 1):  # the first warms up
        found = {name: taken(work, device) for name, work in works.items()}
        found["explain"] -= found["prune"]
        if turn:
            rounds.append(found)
    return layout.length, rounds


def explained_asks(rounds: int) -> None:
    """Print what `explain` adds to asks of the small model: the median of interleaved ratios."""
    clock.choose("cpu")
    subject = subjects.pocket()
    engine = contenders.make_engine(subject, kv_bytes=2**27)
    for pictures, tokens in ((3, 8), (4, 32), (8, 32), (8, 128)):
        work, ratios = contenders.Workload("", 1, pictures, tokens), []
        for turn in range(rounds + 1):
            taken = [
                contenders.by_engine(engine, asks, 0.2)
                for explain in (False, True)
                for asks in [contenders.requests(subject, work, turn, explain=explain)]
            ]
            if turn:
                ratios.append(taken[1] / taken[0])
        added = statistics.median(ratios) - 1
        print(f"{pictures} pictures, {tokens:3} tokens: explaining adds {added:.1%}", flush=True)


def main() -> None:
    """Measure and print a line per length, and the same as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokens", type=int, nargs="+", default=[2048])
    parser.add_argument("--shape", choices=SHAPES, default="mistral-7b")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--asks", action="store_true", help="what explaining adds to whole asks")
    asked = parser.parse_args()
    if asked.device == "cpu":
        torch.set_num_threads(1)  # so that other work on the machine does not count
    if asked.asks:
        explained_asks(10 * asked.times)
        return
    names = ("text", "all", "prune", "explain")
    print("tokens   layer ms  " + "".join(f"{name + ' ms (part)':>22}" for name in names))
    for tokens in asked.tokens:
        with torch.inference_mode():
            length, rounds = measure(tokens, SHAPES[asked.shape], asked.device, asked.times)
        own = statistics.median(found["layer"] for found in rounds)
        line = f"{length:6} {own:10.1f}  "
        for name in names:
            middle = statistics.median(found[name] for found in rounds)
            part = statistics.median(found[name] / found["layer"] for found in rounds)
            line += f"{f'{middle:.2f} ({part:6.1%})':>22}"
        print(line)
        print(json.dumps({"shape": asked.shape, "device": asked.device, "rounds": rounds}))


if __name__ == "__main__":
    main()
