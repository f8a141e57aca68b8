"""`python -m bench.quality`: measure pruning on the pocket, write docs/quality.md and its JSON.

`--reduced` runs a small part, and with `--check` fails where the default policy at budget .2 has
dropped more than two points below what is recorded.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from bench.milebench.samples import load as load_samples
from bench.quality import grid
from bench.quality.captions import caption_table
from bench.quality.measuring import Plan
from bench.quality.pages import write_pages
from bench.quality.profile import profile
from bench.quality.runs import READING, main_plan, reduced_plan, run, surface_plan
from bench.quality.summary import MARGIN, calibration, summarise
from myopia.loading import load
from pocket import weights_folder

ALLOWED_DROP = 2.0
TARGET_AGREEMENT = 0.95


def full_run(asked: argparse.Namespace) -> None:
    """Everything the page needs."""
    images = tuple(asked.images)
    main_lines = run(asked.model, main_plan(asked.samples, images), asked.out / "main", asked.jobs)
    surface_lines = run(
        asked.model, surface_plan(asked.samples, images), asked.out / "surface", asked.jobs
    )
    checkpoint = load(asked.model, device="cpu")
    drawn = asked.out / "surface" / "drawn"
    shown = [sample for name in READING for sample in load_samples(drawn / name)]
    results: dict[str, Any] = {
        "card": {
            "revision": checkpoint.revision,
            "images": " and ".join(str(count) for count in images),
            "samples": asked.samples,
            "seed": Plan.__dataclass_fields__["seed"].default,
        },
        "main": summarise(main_lines, asked.margin),
        "surface": summarise(surface_lines, asked.margin),
        "captions": caption_table(checkpoint, asked.captions),
        "profile": profile(checkpoint, shown),
        "calibration": calibration(main_lines, "myopia", grid.BUDGETS, TARGET_AGREEMENT),
        "reduced": reduced(asked),
    }
    asked.docs.mkdir(parents=True, exist_ok=True)
    record = asked.docs / "quality.json"
    record.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    write_pages(results, asked.docs.parent / "quality.md", asked.docs)


def reduced(asked: argparse.Namespace) -> dict[str, Any]:
    """Means of the reduced plan, per protocol and variant."""
    lines = run(asked.model, reduced_plan(), asked.out / "reduced", asked.jobs)
    found = summarise(lines, asked.margin)["protocols"]
    return {
        protocol: {name: cell["mean"] for name, cell in rows["overall"].items()}
        for protocol, rows in found.items()
    }


def check(measured: dict[str, Any], record: Path) -> list[str]:
    """What dropped: the default policy at .2, by protocol, more than `ALLOWED_DROP` points."""
    wanted = json.loads(record.read_text(encoding="utf-8"))["reduced"]
    dropped = []
    for protocol, rows in wanted.items():
        before = rows["myopia@0.2"]
        now = measured.get(protocol, {}).get("myopia@0.2", 0.0)
        print(f"{protocol}: myopia at 0.2 scores {now:.1f}, recorded {before:.1f}")
        if now < before - ALLOWED_DROP:
            dropped.append(f"{protocol}: {now:.1f} is more than {ALLOWED_DROP} below {before:.1f}")
    return dropped


def main() -> None:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(prog="python -m bench.quality", description=__doc__)
    parser.add_argument("--model", default=str(weights_folder()))
    parser.add_argument("--out", type=Path, default=Path("build/quality"))
    parser.add_argument("--docs", type=Path, default=Path("docs/quality"))
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--samples", type=int, default=12, help="per dataset and picture count")
    parser.add_argument("--images", type=int, nargs="*", default=[4, 8])
    parser.add_argument("--margin", type=float, default=MARGIN, help="what makes informative")
    parser.add_argument("--captions", type=int, default=100)
    parser.add_argument("--reduced", action="store_true")
    parser.add_argument("--check", type=Path, help="recorded quality.json to compare with")
    asked = parser.parse_args()
    if not asked.reduced:
        full_run(asked)
        return
    found = reduced(asked)
    if asked.check:
        dropped = check(found, asked.check)
        if dropped:
            raise SystemExit("\n".join(dropped))


if __name__ == "__main__":
    main()
