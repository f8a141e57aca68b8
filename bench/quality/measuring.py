"""Runs all variants of all protocols over drawn samples; one JSON line per sample and protocol.

Resumable: lines that are there are not run again. Knows no table.
"""

import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.milebench.samples import Sample, load
from bench.milebench.scoring import rule_of, score
from bench.pocketbench.writing import write_dataset
from bench.quality import grid
from bench.quality.answering import Answerer, Said
from bench.quality.asking import pictures_of, prompt_of, second_turn
from bench.quality.lines import Line, claim, read_lines
from bench.quality.network import features
from bench.quality.probe import probe
from bench.quality.protocols import (
    PROTOCOLS,
    Protocol,
    Pruned,
    Read,
    ask_again,
    prune,
    read,
    text_only,
    without_images,
)
from myopia.loading import Checkpoint
from myopia.prompt import Prompt, build_prompt


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured: datasets, pictures per question, samples of each, variants, protocols."""

    datasets: tuple[str, ...]
    images: tuple[int, ...]
    samples: int
    variants: tuple[grid.Variant, ...]
    protocols: tuple[Protocol, ...] = PROTOCOLS
    seed: int = 1
    probes: tuple[grid.Variant, ...] = ()


def measure(
    checkpoint: Checkpoint,
    plan: Plan,
    folder: Path,
    *,
    part: tuple[int, int] = (0, 1),
    until: float | None = None,
) -> list[Line]:
    """Run part k of n, `part = (k, n)`; lines are appended to a file of this part's.

    After the unix second `until` no further sample is begun. Returns all lines that the folder
    then has. Raises ValueError where it holds results of another plan or checkpoint.
    """
    draw_samples(plan, folder / "drawn")
    number, parts = part
    claim(folder / "plan.json", _facts(checkpoint, plan))
    done = {(line.dataset, line.number, line.protocol) for line in read_lines(folder)}
    path = folder / f"lines-{number}.jsonl"
    for sample in samples_of(plan, folder / "drawn")[number::parts]:
        if until is not None and time.time() > until:
            break
        missing = [p for p in plan.protocols if (sample.dataset, sample.sample_id, p) not in done]
        if not missing:
            continue
        lines = [asdict(line) for line in measure_sample(checkpoint, sample, plan, missing)]
        with path.open("a", encoding="utf-8") as file:
            file.write("".join(json.dumps(line) + "\n" for line in lines))
        if sys.stderr.isatty():
            sys.stderr.write(f"\r{sample.dataset} {sample.sample_id}   ")
    return read_lines(folder)


def measure_sample(
    checkpoint: Checkpoint, sample: Sample, plan: Plan, protocols: Sequence[Protocol]
) -> Iterator[Line]:
    """All variants of one sample under each protocol."""
    prompt = prompt_of(checkpoint, sample)
    asked = read(checkpoint, prompt, features(checkpoint, pictures_of(sample)))
    answerer = Answerer(checkpoint, asked, sample.choices)
    place = _place(sample)
    prunings = [variant.pruning for variant in plan.variants]
    served: Pruned | None = None
    for protocol in protocols:
        mine, replies = asked, answerer
        if protocol == "turn":
            first, mine, replies = _second_turn(checkpoint, sample, asked)
            pruned = prune(checkpoint, mine, prunings, protocol, first)
        elif protocol == "question" and served is not None:  # the same scores: prune once
            pruned = ask_again(served, prompt)
        else:
            pruned = prune(checkpoint, mine, prunings, protocol)
        served = pruned if protocol == "served" else served
        reference = replies.reference
        said = dict(zip([v.name for v in plan.variants], replies.say(pruned), strict=True))
        said[grid.FULL] = Said(reference.text, 0.0, 1.0)
        said |= _floors(checkpoint, mine, replies, pruned, protocol)
        if protocol == "blind" and plan.probes:
            said |= _probed(checkpoint, sample, asked, answerer, plan.probes)
        yield Line(
            dataset=sample.dataset,
            number=sample.sample_id,
            images=sample.image_count,
            place=place,
            protocol=protocol,
            full_answer=reference.text,
            tokens=len(reference.tokens),
            rows={
                name: [_score(sample, one.text), round(one.kl, 5), round(one.agreement, 4)]
                for name, one in said.items()
            },
        )


def _second_turn(
    checkpoint: Checkpoint, sample: Sample, asked: Read
) -> tuple[Prompt, Read, Answerer]:
    """The first turn's prompt, and the sample's question read after it with the whole cache.

    The first turn describes another picture, half of them away; its answer is the whole cache's.
    """
    elsewhere = (_place(sample) + max(1, sample.image_count // 2)) % sample.image_count
    question = f"Describe image {elsewhere + 1}."
    first = prompt_of(checkpoint, sample, question)
    said = Answerer(checkpoint, read(checkpoint, first, asked.pictures)).reference.text
    prompt = build_prompt(checkpoint, second_turn(sample, question, said))
    again = read(checkpoint, prompt, asked.pictures)
    return first, again, Answerer(checkpoint, again, sample.choices)


def _floors(
    checkpoint: Checkpoint, asked: Read, answerer: Answerer, pruned: Pruned, protocol: Protocol
) -> dict[str, Said]:
    """The rows without pictures."""
    layout = asked.prompt.layout
    empty = without_images(asked.full.layers, layout, pruned.start)
    floors = {grid.NONE: answerer.say(Pruned([empty], pruned.tail, pruned.start))[0]}
    if protocol != "served":
        floors[grid.TEXT] = answerer.say(text_only(checkpoint, asked.prompt))[0]
    return floors


def _probed(
    checkpoint: Checkpoint,
    sample: Sample,
    asked: Read,
    answerer: Answerer,
    probes: Sequence[grid.Variant],
) -> dict[str, Said]:
    """The caption probe's rows."""
    captions = [
        prompt_of(checkpoint, sample, f"Describe image {number}.")
        for number in range(1, sample.image_count + 1)
    ]
    pruned = probe(checkpoint, asked, captions, [variant.pruning for variant in probes])
    names = [variant.name for variant in probes]
    return dict(zip(names, answerer.say(pruned), strict=True))


