"""Stage 0, vision words: each patch must score the words of what it shows against the word table.

Trains vision tower and projector; leaves word table and language layers alone. Knows no questions.
"""

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pocket.gallery import SERIES, Shard, drawn, open_shard, sort_of
from pocket.labels import NONE
from pocket.model import Model
from pocket.muon import Pair
from pocket.runs import Clock, load_state, note, rate, save_state
from pocket.team import Team
from pocket.words import COLORS, DIGITS, SHAPES, VOCABULARY

KIND_WORDS = [VOCABULARY.index(w) for w in (*SHAPES, *DIGITS, "background")]
COLOR_WORDS = [VOCABULARY.index(w) for w in COLORS]
SCALE = 4.0


@dataclass(frozen=True, slots=True)
class VisionPlan:
    """Choices of one run of stage 0."""

    minutes: float
    seed: int = 0
    tiles: int = 128  # per step and process
    peak: float = 2e-3
    decay_from: float = 0.35
    crowded: float = 0.85  # share of crowded pictures, until the last third


def patch_features(model: Model, tiles: Tensor) -> Tensor:
    """Projected patches of uint8 tiles (n, TILE, TILE, 3): (n, PER_TILE, hidden)."""
    pixels = tiles.permute(0, 3, 1, 2).float().div_(127.5).sub_(1.0)
    hidden = model.model.vision_tower(pixel_values=pixels).last_hidden_state[:, 1:]
    return model.model.multi_modal_projector(hidden)  # type: ignore[no-any-return]


