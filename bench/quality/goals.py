"""The goals that the library set itself, each held against the measured numbers.

Knows the summary's shape; says met, missed, or not told where a confidence interval is too wide.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bench.quality.grid import FULL
from myopia.policies import POLICIES


@dataclass(frozen=True, slots=True)
class Verdict:
    """One goal, what was measured, and whether it is met."""

    goal: str
    measured: str
    met: bool


def verdicts(summary: Mapping[str, Any], policy: str = "myopia") -> list[Verdict]:
    """All goals for one policy at its defaults."""
    protocols = summary["protocols"]
    found: list[Verdict] = []
    for protocol in ("served", "question"):
        if protocol in protocols:
            for budget, points in (("0.2", 1.0), ("0.05", 4.0)):
                found.append(_near(protocols[protocol], protocol, f"{policy}@{budget}", points))
    if "question" in protocols:
        found.append(_flat(protocols["question"], f"{policy}@0.2"))
        found += [_best(protocols["question"], "question", policy, b) for b in ("0.2", "0.05")]
    if "blind" in protocols:
        for budget, share in (("0.2", 0.95), ("0.1", 0.90)):
            found.append(_share(protocols["blind"], f"{policy}@{budget}", share))
        found.append(_best(protocols["blind"], "blind", policy, "0.2"))
    return found


def _near(rows: Mapping[str, Any], protocol: str, name: str, points: float) -> Verdict:
    """Every task within so many points of the whole cache."""
    full, mine = rows["tasks"][FULL], rows["tasks"][name]
    losses = {task: full[task] - mine[task] for task in mine}
    worst = max(losses, key=lambda task: losses[task])
    return Verdict(
        f"{name}, {protocol}: every task within {points:g} points of the whole cache",
        f"worst {worst}: {-losses[worst]:+.1f}",
        losses[worst] <= points,
    )


def _flat(rows: Mapping[str, Any], name: str) -> Verdict:
    """First to last image within three points, in the loss against the whole cache."""
    losses = place_losses(rows, name)
    first, last = losses[0], losses[-1]
    return Verdict(
        f"{name}, question: loss at the first and the last image within 3 points",
        f"first {first:+.1f}, last {last:+.1f}",
        abs(first - last) <= 3,
    )


def place_losses(rows: Mapping[str, Any], name: str) -> list[float]:
    """Loss against the whole cache by place of the evidence, at the most pictures measured."""
    places = rows["places"]
    most = max(int(group.split("/")[0]) for group in places[FULL])
    keys = sorted(
        (group for group in places[FULL] if group.startswith(f"{most}/")),
        key=lambda group: int(group.split("/")[1]),
    )
    return [places[name][group][0] - places[FULL][group][0] for group in keys]


def _best(rows: Mapping[str, Any], protocol: str, policy: str, budget: str) -> Verdict:
    """At or above every other policy, in the mean over informative datasets."""
    scores = {
        other: rows["overall"][f"{other}@{budget}"]["mean"]
        for other in POLICIES
        if f"{other}@{budget}" in rows["overall"]
    }
    rival = max((other for other in scores if other != policy), key=lambda other: scores[other])
    return Verdict(
        f"{policy}@{budget}, {protocol}: at or above every other policy",
        f"{scores[policy]:.1f}, best other {rival} {scores[rival]:.1f}",
        scores[policy] >= scores[rival],
    )


def _share(rows: Mapping[str, Any], name: str, share: float) -> Verdict:
    """A share of the whole cache's score."""
    full, mine = rows["overall"][FULL]["mean"], rows["overall"][name]["mean"]
    return Verdict(
        f"{name}, blind: at least {share:.0%} of the whole cache's score",
        f"{mine / full:.0%} ({mine:.1f} of {full:.1f})" if full else "the whole cache scores 0",
        full > 0 and mine >= share * full,
    )
