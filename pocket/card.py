"""`python -m pocket.card`: recomputes the card from the shipped weights, fails on disagreement.

`--write` writes weights/card.json and weights/README.md, with the release before beside it when
`--before` names its folder; `--short` checks a sample (for CI). `python -m bench.quality.sister`
then adds what pruning does to the sister checkpoint.
"""

import argparse
import json
import math
import os
import platform
import sys
import time
from collections import defaultdict
from functools import partial
from pathlib import Path
from typing import Any

from transformers import LlavaNextForConditionalGeneration

from pocket import weights_folder
from pocket.controls import controls
from pocket.exam import LINKED_TASKS, PLACED, Asking, Mark, examine, held_out, table
from pocket.goals import RANGES, cells, scarce
from pocket.hall import Drawing, Sit, joined, open_hall
from pocket.model import Model
from pocket.render import render
from pocket.rivals import compare
from pocket.turning import examine_turned

COUNTS = list(range(2, 13))
ALBUMS, STORIES, CONTROL_STORIES, SEED = 1080, 240, 60, 1
# Changes and movements are asked of albums that hold nothing else: elsewhere few pairs are linked.
SERIES, LINKED_STORIES, LINKED_EACH = 360, 48, 12
TURNED_STORIES, TURNED_EACH = 40, 4  # positions are compared on stories turned through them all
SHORT_COUNTS, SHORT_ALBUMS, SHORT_STORIES = [2, 4, 6, 10], 8, 12
OFFERED_FROM = 0.75
SUPERVISION = (
    "Layer 0 heads 0 to 3 of the reply row fetch the colour or name, kind and picture-number "
    "words; layer 2 head 1 of the reply row (and of each word of a caption) points at the "
    "evidence; layer 3 head 2 of a counting reply row at every picture that counts and the "
    "start of the prompt, heads 0 and 1 of a comparing one at the things of the first and the "
    "second picture, and for a change heads 2 and 3 at the same things in the finer tiles; "
    "layer 1 head 3 of a note's value attends to the note's name. Linear heads, thrown away, "
    "read the asked words off the reply row after layer 0, the picture's number off image "
    "tokens and the name off a note's value after layer 1, and after layer 3 the numbers of the "
    "counted pictures and kinds, colours and place of what each compared picture shows; "
    "counting and comparing replies are asked for their answer after layer 4 already. "
    "Question-aware pruning may be easier here than on a natural model; the sister shows how "
    "much of it."
)


def load(folder: Path) -> Model:
    """The checkpoint in a folder."""
    return LlavaNextForConditionalGeneration.from_pretrained(folder)


def by_position(marks: list[Mark]) -> dict[str, dict[str, dict[str, float]]]:
    """Task, number of pictures, picture with the evidence -> share right (cells of 20 and more)."""
    cells: dict[tuple[str, int, int], list[bool]] = defaultdict(list)
    for one in marks:
        if one.picture is not None:
            cells[one.task, one.pictures, one.picture].append(one.right)
    result: dict[str, dict[str, dict[str, float]]] = defaultdict(lambda: defaultdict(dict))
    for (task, count, picture), hits in sorted(cells.items()):
        if len(hits) >= 20:
            result[task][str(count)][str(picture)] = round(sum(hits) / len(hits), 3)
    return {task: dict(rows) for task, rows in result.items()}


def exam(anything: Sit, series: Sit) -> tuple[list[Mark], list[Mark]]:
    """Marks of every question of the exam, controls aside, and those that compare positions."""
    placed = dict.fromkeys(sorted(PLACED - LINKED_TASKS), TURNED_EACH)
    linked = dict.fromkeys(sorted(PLACED & LINKED_TASKS), TURNED_EACH)
    mixed = partial(examine, stories=STORIES, seed=SEED)
    turned = partial(examine_turned, stories=TURNED_STORIES, seed=SEED + 100)
    most_first = sorted(COUNTS, reverse=True)  # or the longest would be waited for at the end
    marks = anything([partial(mixed, counts=[n]) for n in most_first])
    moved = anything([partial(turned, counts=[n], asked=placed) for n in most_first])
    for number, task in enumerate(sorted(LINKED_TASKS)):
        asking = Asking({task: 1.0}, each=LINKED_EACH)
        one = partial(examine, stories=LINKED_STORIES, seed=SEED + 200 + number, asking=asking)
        marks += series([partial(one, counts=[n]) for n in most_first])
    moved += series([partial(turned, counts=[n], asked=linked) for n in most_first])
    asked, more = joined(marks), SEED + 10
    while missing := scarce(asked):
        again = [
            partial(examine, counts=RANGES[name], stories=16, seed=more, asking=Asking({task: 1.0}))
            for task, name in missing
        ]
        asked += joined(anything(again))
        more += 1
    return asked, joined(moved)