def _score(sample: Sample, said: str) -> float:
    """MileBench's score; a chosen option is said with its letter, as its choice list invites."""
    if rule_of(sample) == "choice" and said in sample.choices:
        said = f"{chr(65 + sample.choices.index(said))}. {said}"
    return round(score(sample, said), 4)


def _place(sample: Sample) -> int:
    depth = 0.0 if sample.depth is None else sample.depth
    return round(depth * (sample.image_count - 1))


def draw_samples(plan: Plan, root: Path, datasets: Sequence[str] = ()) -> None:
    """Draw the plan's datasets, or the named ones of them, where they are not there yet."""
    for dataset in datasets or plan.datasets:
        if not (root / dataset / f"{dataset}.json").exists():
            write_dataset(root, dataset, plan.samples, plan.images, plan.seed)


def samples_of(plan: Plan, root: Path) -> list[Sample]:
    """All datasets' first samples, then their second ones: a run cut short is a fair part.

    A dataset holds its samples with the first number of pictures, then those with the second.
    """
    samples = [sample for dataset in plan.datasets for sample in load(root / dataset)]
    return sorted(samples, key=lambda sample: sample.sample_id % plan.samples)


def _facts(checkpoint: Checkpoint, plan: Plan) -> dict[str, Any]:
    return {
        "revision": checkpoint.revision,
        "datasets": list(plan.datasets),
        "images": list(plan.images),
        "samples": plan.samples,
        "seed": plan.seed,
        "protocols": list(plan.protocols),
        "probes": [variant.name for variant in plan.probes],
        "variants": {v.name: {"label": v.label, **asdict(v.pruning)} for v in plan.variants},
    }
