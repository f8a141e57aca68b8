"""Tables and plots of finished runs: by task, by quantity level, by depth, against a baseline.

The baseline is the full-cache run of the same samples; differences are paired. Knows results
only, no model and no data.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from bench.charts import lines
from bench.intervals import Interval, paired_interval
from bench.milebench.catalog import GROUPS, TASK_OF, TASKS, average_tasks
from bench.milebench.running import Result, read_results
from bench.tables import table

LEVELS = ("Few", "Medium", "Many")
DEPTHS = ("first", "middle", "last")
COLUMNS = (*TASKS, *GROUPS)


def by_dataset(results: Iterable[Result]) -> dict[str, float]:
    """Mean score of each dataset, 0-100."""
    scores: dict[str, list[float]] = {}
    for result in results:
        scores.setdefault(result.dataset, []).append(result.score)
    return {name: 100 * sum(values) / len(values) for name, values in scores.items()}


def by_task(results: Iterable[Result]) -> dict[str, float]:
    """Score of each task and group of tasks, 0-100."""
    return average_tasks(by_dataset(results))


def depth_third(result: Result) -> str | None:
    """Which third of the prompt holds the evidence; None where the data does not say."""
    if result.depth is None:
        return None
    return DEPTHS[min(2, int(result.depth * 3))]


def split_mean(
    results: Iterable[Result], key: Callable[[Result], str | None]
) -> dict[str, tuple[float, int]]:
    """Plain mean over samples, 0-100, and their number, for each value of `key`."""
    groups: dict[str, list[float]] = {}
    for result in results:
        name = key(result)
        if name is not None:
            groups.setdefault(name, []).append(result.score)
    return {name: (100 * sum(row) / len(row), len(row)) for name, row in groups.items()}


def differences(
    results: Sequence[Result], baseline: Sequence[Result]
) -> dict[str, dict[str, list[float]]]:
    """Per task and dataset, score minus baseline score of the samples that both runs have."""
    reference = {(result.dataset, result.sample_id): result.score for result in baseline}
    paired: dict[str, dict[str, list[float]]] = {}
    for result in results:
        key = (result.dataset, result.sample_id)
        if key in reference:
            rows = paired.setdefault(TASK_OF.get(result.dataset, result.dataset), {})
            rows.setdefault(result.dataset, []).append(100 * (result.score - reference[key]))
    return paired


def against(results: Sequence[Result], baseline: Sequence[Result]) -> dict[str, Interval]:
    """Paired bootstrap interval of the difference to the baseline, per task and over all."""
    paired = differences(results, baseline)
    intervals = {task: paired_interval(list(rows.values())) for task, rows in paired.items()}
    everything = [row for rows in paired.values() for row in rows.values()]
    if everything:
        intervals["all"] = paired_interval(everything)
    return intervals


def text_report(runs: Mapping[str, Sequence[Result]], baseline: str) -> str:
    """All tables as Markdown; `runs` maps a run's name to its results."""
    if baseline not in runs:
        raise ValueError(f"baseline {baseline!r} is not among the runs: {', '.join(runs)}")
    full = runs[baseline]
    parts = ["## By task\n", _task_table(runs), f"\n## Difference to {baseline}, 95 % interval\n"]
    parts.append(_difference_table(runs, baseline, full))
    parts += ["\n## By number of images\n", _split_table(runs, LEVELS, lambda r: r.level)]
    parts += ["\n## By depth of the evidence\n", _split_table(runs, DEPTHS, depth_third)]
    return "\n".join(parts)


def _task_table(runs: Mapping[str, Sequence[Result]]) -> str:
    scores = {name: by_task(results) for name, results in runs.items()}
    columns = [column for column in COLUMNS if any(column in row for row in scores.values())]
    rows = [
        [name, *(f"{row[c]:.1f}" if c in row else "-" for c in columns)]
        for name, row in scores.items()
    ]
    return table(["run", *columns], rows)


def _difference_table(
    runs: Mapping[str, Sequence[Result]], baseline: str, full: Sequence[Result]
) -> str:
    intervals = {name: against(results, full) for name, results in runs.items() if name != baseline}
    columns = [c for c in (*TASKS, "all") if any(c in row for row in intervals.values())]
    rows = [
        [name, *(_signed(row[c]) if c in row else "-" for c in columns)]
        for name, row in intervals.items()
    ]
    return table(["run", *columns], rows)


def _signed(interval: Interval) -> str:
    return f"{interval.mean:+.1f} [{interval.low:+.1f}, {interval.high:+.1f}]"


def _split_table(
    runs: Mapping[str, Sequence[Result]],
    columns: Sequence[str],
    key: Callable[[Result], str | None],
) -> str:
    rows = []
    for name, results in runs.items():
        split = split_mean(results, key)
        cells = [f"{split[c][0]:.1f} (n={split[c][1]})" if c in split else "-" for c in columns]
        rows.append([name, *cells])
    return table(["run", *columns], rows)


def write_report(folders: Mapping[str, Path], baseline: str, out: Path) -> str:
    """Write `report.md`, `tasks.svg` and `depth.svg` under `out`; returns the text."""
    runs = {name: read_results(folder) for name, folder in folders.items()}
    empty = [name for name, results in runs.items() if not results]
    if empty:
        raise ValueError(f"no results in: {', '.join(empty)}")
    text = text_report(runs, baseline)
    out.mkdir(parents=True, exist_ok=True)
    (out / "report.md").write_text(text, encoding="utf-8")
    scores = {name: by_task(results) for name, results in runs.items()}
    tasks = [task for task in TASKS if any(task in row for row in scores.values())]
    (out / "tasks.svg").write_text(
        lines(
            "Score by task",
            tasks,
            {name: [row.get(task) for task in tasks] for name, row in scores.items()},
            top=100,
        ),
        encoding="utf-8",
    )
    depth = {name: split_mean(results, depth_third) for name, results in runs.items()}
    (out / "depth.svg").write_text(
        lines(
            "Score by depth of the evidence",
            DEPTHS,
            {n: [row[d][0] if d in row else None for d in DEPTHS] for n, row in depth.items()},
            top=100,
        ),
        encoding="utf-8",
    )
    return text
