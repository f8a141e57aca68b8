"""The sister checkpoint: as the pocket, but no loss ever said where attention should look.

Its weights lie in `pocket/sister/` (half precision; for measuring, not for serving), and what
`python -m bench.quality.sister` found about pruning both in `pocket/sister.json`.
"""

from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("sister.json")


def folder() -> Path:
    """Where the sister's weights are."""
    return FILE.with_suffix("")


def section(found: dict[str, Any]) -> list[str]:
    """The card's lines about it."""
    return [
        "## Is pruning easy only because attention was shown where to look?",
        "",
        "The sister has the same eyes, pictures and questions of the same kinds, and never had a",
        "loss on attention (only linear heads that read the asked words and a picture's number).",
        "Accuracy with the whole cache and what pruning adds to it, in points with 95 % intervals,",
        f"both on the same {found['questions']} questions of held-out draws, of tasks both can do.",
        "*question*: asked of what was kept; *blind*: kept before the question was known.",
        "",
        *_losses(found),
        "",
        *_tasks(found),
        "",
        f"Sister: {spelled(found['training'])}. `python -m bench.quality.sister` measures it.",
        "",
    ]


def spelled(training: dict[str, Any]) -> str:
    """How a checkpoint was trained, in a line."""
    return ", ".join(f"{k.replace('_', ' ')} {v}" for k, v in training.items())


def _losses(found: dict[str, Any]) -> list[str]:
    head = "| pruning | question: pocket | sister | blind: pocket | sister |"
    lines = [head, "|---|--:|--:|--:|--:|"]
    sides = [
        found["protocols"][protocol]["overall"][side]
        for protocol in ("question", "blind")
        for side in ("pocket", "sister")
    ]
    cells = [f"{side['full']['mean']:.1f} ± {side['full']['error']:.1f}" for side in sides]
    lines.append(f"| whole cache | {' | '.join(cells)} |")
    for name in sides[0]:
        if "@" in name:
            cells = [_loss(side[name]) for side in sides]
            lines.append(f"| `{name.replace('@', '` at ')} | {' | '.join(cells)} |")
    cells = [_loss(side["none"]) for side in sides]
    lines.append(f"| no picture's KV | {' | '.join(cells)} |")
    return lines


def _loss(row: dict[str, float]) -> str:
    return f"{row['loss']:+.1f} [{row['low']:+.1f}, {row['high']:+.1f}]"


def _tasks(found: dict[str, Any]) -> list[str]:
    """Accuracy by task: the whole cache, and the default at the budgets measured."""
    tasks = found["protocols"]["question"]["tasks"]
    variants = next(iter(tasks.values()))
    budgets = [name.partition("@")[2] for name in variants if name.startswith("myopia@")]
    budgets.sort(key=float, reverse=True)
    shown = ["full", *(f"myopia@{budget}" for budget in budgets)]
    names = ["whole cache", *(f"at {budget}" for budget in budgets)]
    head = [f"{side}: {name}" for side in ("pocket", "sister") for name in names]
    lines = [f"| task (*question*) | {' | '.join(head)} |", "|---|" + "--:|" * len(head)]
    for task, row in tasks.items():
        cells = [f"{row[name][side][0]:.0f}" for side in ("pocket", "sister") for name in shown]
        lines.append(f"| {task} | {' | '.join(cells)} |")
    return lines
