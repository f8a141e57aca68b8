"""The goals that the library set itself, each held against the measured numbers.

Knows the summary's shape; says met, missed, or missed by less than the noise.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from bench.quality.grid import FULL
from bench.quality.summary import DEFAULT

Verdict = Literal["met", "missed", "missed, within noise"]
Rows = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Goal:
    """One goal, what was measured, and what that says."""

    goal: str
    measured: str
    verdict: Verdict


def goals(summaries: Sequence[Mapping[str, Any]], policy: str = DEFAULT) -> list[Goal]:
    """All goals for one policy at its defaults; of several summaries the first that can tell."""
    found: list[Goal] = []
    for protocol in ("served", "question"):
        for budget, points in (("0.2", 1.0), ("0.05", 4.0)):
            name = f"{policy}@{budget}"
            if rows := _telling(summaries, protocol, name):
                found.append(_near(rows, protocol, name, points))
    if rows := _telling(summaries, "question", f"{policy}@0.2"):
        found.append(_flat(rows, "question", f"{policy}@0.2"))
    if rows := _telling(summaries, "blind", f"{policy}@0.2"):
        found.append(_flat(rows, "blind", f"{policy}@0.2"))
    for protocol in ("question", "blind"):
        for budget in ("0.2", "0.1", "0.05"):
            if rows := _with_rivals(summaries, protocol, f"{policy}@{budget}"):
                found.append(_best(rows, protocol, f"{policy}@{budget}"))
    for budget, share in (("0.2", 0.95), ("0.1", 0.90)):
        if rows := _telling(summaries, "blind", f"{policy}@{budget}"):
            found.append(_share(rows, f"{policy}@{budget}", share))
    return found


def _telling(summaries: Sequence[Mapping[str, Any]], protocol: str, name: str) -> Rows | None:
    for summary in summaries:
        rows: Rows | None = summary["protocols"].get(protocol)
        if rows and name in rows["overall"]:
            return rows
    return None


def _with_rivals(summaries: Sequence[Mapping[str, Any]], protocol: str, name: str) -> Rows | None:
    for summary in summaries:
        rows: Rows | None = summary["protocols"].get(protocol)
        if rows and rows["rivals"].get(name):
            return rows
    return None


def _near(rows: Rows, protocol: str, name: str, points: float) -> Goal:
    """Every task within so many points of the whole cache."""
    losses = rows["losses"][name]
    worst = min(losses, key=lambda task: losses[task][0])
    lost, error, questions = losses[worst]
    return Goal(
        f"{name}, {protocol}: every task within {points:g} points of the whole cache",
        f"worst {worst}: {lost:+.1f} ± {error:.1f} ({questions} questions)",
        _verdict(lost + points, 1.96 * error),
    )


def _flat(rows: Rows, protocol: str, name: str) -> Goal:
    """First to last image within three points, in the loss against the whole cache."""
    places = place_losses(rows, name)
    (first, first_error, _), (last, last_error, _) = places[0], places[-1]
    noise = 1.96 * (first_error**2 + last_error**2) ** 0.5
    return Goal(
        f"{name}, {protocol}: loss at the first and the last image within 3 points",
        f"first {first:+.1f} ± {first_error:.1f}, last {last:+.1f} ± {last_error:.1f}",
        _verdict(3 - abs(first - last), noise),
    )


def place_losses(rows: Rows, name: str) -> list[list[float]]:
    """Gain over the whole cache `[mean, error, n]` by place, at the most pictures measured."""
    places = rows["place losses"][name]
    most = max(int(group.split("/")[0]) for group in places)
    keys = sorted(
        (group for group in places if group.startswith(f"{most}/")),
        key=lambda group: int(group.split("/")[1]),
    )
    return [places[group] for group in keys]


def _best(rows: Rows, protocol: str, name: str) -> Goal:
    """At or above every other policy, in the mean over the datasets that count."""
    against = rows["rivals"][name]
    rival = min(against, key=lambda other: against[other][0])
    gain, low, high = against[rival]
    return Goal(
        f"{name}, {protocol}: at or above every other policy",
        f"{gain:+.1f} [{low:+.1f}, {high:+.1f}] to the best other, {rival.partition('@')[0]}",
        "met" if gain >= 0 else "missed, within noise" if high >= 0 else "missed",
    )


def _share(rows: Rows, name: str, share: float) -> Goal:
    """A share of the whole cache's score."""
    full, mine = rows["overall"][FULL]["mean"], rows["overall"][name]["mean"]
    cell = rows["overall"][name]
    noise = (cell["high"] - cell["low"]) / 2
    return Goal(
        f"{name}, blind: at least {share:.0%} of the whole cache's score",
        f"{mine / full:.1%} ({mine:.1f} of {full:.1f})" if full else "the whole cache scores 0",
        _verdict(mine - share * full, noise) if full else "missed",
    )


def _verdict(room: float, noise: float) -> Verdict:
    """`room`: how far on the right side of the goal's line the mean is."""
    if room >= 0:
        return "met"
    return "missed, within noise" if room + noise >= 0 else "missed"
