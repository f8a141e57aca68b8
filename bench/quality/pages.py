"""Writes docs/quality.md and its plots from the measured JSON; no number is typed by hand.

Knows what the page says between its tables; the tables are `bench.quality.sections`.
"""

from pathlib import Path

from bench.quality import sections
from bench.quality.goals import goals
from bench.quality.grid import FULL, NONE, SURFACE_BUDGET, TEXT
from bench.quality.plots import Json, plots, slug
from bench.tables import table

PROTOCOL_TITLES = {
    "served": "(a) served: pruned at the end of prefill, as the service does it",
    "question": "(a') question: scores from the whole prompt, then the whole question again",
    "turn": "(b) turn: pruned while a first question was asked; this one is the second",
    "blind": "(c) blind: scores from the pictures alone, before any question",
}


def write_pages(results: Json, page: Path, pictures: Path) -> None:
    """Write the page and its SVG files; `pictures` is a folder beside the page."""
    pictures.mkdir(parents=True, exist_ok=True)
    for name, text in plots(results).items():
        (pictures / f"{name}.svg").write_text(text, encoding="utf-8")
    main = results["main"]
    parts = [_head(results), _goals(results), sections.floors(main)]
    for protocol, title in PROTOCOL_TITLES.items():
        if protocol in main["protocols"]:
            parts.append(_policies(main["protocols"][protocol], protocol, title))
    parts += [_long(results), _by_task(results), _places(results, pictures), _table_a1(results)]
    parts += [_captions(results), _surface(results, pictures), _bins(results)]
    parts += [_subsidies(results), _fidelity(results), _figure_a2(results, pictures), _limits()]
    page.write_text("\n".join(part for part in parts if part), encoding="utf-8")


def _head(results: Json) -> str:
    card = results["card"]
    return f"""# How good are the answers?

Every number on this page is written by `python -m bench.quality` from the results in
`docs/quality/quality.json`; `make bench-quality` runs it again.

Checkpoint: revision `{card["revision"]}`. Questions: drawn counterparts of MileBench's tasks, by a
drawer that training never saw, {card["images"]} pictures each, evidence cycling over all pictures;
{card["questions"]} questions in the main run, {card["table questions"]} in the run for the goals
and README's table. Score: MileBench's own rules, in points of 100. Errors are standard errors of
the mean; intervals are 95 % paired bootstrap against the whole cache on the same questions.

Rows that prune nothing of interest, and must be read with every table: `{FULL}` (the whole cache),
`{NONE}` (no picture's KV; text between pictures has read earlier ones), `{TEXT}` (no picture shown
at all), `random`.

**Only real weights can tell** whether any ranking carries over to a 7B LLaVA-NeXT: this is one
small model trained on drawings, and where it looks was in part supervised (`fastv`'s row is: the
reply's look at the evidence), so question-aware rules have it easier here than on a natural model.
`python -m bench.milebench` runs the real benchmark where its data and weights are at hand.
"""


def _goals(results: Json) -> str:
    told = [results[name] for name in ("table", "main") if name in results]
    rows = [
        [goal.goal, goal.measured, goal.verdict if goal.verdict == "met" else f"**{goal.verdict}**"]
        for goal in goals(told)
    ]
    return (
        "## What holds, and what does not\n\n`myopia` with its defaults. *Within noise*: the 95 % "
        "interval reaches the goal.\n\n" + table(["goal", "measured", "verdict"], rows)
    )


def _policies(rows: Json, protocol: str, title: str) -> str:
    said = (
        "\nThe first token comes from the whole cache, so an answer of one token cannot change.\n"
        if protocol == "served"
        else ""
    )
    return (
        f"## Policies, protocol {title}\n{said}\nMean score ± error, and difference to the whole "
        "cache with its interval. In italics: the default with its forms before it, "
        "`preset paper` as far as the paper says, `probe` "
        "keeps what captions of every picture looked at.\n\n" + sections.policies(rows)
    )


def _long(results: Json) -> str:
    found = results["main"]["protocols"]
    body = [
        f"Protocol {protocol}:\n\n{sections.fidelity(found[protocol]['long'])}"
        for protocol in ("served", "question")
        if found.get(protocol, {}).get("long")
    ]
    if not body:
        return ""
    return (
        "## (d) Long answers, at 20 %\n\nAnswers of four tokens or more, whatever they are worth: "
        "the whole cache's own answer is forced, and each token's prediction compared. KL in nats "
        "per token, share of tokens with the same likeliest successor, share of answers where all "
        "are; ± error.\n\n" + "\n".join(body)
    )


def _by_task(results: Json) -> str:
    rows = results["main"]["protocols"].get("question")
    return "" if rows is None else "## By task, in MileBench's shape\n\n" + sections.by_task(rows)


def _places(results: Json, pictures: Path) -> str:
    protocols = results["main"]["protocols"]
    parts = ["## By place of the evidence, at 20 %\n\nDatasets that count.\n"]
    for protocol in ("question", "blind"):
        if protocol in protocols:
            parts.append(f"![{protocol}]({pictures.name}/places-{protocol}.svg)\n")
            parts.append(sections.places(protocols[protocol]))
    return "\n".join(parts)


def _table_a1(results: Json) -> str:
    rows = results["main"]["protocols"].get("question")
    if rows is None:
        return ""
    return "## Table A1: head-wise or aggregate\n\nProtocol question.\n\n" + sections.heads(rows)


def _captions(results: Json) -> str:
    found = results.get("captions")
    if not found:
        return ""
    return (
        f"## Table A2: captions of one picture at 40 %\n\nCIDEr ± error, {found['samples']} drawn "
        "scenes of five references each.\n\n" + sections.captions(found)
    )


def _surface(results: Json, pictures: Path) -> str:
    if "surface" not in results:
        return ""
    found = results["surface"]["protocols"]
    shown = "\n".join(
        f"![{p}]({pictures.name}/surface-{p}.svg)\n\n{sections.measured_with(rows)}"
        for p, rows in found.items()
    )
    return (
        f"## Gamma and alpha at {100 * SURFACE_BUDGET:g} %\n\nSubsidy `index`, bins off; "
        f"{', '.join(results['surface']['informative'])}.\n\n{shown}\n"
    )


def _bins(results: Json) -> str:
    return (
        "## Recycling Bin\n\nA bin is paid for out of the budget, so `off` keeps as many whole "
        "tokens more: the evict(k+B) control of equal memory. `matched` counts a bin's "
        "members by the guiding row's attention, `mass` all alike; both add the log of how many "
        "count to its logits, `paper` adds nothing. `sums` scores by accumulated attention "
        "alone.\n\n" + sections.bins(results["main"]["protocols"])
    )


def _subsidies(results: Json) -> str:
    if "surface" not in results:
        return ""
    return "## Forms of the subsidy\n\nGamma 1.8, bins off.\n\n" + sections.subsidies(
        results["surface"]["protocols"]
    )


def _fidelity(results: Json) -> str:
    parts = [
        "## Fidelity to the whole cache, at 20 %\n\nDatasets that count: KL divergence per answer "
        "token in nats, share of tokens whose likeliest successor is the same, share of questions "
        "where all are; ± error.\n"
    ]
    for protocol, rows in results["main"]["protocols"].items():
        parts.append(f"Protocol {protocol}:\n\n{sections.fidelity(rows['fidelity'])}")
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
        "noise. Questions with choices are answered by the likeliest first word among them. In (b) "
        "the first turn's answer is the whole cache's, for every policy.\n"
    )
