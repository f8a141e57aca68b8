"""MileBench's 29 folders: which task each belongs to, how a task is averaged, what was published.

Source: arXiv 2404.18532 and Table A3 of the paper. Knows no files, prompts or models.
"""

from collections.abc import Mapping

TASKS: dict[str, tuple[str, ...]] = {
    "T-1": ("ActionLocalization", "ActionPrediction", "ActionSequence"),
    "T-2": ("ObjectExistence", "ObjectInteraction", "MovingAttribute", "ObjectShuffle"),
    "T-3": ("EgocentricNavigation", "MovingDirection"),
    "T-4": ("CounterfactualInference", "StateChange", "CharacterOrder", "SceneTransition"),
    "S-1": ("WebQA", "TQA", "MultiModalQA", "WikiVQA"),
    "S-2": ("SlideVQA", "OCR-VQA", "DocVQA"),
    "S-3": ("Spot-the-Diff", "CLEVR-Change", "IEdit"),
    "S-4": ("MMCoQA", "ALFRED"),
    "S-5": ("nuscenes",),
    "N-1": ("TextNeedleInAHaystack",),
    "N-2": ("ImageNeedleInAHaystack",),
    "I-1": ("GPR1200",),
}
REALISTIC = ("T-1", "T-2", "T-3", "T-4", "S-1", "S-2", "S-3", "S-4", "S-5")
DIAGNOSTIC = ("N-1", "N-2", "I-1")
# Averages of tasks that the tables of the field print; NH is LOOK-M's and the paper's.
GROUPS: dict[str, tuple[str, ...]] = {
    "Real": REALISTIC,
    "Diag": DIAGNOSTIC,
    "NH": ("N-1", "N-2"),
}
DATASETS: tuple[str, ...] = tuple(name for names in TASKS.values() for name in names)
TASK_OF: dict[str, str] = {name: task for task, names in TASKS.items() for name in names}

# Published scores, 0-100, columns as in `TASKS`. Compare drops, not levels: harnesses differ more
# than methods do (LOOK-M's own full-cache row has T-4 37.8 where the official one has 46.4).
_COLUMNS = tuple(TASKS)
PUBLISHED: dict[str, dict[str, float]] = {
    name: dict(zip(_COLUMNS, values, strict=True))
    for name, values in {
        "official LLaVA-1.5-7B": (
            37.8, 45.5, 31.5, 46.4, 50.8, 32.0, 11.3, 24.2, 62.5, 0.0, 0.0, 6.2,
        ),
        "official LLaVA-1.6-7B": (
            38.8, 44.4, 28.5, 33.0, 51.6, 40.3, 9.9, 26.9, 69.5, 10.6, 0.9, 10.2,
        ),
        "official random": (
            25.0, 31.9, 25.0, 31.6, 25.1, 24.6, 0.0, 25.3, 0.0, 0.0, 0.0, 11.4,
        ),
    }.items()
}  # fmt: skip


def average_tasks(by_dataset: Mapping[str, float]) -> dict[str, float]:
    """Mean of each task over its datasets present, then of each group whose tasks are all there.

    A task is the plain mean of its datasets, whatever their sizes; S-4 mixes accuracy and ROUGE-L.
    """
    tasks: dict[str, float] = {}
    for task, names in TASKS.items():
        present = [by_dataset[name] for name in names if name in by_dataset]
        if present:
            tasks[task] = sum(present) / len(present)
    for group, members in GROUPS.items():
        if all(task in tasks for task in members):
            tasks[group] = sum(tasks[task] for task in members) / len(members)
    return tasks
