"""Stage 1, reading: the language layers learn to answer about rows of pictures; vision is frozen.

Curriculum on the number of pictures; scaffolding until `scaffold_until`; averaged weights kept.
"""

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from pocket.features import Pages
from pocket.model import Model
from pocket.muon import Pair
from pocket.origin import EYES
from pocket.reader import Layer, answer_logits, run_layers
from pocket.runs import Clock, load_state, note, rate, save_state
from pocket.scaffold import EARLY_LAYER, GATHER_LAYER, LOOKS, Scaffold, Weights
from pocket.sheets import IGNORE, Batch, collate
from pocket.stories import Sheet, sample_sheet
from pocket.team import Team
from pocket.vision_stage import COLOR_WORDS, KIND_WORDS

MOST_PICTURES = 12


@dataclass(frozen=True, slots=True)
class Plan:
    """Choices of one reading run."""

    minutes: float
    seed: int
    peak: float = 1.5e-3
    decay_from: float = 0.6
    scaffold_until: float = 0.67
    pointers: bool = True  # else no scaffold says where to look
    level: int = 3  # most pictures at the start
    average: float = 0.995
    tokens: int = 3600  # per step and process


@dataclass(slots=True)
class Progress:
    """Running means of what was right, and the level they have earned."""

    level: int
    right: dict[str, float]
    calm: int = 0

    def update(self, task: str, hit: float) -> None:
        """Mix one batch's share of right answers in."""
        self.right[task] = 0.97 * self.right.get(task, hit) + 0.03 * hit

    def climb(self) -> None:
        """One more picture once the main tasks go well for a while."""
        self.calm += 1
        main = [self.right.get(t, 0.0) for t in ("find", "find digit", "color")]
        if self.calm >= 25 and self.level < MOST_PICTURES and sum(main) / 3 > 0.72:
            self.level, self.calm = self.level + 1, 0


def sample_count(level: int, rng: np.random.Generator) -> int:
    """Pictures per story of the next step: as many as the level allows, or few, or any number."""
    draw = rng.random()
    if draw < 0.3:
        return level
    return int(rng.integers(2, 5)) if draw < 0.5 else int(rng.integers(1, level + 1))


