"""What estimating column sums costs in kept tokens: estimators beside the exact sum.

    python -m bench.overlap [--pictures 12] [--samples 1]
    python -m bench.overlap --random [--tokens 8192]

On drawn questions about many pictures and the shipped small model (every estimator is made to act
on its short prompts), or on one random layer of the 110 M shape. For each estimator: the pairs of
row and key that it looks at, as a part of all; its mean relative error per image token, in all
images and in the last; and how much of the kept set is the one that exact sums keep.
"""

import argparse
import statistics
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch

from bench.quality import grid, network
from bench.quality.asking import pictures_of, prompt_of
from bench.quality.measuring import Plan, draw_samples, samples_of
from bench.quality.offered import offered_datasets
from bench.scores import SHAPES, Layer, layout_of
from bench.speed.subjects import POCKET
from myopia.columns import column_sums, row_lse
from myopia.columns_grouped import Grouping, grouped_sums
from myopia.evidence import Evidence, require
from myopia.geometry import image_positions
from myopia.layout import Layout
from myopia.loading import load
from myopia.observer import Observer
from myopia.params import Pruning
from myopia.pruning import prune_row
from myopia.sampling_plan import cumulative_rows

PRUNINGS = {
    f"{subsidy} {budget}": Pruning(budget=budget, subsidy=subsidy, bin_mode="off")
    for subsidy in ("index", "quota")
    for budget in (0.2, 0.05)
}


@dataclass(frozen=True)
class Seen:
    """One layer of one prompt: query `(Q, S, D)`, key `(H, S, D)`."""

    layout: Layout
    query: torch.Tensor
    key: torch.Tensor
    scaling: float


Estimate = tuple[torch.Tensor, int]  # sums (H, S), pairs looked at


