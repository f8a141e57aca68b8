"""Which drawn datasets a checkpoint may be held to: those whose skills its own card offers.

Knows the card's format and the datasets' skills. A checkpoint without a card is held to all.
"""

import json
from pathlib import Path

from bench.pocketbench.writing import DRAWN, SKILLS


def offered_tasks(model: str) -> frozenset[str] | None:
    """Tasks that `card.json` beside the weights offers; None where there is no card."""
    card = Path(model) / "card.json"
    if not card.exists():
        return None
    tasks = json.loads(card.read_text(encoding="utf-8"))["tasks"]
    return frozenset(name for name, entry in tasks.items() if entry["offered"])


def offered_datasets(model: str) -> tuple[str, ...]:
    """Drawn datasets all of whose skills are offered, in the order of the catalogue.

    Raises ValueError where the card offers nothing that is drawn.
    """
    tasks = offered_tasks(model)
    if tasks is None:
        return tuple(DRAWN)
    found = tuple(name for name in DRAWN if set(SKILLS[name]) <= tasks)
    if not found:
        raise ValueError(f"the card of {model} offers no task that is drawn: {sorted(tasks)}")
    return found