def sample_batch(
    pages: list[Pages], count: int, rng: np.random.Generator, tokens: int = 3600
) -> Batch:
    """Stories of `count` pictures, about `tokens` tokens in all."""
    asked = 18 + count  # questions are cheap beside pictures
    stories = max(2, tokens // (count * 84 + asked * 14))
    sheets: list[tuple[Sheet, Pages]] = []
    while len(sheets) < stories:
        page = pages[int(rng.integers(len(pages)))]
        sheet = sample_sheet(page.albums, count, asked, rng)
        if sheet.questions:
            sheets.append((sheet, page))
    return collate(sheets)


def losses(
    model: Model, scaffold: Scaffold, batch: Batch, weights: Weights | None
) -> tuple[Tensor, dict[str, float], Tensor]:
    """Loss, numbers to log, and which answer tokens were right (aligned with the targets)."""
    extra: dict[str, Tensor] = {}
    numbers: dict[str, float] = {}
    layer: Layer | None = None
    early = batch.weighing()
    for depth, layer in enumerate(run_layers(model, batch)):
        if weights is None:
            continue
        if depth == 0 and len(batch.fetch):
            if weights.fetch:
                extra["fetch"] = weights.fetch * scaffold.fetch(layer, batch)
            extra["known"] = weights.known * scaffold.known(layer, batch)
        elif depth == 1:
            index_loss, numbers["index"] = scaffold.which_image(layer, batch)
            extra["index_loss"] = weights.index * index_loss
            if weights.bind and len(batch.binding):
                extra["bind"] = weights.bind * scaffold.bind(layer, batch)
        if weights.pointer and depth in LOOKS and len(batch.pointer):
            loss = scaffold.pointer(layer, batch, depth)
            extra[f"pointer{depth}"] = weights.pointer * loss
        if weights.gathered and depth == GATHER_LAYER and len(early):
            extra["gathered"] = weights.gathered * scaffold.gathered(layer, batch)
        if weights.early and depth == EARLY_LAYER and len(early):
            story, row = early.unbind(1)
            said = answer_logits(model, layer.output[story, batch.prefix.shape[1] + row])
            extra["early"] = weights.early * F.cross_entropy(said, batch.target[story, row])
    assert layer is not None
    scored = batch.target != IGNORE
    logits = answer_logits(model, layer.output[scored])
    target = batch.target[scored]
    answer = F.cross_entropy(logits, target)
    numbers.update({k: v.item() for k, v in extra.items()}, answer=answer.item())
    right = torch.ones_like(scored)
    right[scored] = logits.argmax(1) == target
    return answer + sum(extra.values(), torch.zeros(())), numbers, right


def score_replies(batch: Batch, right: Tensor, progress: Progress) -> None:
    """Count a question as right when every answer word is."""
    groups: dict[str, list[bool]] = defaultdict(list)
    for story, row, question in batch.replies:
        same = batch.which[story] == batch.which[story, row]
        groups[question.task].append(bool(right[story][same].all()))
    for task, hits in groups.items():
        progress.update(task, sum(hits) / len(hits))


def _average(kept: dict[str, Tensor], model: Model, share: float) -> None:
    for name, weight in model.named_parameters():
        if weight.requires_grad:
            kept[name].lerp_(weight.detach(), 1 - share)


def load_language(model: Model, state: dict[str, Tensor]) -> None:
    """Take all but vision from a checkpoint: the eyes may have been trained further since."""
    language = {name: weight for name, weight in state.items() if not name.startswith(EYES)}
    missing = model.load_state_dict(language, strict=False)
    wrong = [name for name in missing.missing_keys if not name.startswith(EYES)]
    if wrong or missing.unexpected_keys:
        raise ValueError(f"not a checkpoint of this model: {wrong + missing.unexpected_keys}")


def extend(ranges: list[list[int]], step: int) -> None:
    """Count a step in: [first, last] steps under scaffolding, for the model card."""
    if ranges and ranges[-1][1] == step - 1:
        ranges[-1][1] = step
    else:
        ranges.append([step, step])


def train_reading(
    model: Model, pages: list[Pages], folder: Path, plan: Plan, team: Team | None = None
) -> dict[str, Tensor]:
    """Run or resume stage 1; the model is changed in place, averaged weights are returned."""
    team = team or Team()
    model.model.vision_tower.requires_grad_(False)
    model.model.multi_modal_projector.requires_grad_(False)
    words = model.get_input_embeddings().weight
    scaffold = Scaffold(words.shape[1])
    text = model.model.language_model
    matrices = [p for p in text.layers.parameters() if p.ndim == 2]
    others = [p for p in text.parameters() if p.ndim == 1] + [words, model.model.image_newline]
    optimizer = Pair(matrices, [*others, *scaffold.parameters()], plan.peak)
    kept = {n: p.detach().clone() for n, p in model.named_parameters() if p.requires_grad}
    fixed = torch.tensor(KIND_WORDS + COLOR_WORDS)
    anchor = words.detach()[fixed].clone()
    progress, step, spent, watched = Progress(plan.level, {}), 0, 0.0, []
    before = load_state(folder / "reading.pt")
    if before is not None:
        load_language(model, before["model"])
        if "optimizer" in before:  # not where the run begins from exported weights
            scaffold.load_state_dict(before["scaffold"], strict=False)  # it may have grown
            optimizer.load_state_dict(before["optimizer"])
        kept, step, spent = before["kept"], before["step"], before["minutes"]
        progress, watched = Progress(before["level"], before["right"]), before.get("watched", [])
        anchor = words.detach()[fixed].clone()
    clock, rng = Clock(plan.minutes, spent), np.random.default_rng([plan.seed, step, team.rank])
    now = clock.progress
    scaffolding = Weights() if plan.pointers else Weights.without_pointers()
    while now < 1:
        # the same count in every process of a team, or they would wait for each other
        count = sample_count(progress.level, np.random.default_rng([plan.seed, step]))
        batch = sample_batch(pages, count, rng, plan.tokens)
        weights = scaffolding if now < plan.scaffold_until else None
        loss, numbers, right = losses(model, scaffold, batch, weights)
        loss.backward()  # type: ignore[no-untyped-call]
        now = team.average(optimizer.weights, clock.progress)
        optimizer.step(rate(now, step, plan.peak, plan.decay_from))
        with torch.no_grad():
            words[fixed] = anchor
        if weights is not None:
            extend(watched, step)
        step += 1
        _average(kept, model, min(plan.average, step / (step + 20)))
        score_replies(batch, right, progress)
        progress.climb()
        if step % 20 == 0 and team.rank == 0:
            tasks = {k.replace(" ", "_"): v for k, v in sorted(progress.right.items())}
            note(folder / "reading.jsonl", step=step, minutes=clock.spent_minutes,
                 level=progress.level, **numbers, **tasks)  # fmt: skip
        if (step % 50 == 0 or now >= 1) and team.rank == 0:
            state = {"model": model.state_dict(), "scaffold": scaffold.state_dict(),
                     "optimizer": optimizer.state_dict(), "kept": kept, "step": step,
                     "minutes": clock.spent_minutes, "level": progress.level,
                     "right": progress.right, "watched": watched}  # fmt: skip
            save_state(folder / "reading.pt", state)
    return kept