def strided(seen: Seen, stride: int, last: int) -> Estimate:
    """Every `stride`-th row of each image (the last image: `last`-th), weighing for it."""
    weights = torch.ones(seen.layout.length)
    for span in seen.layout.spans:
        step = last if span is seen.layout.spans[-1] else stride
        picked = list(range(span.start + step // 2, span.stop, step)) or [span.start]
        weights[span.start : span.stop] = 0
        weights[picked] = span.length / len(picked)
    weights[: seen.layout.spans[0].start] = 0
    rows = weights.nonzero()[:, 0]
    sums = column_sums(seen.query[:, rows], seen.key, rows, weights[rows], seen.scaling)
    return sums, int((rows + 1).sum())


def grouped(seen: Seen, grouping: Grouping) -> Estimate:
    """As the library does where prompts are long."""
    alone, rows = cumulative_rows(seen.layout, exact_until=0)
    first, last = int(rows[0]), int(rows[-1]) + 1
    counts = torch.zeros(last - first)
    counts[rows - first] = 1
    query, key = seen.query[:, first:last], seen.key[:, :last]
    lse = row_lse(query, key, torch.arange(first, last), seen.scaling)
    sums = column_sums(seen.query[:, alone], seen.key, alone, None, seen.scaling)
    sums[:, :last] += grouped_sums(query, key, lse, counts, seen.scaling, grouping)
    blocks = range(first, last, grouping.block)
    pairs = sum(grouping.groups * start + grouping.block**2 for start in blocks)
    return sums, pairs + int((alone + 1).sum())


ESTIMATORS: dict[str, Callable[[Seen], Estimate]] = {
    "last exact, every 4th of others": partial(strided, stride=4, last=1),
    "last exact, every 8th of others": partial(strided, stride=8, last=1),
    "every 4th row": partial(strided, stride=4, last=4),
    "every 8th row": partial(strided, stride=8, last=8),
    "every 16th row": partial(strided, stride=16, last=16),
}
for _block, _groups in ((32, 1), (32, 2), (64, 1), (64, 2), (64, 3), (64, 4), (64, 8), (128, 4)):
    _name = f"blocks of {_block}, {_groups} groups"
    ESTIMATORS[_name] = partial(grouped, grouping=Grouping(_block, _groups))


class _Told(Observer):
    """An observer whose evidence is given to it."""

    told: Evidence

    def evidence(self, layer: int) -> Evidence:
        """As given."""
        return self.told


def kept_by(seen: Seen, pruning: Pruning, told: Evidence) -> torch.Tensor:
    """Positions of the image tokens that one layer keeps."""
    observer = _Told(seen.layout, pruning, layers=1)
    observer.told = told
    positions = prune_row([(seen.key, seen.key)], observer, seen.layout, pruning)[0].positions[0]
    return positions[torch.isin(positions, image_positions(seen.layout))]


def compare(seen: Seen) -> Iterator[tuple[str, dict[str, float]]]:
    """Every estimator's figures on one layer."""
    images, last = image_positions(seen.layout), seen.layout.spans[-1].length

    def summed(rows: torch.Tensor) -> torch.Tensor:
        return column_sums(seen.query[:, rows], seen.key, rows, None, seen.scaling)[:, images]

    every = torch.arange(seen.layout.spans[0].start, seen.layout.length)
    text, window = summed(torch.tensor(seen.layout.text_rows)), summed(every[-1:])
    exact = Evidence(0, 1, summed(every), text, window)
    wanted = {name: kept_by(seen, pruning, exact) for name, pruning in PRUNINGS.items()}
    true = require(exact.columns, "columns").mean(0)
    for name, estimate in ESTIMATORS.items():
        sums, pairs = estimate(seen)
        told = replace(exact, columns=sums[:, images])
        error = (sums[:, images].mean(0) - true).abs() / true
        figures = {
            "pairs": pairs / int((every + 1).sum()),
            "error": float(error.mean()),
            "last": float(error[-last:].mean()),
        }
        for kind, pruning in PRUNINGS.items():
            same = torch.isin(kept_by(seen, pruning, told), wanted[kind])
            figures[kind] = float(same.float().mean())
        yield name, figures


class _Recorder(Observer):
    """Remembers queries and keys."""

    def __init__(self, layout: Layout) -> None:
        super().__init__(layout, Pruning(), layers=1)
        self.found: list[Seen] = []

    def see(self, layer: int, query: torch.Tensor, key: torch.Tensor, *rest: float) -> None:  # type: ignore[override]
        """Called once per layer, with the whole prompt."""
        self.found.append(Seen(self.layout, query, key, rest[1]))


def of_pocket(pictures: int, samples: int) -> Iterator[Seen]:
    """Every layer of drawn questions of every form that is offered."""
    checkpoint = load(str(POCKET), device="cpu")
    variants = tuple(grid.at("default", Pruning(), (0.2,)))
    plan = Plan(offered_datasets(str(POCKET)), (pictures,), samples, variants, ("served",), 5)
    with tempfile.TemporaryDirectory() as folder:
        draw_samples(plan, Path(folder))
        for sample in samples_of(plan, Path(folder)):
            prompt = prompt_of(checkpoint, sample)
            if not prompt.layout.spans:
                continue
            recorder = _Recorder(prompt.layout)
            shown = network.features(checkpoint, pictures_of(sample))
            network.prefill(checkpoint, network.embed(checkpoint, prompt.ids, shown), [recorder])
            yield from recorder.found


def of_chance(tokens: int) -> Iterator[Seen]:
    """One random layer of the 110 M shape."""
    shape, layout = SHAPES["110m"], layout_of(tokens)
    torch.manual_seed(0)
    layer = Layer(shape, "cpu", torch.float32)
    query, key, *_ = layer(torch.randn(layout.length, shape.hidden))
    yield Seen(layout, query, key, shape.width**-0.5)


def main() -> None:
    """Print a line of a Markdown table for every estimator."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--random", action="store_true", help="one random layer, 110 M shape")
    parser.add_argument("--tokens", type=int, default=8192)
    parser.add_argument("--pictures", type=int, default=12)
    parser.add_argument("--samples", type=int, default=1, help="of every form of question")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    found: dict[str, list[dict[str, float]]] = {}
    with torch.inference_mode():
        given = (
            of_chance(asked.tokens) if asked.random else of_pocket(asked.pictures, asked.samples)
        )
        for seen in given:
            for name, figures in compare(seen):
                found.setdefault(name, []).append(figures)
    columns = ("pairs", "error", "last", *PRUNINGS)
    print("| estimator | " + " | ".join(columns) + " |")
    print("|---|" + "---|" * len(columns))
    for name, each in found.items():
        means = [statistics.mean(figures[column] for figures in each) for column in columns]
        print(f"| {name} | " + " | ".join(f"{mean:.3f}" for mean in means) + " |")


if __name__ == "__main__":
    main()
