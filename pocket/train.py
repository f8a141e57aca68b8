"""`python -m pocket.train`: draws, trains and exports the pocket; run it again to go on.

Everything unfinished lives in the git-ignored folder `.pocket/`. Never downloads anything.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import torch

from pocket import weights_folder
from pocket.features import encode_shard, open_pages
from pocket.gallery import CROWDED, SERIES, drawn, sort_of
from pocket.model import Model, build_model, export
from pocket.origin import begin_from, begin_with_eyes, spell
from pocket.reading_stage import Plan, train_reading
from pocket.runs import load_state
from pocket.team import Team
from pocket.vision_stage import VisionPlan, train_vision

WORKSHOP = Path(__file__).resolve().parent.parent / ".pocket"
MALLOC = {  # large blocks go back to the system after each step otherwise: up to 2.8 times slower
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": "8589934592",
    "MALLOC_TOP_PAD_": "268435456",
}


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", default="run1", help="name of the run, a folder in .pocket/")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=3, help="that average their gradients")
    parser.add_argument("--threads", type=int, default=1, help="of each process")
    parser.add_argument("--shards", type=int, default=140, help="of 480 pictures each")
    parser.add_argument("--crowded", type=int, default=100, help="shards for vision alone")
    parser.add_argument("--series", type=int, default=60, help="shards for reading alone")
    parser.add_argument("--first", type=int, default=0, help="number of the first shard of a sort")
    parser.add_argument("--start", type=Path, help="weights to go on from, in a new run")
    parser.add_argument("--eyes", type=Path, help="weights whose eyes a new run takes, no more")
    parser.add_argument("--vision-minutes", type=float, default=52, help="earlier ones included")
    parser.add_argument("--reading-minutes", type=float, default=180, help="earlier ones included")
    parser.add_argument("--peak", type=float, default=1.5e-3, help="learning rate of reading")
    parser.add_argument("--scaffold-until", type=float, default=0.67, help="share of the minutes")
    parser.add_argument(
        "--pointers",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="without them no loss says where to look, as for the sister checkpoint",
    )
    parser.add_argument("--weights", type=Path, default=weights_folder(), help="where they go")
    parser.add_argument("--export", type=Path, help="only write the weights so far into a folder")
    parser.add_argument("--half", action="store_true", help="export half precision: 5 MB")
    parser.add_argument("--rank", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--meeting", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def wanted_shards(options: argparse.Namespace) -> set[int]:
    """Numbers of the shards that a run draws and learns from."""
    counts = {0: options.shards, CROWDED: options.crowded, SERIES: options.series}
    starts = {sort + options.first: count for sort, count in counts.items()}
    return {number for start, count in starts.items() for number in range(start, start + count)}


def start_drawing(gallery: Path, wanted: set[int]) -> list[subprocess.Popen[bytes]]:
    """Draw missing shards in the background, in one process, crowded ones first."""
    gallery.mkdir(parents=True, exist_ok=True)
    ready = set(drawn(gallery))
    if wanted <= ready:
        return []
    script = (
        "import sys; from pathlib import Path; from pocket.gallery import draw_shard\n"
        f"for n in {sorted(wanted - ready, key=lambda n: (n >= SERIES, n % CROWDED, -n))}:\n"
        f"    draw_shard(Path({str(gallery)!r}), n)"
    )
    return [subprocess.Popen([sys.executable, "-c", script])]  # noqa: S603 - ourselves


def start_team(options: argparse.Namespace, run: Path) -> Team:
    """Start the other members and join them, or be one of them."""
    if options.processes == 1:
        return Team()
    meeting: Path = options.meeting or run / f"meeting-{os.getpid()}"
    if options.rank == 0:
        for rank in range(1, options.processes):
            member = ["--rank", str(rank), "--meeting", str(meeting)]
            again = [sys.executable, "-m", "pocket.train", *sys.argv[1:], *member]
            subprocess.Popen(again)  # noqa: S603 - ourselves
    return Team(options.rank, options.processes, meeting)


def export_run(model: Model, run: Path, folder: Path, pointers: bool, half: bool = False) -> None:
    """Write the averaged weights of a run's last checkpoint, in half precision where asked."""
    vision, reading = load_state(run / "vision.pt"), load_state(run / "reading.pt")
    state = reading or vision
    if state is None:
        raise SystemExit(f"nothing trained yet in {run}")
    model.load_state_dict(state["model"])
    if reading is not None:
        model.load_state_dict(reading["kept"], strict=False)
    export(model.half() if half else model, folder)
    spent = {
        "vision_minutes": round(vision["minutes"], 1) if vision else 0,
        "vision_steps": vision["step"] if vision else 0,
        "reading_minutes": round(reading["minutes"], 1) if reading else 0,
        "reading_steps": reading["step"] if reading else 0,
        "seed": 0,
        "pointers": pointers,
        "scaffolds": "on in reading steps " + spell(reading["watched"]) if reading else "none",
    }
    (folder / "training.json").write_text(json.dumps(spent, indent=1) + "\n")


def train(options: argparse.Namespace, model: Model, run: Path) -> None:
    """Vision words, features, reading; each goes on where it stopped."""
    gallery = WORKSHOP / "gallery"
    leads = options.rank == 0
    drawing: list[subprocess.Popen[bytes]] = []
    if leads:
        drawing = start_drawing(gallery, wanted_shards(options))
    team = start_team(options, run)
    plan = VisionPlan(options.vision_minutes, options.seed)
    train_vision(model, gallery, run, plan, team)
    for process in drawing:
        process.wait()
    team.wait()
    eyes = load_state(run / "vision.pt")
    features = run / f"features-{eyes['step'] if eyes else 0}"  # of these eyes only
    for number in drawn(gallery):
        read = number in wanted_shards(options) and sort_of(number) != "crowd"
        if read and number % options.processes == options.rank:
            encode_shard(model, gallery, features, number)
    team.wait()
    pages = open_pages(gallery, features)
    plan_of_reading = Plan(
        options.reading_minutes,
        options.seed,
        peak=options.peak,
        scaffold_until=options.scaffold_until,
        pointers=options.pointers,
    )
    train_reading(model, pages, run, plan_of_reading, team)
    if leads:
        export_run(model, run, options.weights, options.pointers)


def main() -> None:
    """Train, or only export."""
    options = arguments()
    if any(os.environ.get(k) != v for k, v in MALLOC.items()):
        again = [sys.executable, "-m", "pocket.train", *sys.argv[1:]]
        os.execve(sys.executable, again, {**os.environ, **MALLOC})  # noqa: S606 - ourselves
    torch.set_num_threads(options.threads)
    run = WORKSHOP / options.run
    model = build_model(options.seed)
    if options.export is not None:
        export_run(model, run, options.export, options.pointers, options.half)
        return
    run.mkdir(parents=True, exist_ok=True)
    (WORKSHOP / ".gitignore").write_text("*\n")
    if options.rank == 0 and not (run / "vision.pt").exists():
        if options.start is not None:
            begin_from(run, options.start)
        elif options.eyes is not None:
            begin_with_eyes(model, run, options.eyes)
    train(options, model, run)


if __name__ == "__main__":
    main()
