"""Writes docs/quality.md and its plots from the measured JSON; no number is typed by hand.

Knows the summary's shape, not how anything was measured.
"""

from collections.abc import Sequence
from pathlib import Path

from bench.milebench.catalog import TASKS
from bench.quality.goals import verdicts
from bench.quality.grid import BUDGETS, FULL, NONE, SUBSIDIES, SURFACE_BUDGET, TEXT
from bench.quality.plots import PRUNERS, Json, plots, slug
from bench.tables import table

PROTOCOL_TITLES = {
    "question": "question: scores from the whole prompt, then the question again",
    "blind": "blind: scores from the pictures alone, before any question",
    "other": "other: scores while another question was asked",
    "served": "served: as the service does it; the first token comes from the whole cache",
}


# Rules that are no policies: parts of `myopia` in other proportions, and the caption probe.
CANDIDATES = ("text", "text bins", "text quota", "quota", "quota bins off", "probe", "probe quota")


def write_pages(results: Json, page: Path, pictures: Path) -> None:
    """Write the page and its SVG files; `pictures` is a folder beside the page."""
    pictures.mkdir(parents=True, exist_ok=True)
    for name, text in plots(results).items():
        (pictures / f"{name}.svg").write_text(text, encoding="utf-8")
    parts = [_head(results), _goals(results), _floors(results)]
    protocols = results["main"]["protocols"]
    for protocol, title in PROTOCOL_TITLES.items():
        if protocol in protocols:
            parts.append(_policies(protocols[protocol], title))
    parts += [_milebench_shape(results, pictures), _places(results, pictures), _table_a1(results)]
    parts += [_captions(results), _surface(results, pictures), _bins(results)]
    parts += [_subsidies(results), _fidelity(results), _figure_a2(results, pictures), _limits()]
    page.write_text("\n".join(part for part in parts if part), encoding="utf-8")


def _head(results: Json) -> str:
    card = results["card"]
    return f"""# How good are the answers?

Every number on this page is written by `python -m bench.quality` from the results in
`docs/quality/quality.json`; `make bench-quality` runs it again.

Checkpoint: the pocket model, revision `{card["revision"]}`. Questions: drawn counterparts of
MileBench's tasks, by a drawer that training never saw, {card["images"]} pictures each,
{card["samples"]} questions per dataset and picture count, evidence cycling over all pictures; seed
{card["seed"]}. Score: MileBench's own rules. Errors are standard errors of the mean; intervals are
95 % paired bootstrap against the whole cache on the same questions.

Rows that prune nothing of interest, and must be read with every table: `{FULL}` (the whole cache),
`{NONE}` (the text's KV alone; text between pictures has read earlier ones), `{TEXT}` (no picture
shown at all), `random`.

**Only real weights can tell** whether any ranking carries over to a 7B LLaVA-NeXT: this is one
small model trained on drawings. `python -m bench.milebench` runs the real benchmark where its data
and weights are at hand.
"""


def _goals(results: Json) -> str:
    rows = [
        [verdict.goal, verdict.measured, "met" if verdict.met else "**missed**"]
        for verdict in verdicts(results["main"])
    ]
    return "## What holds, and what does not\n\n" + table(["goal", "measured", "verdict"], rows)


def _floors(results: Json) -> str:
    main = results["main"]
    first = next(p for p in ("question", "blind", "other") if p in main["protocols"])
    cells = main["protocols"][first]["datasets"]
    rows = [
        [
            dataset,
            *(_cell(cells[name][dataset]) for name in (FULL, NONE, TEXT)),
            "yes" if dataset in main["informative"] else "no",
        ]
        for dataset in cells[FULL]
    ]
    return (
        "## What the model can do at all\n\nMeans below are over the informative datasets: those "
        "where the whole cache beats the text alone by 15 points. On the others nothing can be "
        "lost.\n\n" + table(["dataset", FULL, NONE, TEXT, "informative"], rows)
    )


def _policies(rows: Json, title: str) -> str:
    body = []
    for name in (FULL, NONE, TEXT):
        if name in rows["overall"]:
            body.append([name, _mean(rows["overall"][name]), *[""] * (len(BUDGETS) - 1)])
    for policy in PRUNERS:
        cells = [rows["overall"].get(f"{policy}@{budget:g}") for budget in BUDGETS]
        if any(cells):
            body.append([policy, *(_with_loss(cell) for cell in cells)])
    for label in CANDIDATES:
        cells = [rows["overall"].get(f"{label}@{budget:g}") for budget in BUDGETS]
        if any(cells):
            body.append([f"*{label}*", *(_with_loss(cell) for cell in cells)])
    header = ["policy", *(f"{100 * budget:g} %" for budget in BUDGETS)]
    return (
        f"## Policies, protocol {title}\n\nMean score ± error, and difference to the whole cache "
        f"with its interval. In italics: `text` is `myopia` with alpha 1, gamma 1 and no bins, "
        f"`quota` has alpha .8, a quota for every image and bins, `probe` keeps what captions of "
        f"every picture looked at."
        f"\n\n{table(header, body)}"
    )


def _milebench_shape(results: Json, pictures: Path) -> str:
    parts = ["## By task, in MileBench's shape\n"]
    rows = results["main"]["protocols"].get("question")
    if rows is None:
        return ""
    tasks = [task for task in TASKS if task in rows["tasks"][FULL]]
    for budget in BUDGETS:
        names = [FULL, NONE, *(f"{policy}@{budget:g}" for policy in PRUNERS)]
        body = [
            [name.split("@")[0], *(f"{rows['tasks'][name][task]:.1f}" for task in tasks)]
            for name in names
            if name in rows["tasks"]
        ]
        parts.append(
            f"Protocol question, {100 * budget:g} %:\n\n" + table(["policy", *tasks], body)
        )
    return "\n".join(parts)


