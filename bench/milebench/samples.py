"""Reads one MileBench folder: its JSON, in the plain, combined-image or adversarial variant.

Gives samples with placeholders still in their text. Knows no prompt, no tokenizer, no model.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

QuestionType = Literal["multi-choice", "open-ended"]
Level = Literal["Few", "Medium", "Many"]
DEPTH_FIELDS = ("depth", "needle_depth", "needle_position")


class BadDataset(ValueError):
    """A folder or a sample does not follow MileBench's schema; the message names file and field."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One question.

    `images` are the pictures to show (one combined picture in combined mode), `image_count` is how
    many the sample has in the plain variant: placeholders and the quantity level count those.
    `depth`: where the evidence lies, 0 first to 1 last, None where the data does not say.
    """

    dataset: str
    sample_id: int
    instruction: str
    context: str
    images: tuple[Path, ...]
    image_count: int
    choices: tuple[str, ...]
    response: str
    question_type: QuestionType
    combined: int = 0
    depth: float | None = None

    @property
    def level(self) -> Level:
        """Image-quantity level as the scorer recomputes it; the JSON's own field is not trusted."""
        return quantity_level(self.image_count)


def quantity_level(images: int) -> Level:
    """Few below 6 images, Many above 31."""
    if images < 6:
        return "Few"
    return "Many" if images > 31 else "Medium"


def annotation_file(folder: Path, *, combined: int = 0, adversarial: bool = False) -> Path:
    """The JSON of one variant; `combined=1` lives in the plain file."""
    if adversarial and combined:
        raise BadDataset(
            "adversarial and combined exclude each other: MileBench ships no such file"
        )
    suffix = "-adv" if adversarial else f"_combined_{combined}" if combined > 1 else ""
    return folder / f"{folder.name}{suffix}.json"


def load(folder: Path, *, combined: int = 0, adversarial: bool = False) -> list[Sample]:
    """All samples of one folder, in the file's order.

    Raises `BadDataset` where a file is missing or a sample lacks a field.
    """
    path = annotation_file(folder, combined=combined, adversarial=adversarial)
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise BadDataset(
            f"{path} is missing: unpack MileBench there, or name another folder"
        ) from (error)
    except json.JSONDecodeError as error:
        raise BadDataset(f"{path} is not JSON: {error}") from error
    try:
        meta = document["meta_data"]
        kind = meta["question_type"]
        if kind not in {"multi-choice", "open-ended"}:
            raise BadDataset(f"{path}: question_type must be multi-choice or open-ended")
        samples = [_sample(folder, meta, entry, combined) for entry in document["data"]]
    except KeyError as error:
        raise BadDataset(f"{path}: field {error} is missing") from error
    ids = [sample.sample_id for sample in samples]
    if len(set(ids)) != len(ids):
        raise BadDataset(f"{path}: sample_id occurs twice; results are joined by it")
    return samples


def _sample(
    folder: Path, meta: Mapping[str, Any], entry: Mapping[str, Any], combined: int
) -> Sample:
    task = entry["task_instance"]
    names = list(task["images_path"])
    base = folder / "images"
    shown = names
    if combined:
        shown = list(task[f"combined_{combined}_images"])
        base = folder / f"combined_{combined}_images"
        if len(shown) != 1:
            raise BadDataset(
                f"{folder.name} sample {entry['sample_id']}: combined mode shows exactly one image,"
                f" combined_{combined}_images has {len(shown)}"
            )
    return Sample(
        dataset=folder.name,
        sample_id=int(entry["sample_id"]),
        instruction=_instruction(meta["task_instruction"], entry["task_instruction_id"]),
        context=task["context"],
        images=tuple(base / name for name in shown),
        image_count=len(names),
        choices=tuple(str(choice) for choice in task.get("choice_list", ())),
        response=str(entry["response"]),
        question_type=meta["question_type"],
        combined=combined,
        depth=_depth(entry),
    )


def _instruction(table: Any, key: int | str) -> str:  # noqa: ANN401 - list or dict by dataset
    """`task_instruction` is a list or a dict; ids are written as int or str in either."""
    if isinstance(table, Mapping):
        return str(table[key] if key in table else table[str(key)])
    return str(table[int(key)])


def _depth(entry: Mapping[str, Any]) -> float | None:
    """Depth of the evidence: annotated, or where a text needle's answer stands in its context."""
    task = entry["task_instance"]
    for holder in (entry, task):
        for field in DEPTH_FIELDS:
            value = holder.get(field)
            if isinstance(value, int | float):
                return min(1.0, float(value) / 100 if value > 1 else float(value))
    evidence: list[int] = entry.get("evidence", [])
    if evidence:
        return sum(evidence) / len(evidence) / max(1, len(task["images_path"]) - 1)
    if "choice_list" in task:
        return None
    return text_depth(task["context"], str(entry["response"]))


def text_depth(context: str, response: str) -> float | None:
    """Share of the context before the one place where the response stands; None if not unique."""
    if not response or context.count(response) != 1:
        return None
    return context.index(response) / max(1, len(context) - len(response))