def measure(weights: Path, jobs: int) -> dict[str, Any]:
    """The card's numbers, by `jobs` processes."""
    with open_hall(weights, jobs) as hall:
        anything = hall.draw(Drawing(ALBUMS))
        marks, turned = exam(anything, hall.draw(Drawing(SERIES, only="series")))
        found = controls(anything, CONTROL_STORIES, SEED + 2)
    positions = by_position(turned)
    tasks: dict[str, Any] = {}
    for task, row in table(marks).items():
        share = sum(hit for n, (hit, _) in row.items() if int(n) <= 10)
        share /= sum(int(n) <= 10 for n in row)
        tasks[task] = {
            "offered": share >= OFFERED_FROM,
            "accuracy": {n: round(hit, 3) for n, (hit, _) in row.items()},
            "questions": {n: asked for n, (_, asked) in row.items()},
            "by_position": positions.get(task, {}),
        }
    return {
        "format": 4,
        "goals": cells(marks, turned),
        "tasks": tasks,
        "controls": found,
        "supervision": SUPERVISION,
    }


def disagreements(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Cells further apart than rounding explains, and offers that changed."""
    found = []
    for task, row in old["goals"].items():
        for name, was in row.items():
            here = new["goals"].get(task, {}).get(name, {"accuracy": -1.0})["accuracy"]
            if abs(here - was["accuracy"]) > 0.015:
                found.append(f"{task} with {name} pictures: card {was['accuracy']}, now {here}")
    for task, was in old["tasks"].items():
        now = new["tasks"].get(task, {"accuracy": {}, "offered": None})
        if was["offered"] != now["offered"]:
            found.append(f"{task}: offered {was['offered']} on the card, {now['offered']} now")
        for count, share in was["accuracy"].items():
            here = now["accuracy"].get(count, -1.0)
            if abs(here - share) > 0.015:
                found.append(f"{task} with {count} pictures: card {share}, now {here}")
    return found


def short_disagreements(old: dict[str, Any], model: Model) -> list[str]:
    """Tasks that do worse than the card on a small fresh sample, by more than chance explains."""
    marks = examine(
        model, held_out(model, SHORT_ALBUMS, 5000), SHORT_COUNTS, SHORT_STORIES, SEED + 1
    )
    found = []
    for task, row in table(marks).items():
        asked = sum(n for _, n in row.values())
        share = sum(hit * n for hit, n in row.values()) / asked
        card = old["tasks"][task]["accuracy"]
        expected = sum(card[c] * n for c, (_, n) in row.items() if c in card) / asked
        slack = 4 * math.sqrt(max(expected * (1 - expected), 0.03) / asked) + 0.04
        print(f"{task:12} card {expected:.3f}  sample of {asked}: {share:.3f}")
        if share < expected - slack:
            found.append(f"{task}: card {expected:.3f}, sample {share:.3f} of {asked}")
    return found


def since(before: Path, model: Model) -> dict[str, Any]:
    """The release's number, the goals' cells of all before it, and both on the same questions."""
    card = json.loads((before / "card.json").read_text())
    past = {"release": card["release"], "goals": card["goals"], "training": card["training"]}
    return {
        "release": card["release"] + 1,
        "history": [*card["history"], past],
        "against": compare(load(before), model, SEED + 3),
    }


def main() -> int:
    """Write or check the card."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--weights", type=Path, default=weights_folder())
    jobs = min(os.cpu_count() or 1, 8)
    parser.add_argument("--jobs", type=int, default=jobs, help="processes, a thread each")
    parser.add_argument("--before", type=Path, help="weights of the release before, with --write")
    options = parser.parse_args()
    started, file = time.monotonic(), options.weights / "card.json"
    model = load(options.weights)
    if options.short:
        found = short_disagreements(json.loads(file.read_text()), model)
    else:
        new = measure(options.weights, options.jobs)
        if options.write:
            training = options.weights / "training.json"
            new["training"] = json.loads(training.read_text()) if training.exists() else {}
            new["machine"] = f"{platform.system()} {platform.machine()}, CPU only"
            new["release"], new["history"] = 1, []
            if options.before is not None:
                new |= since(options.before, model)
            file.write_text(json.dumps(new, indent=1) + "\n")
            (options.weights / "README.md").write_text(render(new))
            found = []
        else:
            found = disagreements(json.loads(file.read_text()), new)
    print(f"{time.monotonic() - started:.0f} s", *(found or ["the card agrees"]), sep="\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