def _places(results: Json, pictures: Path) -> str:
    found = [p for p in ("question", "blind") if p in results["main"]["protocols"]]
    shown = "\n".join(f"![{p}]({pictures.name}/places-{p}.svg)" for p in found)
    return f"## By place of the evidence, at 20 %\n\nInformative datasets.\n\n{shown}\n"


def _table_a1(results: Json) -> str:
    rows = results["main"]["protocols"].get("question")
    if rows is None:
        return ""
    body = []
    for budget in (0.2, 0.1, 0.05):
        for label, name in (("head-wise", "myopia head-wise"), ("head-aggregate", "myopia")):
            scores = rows["tasks"].get(f"{name}@{budget:g}")
            if scores:
                needles = [scores[task] for task in ("N-1", "N-2") if task in scores]
                cells = [*(scores.get(task) for task in ("T-1", "T-4", "S-3"))]
                cells += [sum(needles) / len(needles) if needles else None, scores.get("I-1")]
                body.append([f"{label} {100 * budget:g} %", *(_number(cell) for cell in cells)])
    return "## Table A1: head-wise or aggregate\n\nProtocol question.\n\n" + table(
        ["", "T-1", "T-4", "S-3", "NH", "IR"], body
    )


def _captions(results: Json) -> str:
    found = results.get("captions")
    if not found:
        return ""
    names = list(found["served"])
    body = [
        [name, f"{found['served'][name]:.1f}", f"{found['question'][name]:.1f}"] for name in names
    ]
    return (
        f"## Table A2: captions of one picture at 40 %\n\nCIDEr, {found['samples']} drawn scenes "
        "of five references each.\n\n" + table(["", "served", "question"], body)
    )


def _surface(results: Json, pictures: Path) -> str:
    if "surface" not in results:
        return ""
    found = results["surface"]["protocols"]
    shown = "\n".join(f"![{p}]({pictures.name}/surface-{p}.svg)" for p in found)
    return (
        f"## Gamma and alpha at {100 * SURFACE_BUDGET:g} %\n\nBins off; "
        f"{', '.join(results['surface']['informative'])}.\n\n{shown}\n"
    )


def _bins(results: Json) -> str:
    labels = ["myopia", "myopia bins off", "myopia bins paper", "myopia bins global"]
    labels += [f"myopia alpha 0 bins {mode}" for mode in ("off", "mass", "paper")]
    body = []
    for protocol in ("question", "blind"):
        rows = results["main"]["protocols"].get(protocol)
        for label in labels if rows else ():
            cells = [rows["overall"].get(f"{label}@{b:g}") for b in (0.2, 0.1, 0.05)]
            if any(cells):
                body.append([f"{protocol}: {label}", *(_with_loss(cell) for cell in cells)])
    return (
        "## Recycling Bin\n\n`myopia` is the default (mass bias, one image per bin). A bin is paid "
        "for out of the budget, so `off` keeps as many whole tokens more: the evict(k+B) control "
        "of equal memory.\n\n" + table(["", "20 %", "10 %", "5 %"], body)
    )


def _subsidies(results: Json) -> str:
    if "surface" not in results:
        return ""
    body = []
    for protocol, rows in results["surface"]["protocols"].items():
        for form in SUBSIDIES:
            cells = [
                rows["overall"].get(f"subsidy {form} alpha {alpha}@{budget:g}")
                for alpha in ("0", "0.5")
                for budget in (0.2, 0.1)
            ]
            if any(cells):
                body.append([f"{protocol}: {form}", *(_mean(cell) for cell in cells)])
    header = ["", "alpha 0, 20 %", "alpha 0, 10 %", "alpha .5, 20 %", "alpha .5, 10 %"]
    return "## Forms of the subsidy\n\nGamma 1.8, bins off.\n\n" + table(header, body)


def _fidelity(results: Json) -> str:
    parts = [
        "## Fidelity to the whole cache, at 20 %\n\nOver all datasets: KL divergence per answer "
        "token in nats, share of tokens whose likeliest successor is the same, share of questions "
        "where all are.\n"
    ]
    for protocol, rows in results["main"]["protocols"].items():
        body = [
            [policy, *(f"{value:.3f}" for value in rows["fidelity"][f"{policy}@0.2"])]
            for policy in PRUNERS
            if f"{policy}@0.2" in rows["fidelity"]
        ]
        parts.append(f"Protocol {protocol}:\n\n" + table(["policy", "KL", "tokens", "all"], body))
    return "\n".join(parts)


def _figure_a2(results: Json, pictures: Path) -> str:
    found = results.get("profile")
    if not found:
        return ""
    shown = "\n".join(f"![{name}]({pictures.name}/profile-{slug(name)}.svg)" for name in found)
    return f"## Figure A2: attention on each image, by layer\n\n{shown}\n"


def _limits() -> str:
    return (
        "## Limits\n\nOne small checkpoint, one training seed, drawn pictures; many rows compared "
        "without correction for multiplicity. Differences inside each other's intervals are "
        "noise. Questions with choices are answered by the likeliest first word among them.\n"
    )


def _cell(cell: Sequence[float]) -> str:
    return f"{cell[0]:.1f} ± {cell[1]:.1f}"


def _mean(cell: Json | None) -> str:
    return "" if cell is None else f"{cell['mean']:.1f} ± {cell['error']:.1f}"


def _with_loss(cell: Json | None) -> str:
    if cell is None:
        return ""
    return f"{_mean(cell)} ({cell['loss']:+.1f} [{cell['low']:+.1f}, {cell['high']:+.1f}])"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"
