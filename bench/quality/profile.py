"""Figure A2: how much attention each image gets, layer by layer, on real questions.

Three readings of the same prefill: sums over all rows, the same per row that can see the image,
and the question's rows alone. Knows no policy.
"""

from collections.abc import Sequence

import torch

from bench.milebench.samples import Sample
from bench.quality.asking import pictures_of, prompt_of
from bench.quality.network import embed, features, prefill
from myopia.layout import Layout
from myopia.loading import Checkpoint
from myopia.observer import Observer
from myopia.params import Pruning

Table = list[list[float]]


def profile(checkpoint: Checkpoint, samples: Sequence[Sample]) -> dict[str, Table]:
    """Means over samples of equal image count, per layer and image, heads averaged."""
    counts = {sample.image_count for sample in samples}
    if len(counts) != 1:
        raise ValueError("all samples of a profile need the same number of pictures")
    totals: dict[str, torch.Tensor] = {}
    for sample in samples:
        for name, table in _one(checkpoint, sample).items():
            totals[name] = totals.get(name, torch.zeros_like(table)) + table
    return {
        name: [[round(v, 4) for v in row] for row in (table / len(samples)).tolist()]
        for name, table in totals.items()
    }


def _one(checkpoint: Checkpoint, sample: Sample) -> dict[str, torch.Tensor]:
    prompt = prompt_of(checkpoint, sample)
    observer = Observer(prompt.layout, Pruning(alpha=0.5, budget=0.5), layers=checkpoint.layers)
    shown = features(checkpoint, pictures_of(sample))
    prefill(checkpoint, embed(checkpoint, prompt.ids, shown), [observer])
    rows: dict[str, list[torch.Tensor]] = {"all rows": [], "per visible row": [], "question": []}
    visible = _visible_rows(prompt.layout)
    for layer in range(checkpoint.layers):
        evidence = observer.evidence(layer)
        assert evidence.columns is not None
        assert evidence.text is not None
        columns = evidence.columns.mean(0)
        rows["all rows"].append(_by_image(columns, prompt.layout))
        rows["per visible row"].append(_by_image(columns / visible, prompt.layout))
        asking = max(1, len(prompt.layout.text_rows))
        rows["question"].append(_by_image(evidence.text.mean(0) / asking, prompt.layout))
    return {name: torch.stack(table) for name, table in rows.items()}


def _visible_rows(layout: Layout) -> torch.Tensor:
    """For each image token, how many rows of the prompt can see it, `(N,)`."""
    return torch.tensor([layout.length - position for position in layout.image_positions()])


def _by_image(values: torch.Tensor, layout: Layout) -> torch.Tensor:
    """Sum over each image's tokens, `(images,)`."""
    lengths = [span.length for span in layout.spans]
    return torch.stack([part.sum() for part in torch.split(values, lengths)])
