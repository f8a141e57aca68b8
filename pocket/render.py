"""Writes the model card's numbers as a page for people. Knows no model."""

from typing import Any

from pocket.goals import PER_POSITION, RANGES, WANTED
from pocket.sister import section, spelled

EXAMPLES = {
    "find": "Which image shows a red circle?",
    "find color": "In which image is there a green object?",
    "find shape": "Which image shows a heart?",
    "find digit": "Which image shows the digit 7?",
    "color": "What colour is the star in image 3?",
    "shape": "What shape is the red object in image 3?",
    "digit": "What digit is written in image 3?",
    "exist": "Is there a heart in image 4?",
    "exist any": "Is there a heart in any image?",
    "count": "How many images show a star?",
    "describe": "Describe image 2.",
    "needle": "(a text between the pictures: Note: amber is 7.) What is the value of amber?",
    "change": "What changed between image 1 and image 2?",
    "move": "Where does the square move from image 1 to image 3?",
}
SHOWN_POSITIONS = ("6", "10")


def _grid(head: list[str], rows: list[list[str]]) -> list[str]:
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    return lines + ["| " + " | ".join(row) + " |" for row in rows]


def _goals(card: dict[str, Any]) -> list[str]:
    """Accuracy in both ranges beside what is wanted, and beside earlier releases."""
    past = card.get("history", [])
    head = ["task", *(f"{name} pictures" for name in RANGES)]
    head += [f"release {one['release']}: {name}" for one in past[::-1] for name in RANGES]
    rows = []
    for task, wanted in WANTED.items():
        row = [task]
        for name, least in zip(RANGES, wanted, strict=True):
            cell = card["goals"][task][name]
            short = "" if cell["accuracy"] >= least else f", **{least:.2f} wanted**"
            dip, error = cell["dip"], 100 * cell.get("dip_error", 0)
            low = "" if dip is None else f", -{100 * max(0.0, dip):.0f} ± {error:.0f}"
            share = f"{cell['accuracy']:.3f} ± {cell['error']:.3f}"
            row.append(f"{share} ({cell['questions']}{low}){short}")
        for one in past[::-1]:
            row += [_share(one["goals"].get(task, {}).get(name)) for name in RANGES]
        rows.append(row)
    return [
        "## Goals",
        "",
        "Share right ± its standard error (questions about the same pictures taken together). In",
        "brackets: questions, and how many points the worst position of the evidence lies under",
        "the mean over positions (4 wanted) ± its standard error. For that every story is asked",
        "once with its pictures at each place of the row, so that positions are compared on equal",
        f"pictures (positions of {PER_POSITION} and more questions). Questions are said in the",
        "ways of `questions/wordings.toml`; `python -m tests.pocket.unseen_exam` has other ways.",
        "",
        *_grid(head, rows),
        "",
    ]


def _share(cell: dict[str, Any] | None) -> str:
    return "" if cell is None else f"{cell['accuracy']:.2f}"


def _against(found: dict[str, Any]) -> list[str]:
    """Both releases on the same questions."""
    rows = [
        [task, str(v["questions"]), f"{v['old']:.2f}", f"{v['new']:.2f}",
         str(v["only_old"]), str(v["only_new"])]
        for task, v in found["tasks"].items()
    ]  # fmt: skip
    said = [
        [str(a["pictures"]), a["question"], a["answer"], a["old"], a["new"]]
        for a in found["answers"]
    ]
    head = ["task", "questions", "before", "now", "only before right", "only now right"]
    return [
        "## Against the release before",
        "",
        "The same questions about the same held-out pictures:",
        "",
        *_grid(head, rows),
        "",
        "The first answers of each task on which the two differ:",
        "",
        *_grid(["pictures", "question", "answer", "before", "now"], said),
        "",
    ]


def _controls(found: dict[str, Any]) -> list[str]:
    """Blind accuracy and what tiles are worth."""
    blind = [[t, f"{v:.2f}", f"{found['guess'][t]:.2f}"] for t, v in found["blind"].items()]
    tiles, base = found["tiles"]["all"], found["tiles"]["base"]
    shown = [[t, f"{tiles[t]:.2f}", f"{base.get(t, float('nan')):.2f}"] for t in tiles]
    return [
        "## Controls",
        "",
        "Without any picture's keys and values, beside the share of the most frequent answer for",
        "that number of pictures (the needle stands in the text, which is not hidden):",
        "",
        *_grid(["task", "blind", "best guess"], blind),
        "",
        "Small things (under a fifth of the shorter side) in wide, tall or large pictures, "
        f"{found['tiles']['questions']} questions,",
        "with all tiles and with the base tile alone (`tiles: base`):",
        "",
        *_grid(["task", "all tiles", "base tile"], shown),
        "",
    ]


def render(card: dict[str, Any], sister: dict[str, Any] | None = None) -> str:
    """The page; `sister`: what was found on the sister checkpoint."""
    tasks = card["tasks"]
    counts = sorted({n for t in tasks.values() for n in t["accuracy"]}, key=int)
    rows = [
        [task, "yes" if tasks[task]["offered"] else "**no**", EXAMPLES[task]]
        + [f"{tasks[task]['accuracy'].get(n, float('nan')):.2f}" for n in counts]
        for task in EXAMPLES
        if task in tasks
    ]
    fewest = min(min(t["questions"].values()) for t in tasks.values())
    lines = [
        "# The pocket model",
        "",
        "A LLaVA-NeXT (stock `LlavaNextForConditionalGeneration`) trained from scratch by",
        "`pocket/` on drawn pictures, for tests and demonstrations. It understands eight shapes",
        "(circle, square, triangle, star, cross, ring, diamond, heart), eight colours (red, green,",
        "blue, yellow, purple, cyan, white, black) and digits, up to twelve pictures at once. It",
        "is no general model.",
        "",
        *_goals(card),
        "## Accuracy by number of pictures",
        "",
        "Held-out draws, greedy, whole answer exact, one question after the pictures; at least "
        f"{fewest} questions",
        "per cell. Tasks below .75 on average over 2 to 10 pictures are not offered.",
        "",
        *_grid(["task", "offered", "example", *counts], rows),
        "",
        "## Accuracy by position of the evidence",
        "",
        "Each row: the same questions, their evidence at one position after the other.",
        "",
    ]
    for count in SHOWN_POSITIONS:
        head = [f"{count} pictures", *(f"im {i + 1}" for i in range(int(count)))]
        placed = []
        for task in EXAMPLES:
            cells = tasks.get(task, {}).get("by_position", {}).get(count)
            if cells:
                shown = [
                    f"{cells[str(i + 1)]:.2f}" if str(i + 1) in cells else ""
                    for i in range(int(count))
                ]
                placed.append([task, *shown])
        lines += [*_grid(head, placed), ""]
    lines += _controls(card["controls"])
    if "against" in card:
        lines += _against(card["against"])
    if sister is not None:
        lines += section(sister)
    lines += [
        "## Training",
        "",
        f"`python -m pocket.train` (resumable). {spelled(card.get('training', {}))}.",
        f"Machine: {card.get('machine', 'unknown')}.",
        "",
        f"Attention supervision: {card['supervision']}",
        "",
        "`python -m pocket.card` recomputes these numbers and fails when they disagree.",
    ]
    return "\n".join(lines) + "\n"
