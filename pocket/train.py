"""`python -m pocket.train`: draws, trains and exports the pocket; run it again to go on.

Everything unfinished lives in the git-ignored folder `.pocket/`. Never downloads anything.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import torch

from pocket import weights_folder
from pocket.features import encode_shard, open_pages
from pocket.gallery import CROWDED, drawn
from pocket.model import Model, build_model, export
from pocket.reading_stage import Plan, train_reading
from pocket.runs import load_state
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
    parser.add_argument("--threads", type=int, default=3)
    parser.add_argument("--shards", type=int, default=140, help="of 480 pictures each")
    parser.add_argument("--crowded", type=int, default=110)
    parser.add_argument("--vision-minutes", type=float, default=45)
    parser.add_argument("--reading-minutes", type=float, default=90)
    parser.add_argument("--export", type=Path, help="only write the weights so far into a folder")
    return parser.parse_args()


def start_drawing(gallery: Path, shards: int, crowded: int) -> list[subprocess.Popen[bytes]]:
    """Draw missing shards in the background, in one process, crowded ones first."""
    gallery.mkdir(parents=True, exist_ok=True)
    ready = set(drawn(gallery))
    wanted = {*range(shards), *range(CROWDED, CROWDED + crowded)}
    if wanted <= ready:
        return []
    script = (
        "import sys; from pathlib import Path; from pocket.gallery import draw_shard\n"
        f"for n in {sorted(wanted - ready, key=lambda n: (n % CROWDED, -n))}:\n"
        f"    draw_shard(Path({str(gallery)!r}), n)"
    )
    return [subprocess.Popen([sys.executable, "-c", script])]  # noqa: S603 - ourselves


def export_run(model: Model, run: Path, folder: Path) -> None:
    """Write the averaged weights of a run's last checkpoint."""
    vision, reading = load_state(run / "vision.pt"), load_state(run / "reading.pt")
    state = reading or vision
    if state is None:
        raise SystemExit(f"nothing trained yet in {run}")
    model.load_state_dict(state["model"])
    if reading is not None:
        model.load_state_dict(reading["kept"], strict=False)
    export(model, folder)
    spent = {
        "vision_minutes": round(vision["minutes"], 1) if vision else 0,
        "reading_minutes": round(reading["minutes"], 1) if reading else 0,
        "vision_steps": vision["step"] if vision else 0,
        "reading_steps": reading["step"] if reading else 0,
    }
    (folder / "training.json").write_text(json.dumps(spent, indent=1) + "\n")


def main() -> None:
    """Draw, vision words, features, reading, export."""
    options = arguments()
    if any(os.environ.get(k) != v for k, v in MALLOC.items()):
        again = [sys.executable, "-m", "pocket.train", *sys.argv[1:]]
        os.execve(sys.executable, again, {**os.environ, **MALLOC})  # noqa: S606 - ourselves
    torch.set_num_threads(options.threads)
    run, gallery = WORKSHOP / options.run, WORKSHOP / "gallery"
    model = build_model(options.seed)
    if options.export is not None:
        export_run(model, run, options.export)
        return
    WORKSHOP.mkdir(exist_ok=True)
    (WORKSHOP / ".gitignore").write_text("*\n")
    drawing = start_drawing(gallery, options.shards, options.crowded)
    train_vision(model, gallery, run, VisionPlan(options.vision_minutes, options.seed))
    for process in drawing:
        process.wait()
    started = time.monotonic()
    for number in drawn(gallery):
        if number < CROWDED:
            encode_shard(model, gallery, run / "features", number)
    print(f"features: {time.monotonic() - started:.0f} s", flush=True)
    pages = open_pages(gallery, run / "features")
    train_reading(model, pages, run, Plan(options.reading_minutes, options.seed))
    export_run(model, run, weights_folder())


if __name__ == "__main__":
    main()
