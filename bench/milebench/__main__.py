"""`python -m bench.milebench run|report`: answer MileBench's folders, and compare finished runs."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from bench.milebench.catalog import DATASETS
from bench.milebench.engines import Asking, EngineAnswer, ServiceAnswer, bare_prompt, reader
from bench.milebench.report import text_report, write_report
from bench.milebench.running import Answer, run
from bench.milebench.samples import Sample, load
from myopia.loading import Checkpoint
from myopia.loading import load as load_checkpoint
from myopia.params import Pruning


def parser() -> argparse.ArgumentParser:
    """Arguments of both commands."""
    root = argparse.ArgumentParser(prog="python -m bench.milebench", description=__doc__)
    commands = root.add_subparsers(dest="command", required=True)
    runs = commands.add_parser("run", help="answer and score; resumes what is already there")
    runs.add_argument("--data", type=Path, required=True, help="folder that holds the datasets")
    runs.add_argument("--out", type=Path, required=True, help="folder of this run's results")
    runs.add_argument("--model", help="checkpoint folder or hub name (with --url: its tokenizer)")
    runs.add_argument("--url", help="ask a running service instead of an engine in this process")
    runs.add_argument("--key", default="", help="API key of the service")
    runs.add_argument("--datasets", nargs="*", choices=DATASETS, help="default: all that are there")
    runs.add_argument("--combined", type=int, default=0, help="combined-image variant K")
    runs.add_argument("--adversarial", action="store_true")
    runs.add_argument("--limit", type=int, help="at most so many samples of each dataset")
    runs.add_argument("--policy", default="full")
    runs.add_argument("--budget", type=float, default=1.0)
    runs.add_argument("--gamma", type=float, default=Pruning().gamma)
    runs.add_argument("--alpha", type=float, default=Pruning().alpha)
    runs.add_argument("--form", choices=("llama_2", "mistral", "own"), default="llama_2")
    runs.add_argument("--tiles", choices=("base", "max"), default="base")
    runs.add_argument("--context-tokens", type=int, default=4096)
    runs.add_argument("--max-tokens", type=int, default=512)
    runs.add_argument("--bare", action="store_true", help="no instruction, choices as options")
    reports = commands.add_parser("report", help="tables and plots of finished runs")
    reports.add_argument("runs", nargs="+", metavar="NAME=FOLDER")
    reports.add_argument("--baseline", default="full", help="name of the full-cache run")
    reports.add_argument("--out", type=Path, required=True)
    return root


def samples_of(asked: argparse.Namespace) -> list[Sample]:
    """Samples of all wanted datasets."""
    names = asked.datasets or [name for name in DATASETS if (asked.data / name).is_dir()]
    if not names:
        raise SystemExit(f"no MileBench folder in {asked.data}: unpack the data there")
    rows: list[Sample] = []
    for name in names:
        found = load(asked.data / name, combined=asked.combined, adversarial=asked.adversarial)
        rows += found[: asked.limit]
    return rows


def answer_of(asked: argparse.Namespace, pruning: Pruning, asking: Asking) -> Answer:
    """The answerer that the arguments name."""
    if not asked.model and not (asked.url and asking.bare):
        raise SystemExit("name a checkpoint with --model: its tokenizer decides what fits")
    checkpoint: Checkpoint | None = load_checkpoint(asked.model) if asked.model else None
    if asked.url:
        read = bare_prompt if checkpoint is None else reader(checkpoint, asking)
        return ServiceAnswer(asked.url, pruning, read, key=asked.key, asking=asking)
    assert checkpoint is not None
    return EngineAnswer(checkpoint, pruning, asking)


def main(arguments: Sequence[str] | None = None) -> None:
    """Do what the command says."""
    asked = parser().parse_args(arguments)
    if asked.command == "report":
        folders = {name: Path(path) for name, _, path in (r.partition("=") for r in asked.runs)}
        print(write_report(folders, asked.baseline, asked.out))
        return
    policy = {"gamma": asked.gamma, "alpha": asked.alpha} if asked.policy == "myopia" else {}
    pruning = Pruning(policy=asked.policy, budget=asked.budget, **policy)
    asking = Asking(asked.form, asked.tiles, asked.context_tokens, asked.max_tokens, asked.bare)
    settings = {
        "model": asked.model or asked.url,
        "pruning": asdict(pruning),
        "asking": asdict(asking),
        "combined": asked.combined,
        "adversarial": asked.adversarial,
    }
    results = run(
        samples_of(asked),
        answer_of(asked, pruning, asking),
        asked.out,
        settings,
        progress=sys.stderr,
    )
    print(text_report({asked.out.name: results}, asked.out.name))


if __name__ == "__main__":
    main()
