"""What scoring costs beside the prefill that it watches: one decoder layer of published size.

    python -m bench.scores [--tokens 2048 8192] [--device cuda] [--shape mistral-7b]
    python -m bench.scores --asks

Prints milliseconds of the layer itself, of seeing text rows alone (alpha 1), of seeing all rows
(alpha .5, as the default does), of pruning, and of explaining, each also as a part of the layer's
own time. On CUDA the log-sum-exp of the flash kernel is used. Weights are random: only time is
measured. `--asks` measures what explaining adds to whole asks of the shipped small model.
"""

import argparse
import json
import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.nn.functional import scaled_dot_product_attention, silu

from bench.speed import clock, contenders, subjects
from myopia.columns_cuda import attend_with_lse, fused_is_possible
from myopia.explanation import explain_row
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
        """Run the layer; its query `(Q, S, D)`, key and value `(H, S, D)`, and the output."""
        q, k, v = self.heads(x, self.q), self.heads(x, self.k), self.heads(x, self.v)
        mixed = scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
        x = x + mixed[0].transpose(0, 1).flatten(1) @ self.o.T
        x = x + (silu(x @ self.gate.T) * (x @ self.up.T)) @ self.down.T
        return q[0], k[0], v[0], x


def layout_of(tokens: int) -> Layout:
    """A prompt of square pictures and a question of 48 tokens, about `tokens` long."""
    one = Span(0, BASE, GRID).length
    count = max(1, round((tokens - QUESTION) / (one + 2)))
    spans = tuple(Span(1 + (one + 2) * m, BASE, GRID) for m in range(count))
    length = spans[-1].stop + QUESTION
    return Layout(length, spans, tuple(range(spans[-1].stop, length - 4)))


def timed(work: Callable[[], object], device: str, times: int) -> float:
    """Median milliseconds after one warm-up: wall on CUDA, the one thread's own time on a CPU."""
    clock = time.perf_counter if device == "cuda" else time.process_time
    found = []
    for turn in range(times + 1):
        if device == "cuda":
            torch.cuda.synchronize()
        began = clock()
        work()
        if device == "cuda":
            torch.cuda.synchronize()
        if turn:
            found.append((clock() - began) * 1e3)
    return statistics.median(found)


def measure(tokens: int, shape: Shape, device: str, times: int) -> dict[str, float]:
    """Milliseconds of one layer and of what watches it."""
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    layout, layer = layout_of(tokens), Layer(shape, device, dtype)
    x = torch.randn(layout.length, shape.hidden, device=device, dtype=dtype)
    query, key, value, _ = layer(x)
    scaling, lse = shape.width**-0.5, None
    if fused_is_possible(query):
        _, lse = attend_with_lse(query[None], key[None], value[None], scaling)

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
    result = {"tokens": float(layout.length), "layer_ms": timed(lambda: layer(x), device, times)}
    result["text_ms"] = timed(lambda: see(Pruning(alpha=1.0)), device, times)
    result["all_ms"] = timed(lambda: see(Pruning(alpha=0.5)), device, times)
    result["prune_ms"] = timed(lambda: prune(seen), device, times)
    result["explain_ms"] = timed(lambda: explained(traced), device, times) - result["prune_ms"]
    return result


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
            found = measure(tokens, SHAPES[asked.shape], asked.device, asked.times)
        own = found["layer_ms"]
        parts = [f"{found[n + '_ms']:12.2f} ({found[n + '_ms'] / own:6.1%})" for n in names]
        print(f"{found['tokens']:6.0f} {own:10.1f}  " + "".join(f"{p:>22}" for p in parts))
        print(json.dumps({"shape": asked.shape, "device": asked.device, **found}))


if __name__ == "__main__":
    main()