class WordLoss(nn.Module):
    """Cross-entropy of kind and colour words, and the place of the object's centre."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.center = nn.Linear(hidden, 2)

    def forward(
        self, table: Tensor, features: Tensor, kind: Tensor, color: Tensor, center: Tensor
    ) -> tuple[Tensor, dict[str, float]]:
        """Loss, and shares of right patches by sort."""
        features, kind, color = features.flatten(0, 1), kind.flatten(), color.flatten()
        scores = features @ F.normalize(table, dim=-1).T * SCALE
        kinds, colors = scores[:, : len(KIND_WORDS)], scores[:, len(KIND_WORDS) :]
        weight = torch.where(kind == NONE, 0.2, 1.0) * (kind >= 0)
        kind_loss = F.cross_entropy(kinds, kind.clamp_min(0), reduction="none")
        kind_loss = (kind_loss * weight).sum() / weight.sum().clamp_min(1)
        color_loss = F.cross_entropy(colors, color, ignore_index=-1)
        here = (kind >= 0) & (kind != NONE)
        off = F.smooth_l1_loss(
            torch.tanh(self.center(features[here])) * 1.5 + 0.5, center.flatten(0, 1)[here]
        )
        with torch.no_grad():
            hit = kinds.argmax(-1) == kind
            shape, digit = here & (kind < 8), here & (kind >= 8)
            seen = color >= 0
            numbers = {
                "shape": hit[shape].float().mean().item(),
                "digit": hit[digit].float().mean().item(),
                "none": hit[kind == NONE].float().mean().item(),
                "color": (colors.argmax(-1) == color)[seen].float().mean().item(),
                "center": off.item(),
            }
        return kind_loss + 0.5 * color_loss + 2.0 * off, numbers


class TileFeed:
    """Random tiles of the shards drawn so far, new ones preferred, empty tiles thinned."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        self.rng = np.random.default_rng(seed)
        self.shards: dict[int, tuple[Shard, np.ndarray]] = {}
        self.turns: dict[bool, list[int]] = {False: [], True: []}
        self.looked = 0.0

    def _refresh(self) -> None:
        if time.monotonic() - self.looked < 5 and self.shards:
            return
        self.looked = time.monotonic()
        for number in drawn(self.folder):
            if number not in self.shards and number < SERIES:
                shard = open_shard(self.folder, number)
                busy = (shard.kind != NONE).any(1) | (self.rng.random(len(shard.kind)) < 0.12)
                self.shards[number] = (shard, np.flatnonzero(busy))
                self.turns[sort_of(number) == "crowd"] += [number] * 8
        while not self.shards:
            time.sleep(1)
            self._refresh()

    def _next(self, crowded: bool) -> int:
        wanted = [n for n in self.shards if (sort_of(n) == "crowd") == crowded] or list(self.shards)
        turn = self.turns[crowded]
        if not turn:
            turn += wanted * 4
        return turn.pop(int(self.rng.integers(len(turn))))

    def batch(self, count: int, crowded: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """(tiles, kind, color, center) of `count` tiles from two shards, crowded at that rate."""
        self._refresh()
        parts: list[tuple[np.ndarray, ...]] = []
        for _ in range(2):
            number = self._next(bool(self.rng.random() < crowded))
            shard, busy = self.shards[number]
            rows = np.sort(self.rng.choice(busy, size=count // 2, replace=False))
            parts.append(
                (shard.tiles[rows], shard.kind[rows], shard.color[rows], shard.center[rows])
            )
        tiles, kind, color, center = (np.concatenate(p) for p in zip(*parts, strict=True))
        return (
            torch.from_numpy(tiles),
            torch.from_numpy(kind).long(),
            torch.from_numpy(color).long(),
            torch.from_numpy(center).float(),
        )


@torch.no_grad()
def whiten(model: Model, feed: TileFeed) -> None:
    """Start the patch embedding as a whitening of real patches: their details are faint."""
    weight = model.model.vision_tower.embeddings.patch_embedding.weight
    side = weight.shape[-1]
    tiles = feed.batch(1024, 0.5)[0].permute(0, 3, 1, 2).float() / 127.5 - 1
    patches = F.unfold(tiles, side, stride=side).transpose(1, 2).flatten(0, 1)
    patches = patches - patches.mean(0)
    strength, axes = torch.linalg.eigh(patches.T @ patches / len(patches))
    keep = weight.shape[0]
    whitening = axes[:, -keep:] / (strength[-keep:] + 0.1 * strength[-keep]).sqrt()
    mixing = torch.linalg.qr(torch.randn(keep, keep))[0]
    weight.copy_((whitening @ mixing).T.reshape(weight.shape) * 0.3)


def train_vision(
    model: Model, gallery: Path, folder: Path, plan: VisionPlan, team: Team | None = None
) -> None:
    """Run or resume stage 0 until its minutes are spent; the model is changed in place."""
    team = team or Team()
    words = model.get_input_embeddings().weight
    loss_of = WordLoss(words.shape[1])
    parts = (model.model.vision_tower, model.model.multi_modal_projector, loss_of)
    weights = [p for part in parts for n, p in part.named_parameters() if "post_layernorm" not in n]
    matrices = [p for p in weights if p.ndim == 2 and min(p.shape) > 32]
    others = [p for p in weights if p.ndim != 2 or min(p.shape) <= 32]
    optimizer = Pair(matrices, [*others, words], 1e-3)
    feed = TileFeed(gallery, plan.seed + 1000 * team.rank)
    before = load_state(folder / "vision.pt") or {"step": 0, "minutes": 0.0}
    if before["step"]:
        model.load_state_dict(before["model"])
        if "optimizer" in before:  # not where the run begins from exported weights
            loss_of.load_state_dict(before["loss"])
            optimizer.load_state_dict(before["optimizer"])
    else:
        whiten(model, feed)
    clock, step = Clock(plan.minutes, before["minutes"]), int(before["step"])
    # the word table stays as it is, so that language layers can be trained meanwhile
    table = words.detach()[torch.tensor(KIND_WORDS + COLOR_WORDS)]
    means: dict[str, float] = {}
    progress = clock.progress
    while progress < 1:
        tiles, kind, color, center = feed.batch(plan.tiles, plan.crowded if progress < 0.7 else 0.5)
        loss, numbers = loss_of(table, patch_features(model, tiles), kind, color, center)
        loss.backward()
        progress = team.average(optimizer.weights, clock.progress)
        optimizer.step(rate(progress, step, plan.peak, plan.decay_from))
        step += 1
        numbers["loss"] = loss.item()
        means = {k: 0.97 * means.get(k, v) + 0.03 * v for k, v in numbers.items()}
        if step % 100 == 0 and team.rank == 0:
            note(folder / "vision.jsonl", step=step, minutes=clock.spent_minutes,
                 shards=len(feed.shards), **means)  # fmt: skip
        if (step % 500 == 0 or progress >= 1) and team.rank == 0:
            state = {"model": model.state_dict(), "loss": loss_of.state_dict(),
                     "optimizer": optimizer.state_dict(), "step": step,
                     "minutes": clock.spent_minutes}  # fmt: skip
            save_state(folder / "vision.pt", state)
