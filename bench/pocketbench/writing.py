"""Writes drawn datasets in MileBench's folders and JSON; the real loader and scorer read them.

Every dataset stands in for the MileBench folder of the same name. The evidence's place cycles over
all pictures, so that accuracy by depth is balanced.
"""

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.milebench.catalog import TASK_OF
from bench.milebench.samples import QuestionType, quantity_level
from bench.pocketbench import sequences, stories
from bench.pocketbench.drawer import draw
from bench.pocketbench.stories import Maker, Question

INSTRUCTION = "Look at the images."
IMAGE_COUNTS = (2, 4, 6, 8, 12, 16, 24, 32)

# Folder: maker and question type; at least one folder per task code.
DRAWN: dict[str, tuple[Maker, QuestionType]] = {
    "ActionLocalization": (stories.which_colour, "multi-choice"),
    "ActionPrediction": (stories.which_shape, "multi-choice"),
    "ActionSequence": (sequences.moves_over_three, "multi-choice"),
    "ObjectExistence": (stories.exists_in, "multi-choice"),
    "ObjectInteraction": (stories.shape_of, "multi-choice"),
    "MovingAttribute": (stories.colour_of, "multi-choice"),
    "EgocentricNavigation": (sequences.walk, "multi-choice"),
    "MovingDirection": (sequences.moves_over_two, "multi-choice"),
    "CounterfactualInference": (sequences.without_one, "multi-choice"),
    "StateChange": (sequences.what_changed, "multi-choice"),
    "CharacterOrder": (sequences.image_before, "multi-choice"),
    "SceneTransition": (stories.exists_anywhere, "multi-choice"),
    "MultiModalQA": (sequences.note_then_image, "multi-choice"),
    "WikiVQA": (sequences.long_text, "multi-choice"),
    "SlideVQA": (stories.which_digit, "multi-choice"),
    "OCR-VQA": (stories.digit_of, "multi-choice"),
    "Spot-the-Diff": (sequences.change_in_words, "open-ended"),
    "IEdit": (stories.describe, "open-ended"),
    "MMCoQA": (sequences.dialogue, "open-ended"),
    "ALFRED": (sequences.steps_described, "open-ended"),
    "nuscenes": (stories.how_many, "multi-choice"),
    "TextNeedleInAHaystack": (sequences.text_needle, "open-ended"),
    "ImageNeedleInAHaystack": (stories.image_needle, "open-ended"),
    "GPR1200": (stories.which_pair, "multi-choice"),
}
assert set(DRAWN) <= set(TASK_OF)

# What a pocket must be able to do, in the words of its card, to have a chance at a folder.
# Order, and a story in two steps, are on no card: nothing there promises them.
SKILLS: dict[str, tuple[str, ...]] = {
    "ActionLocalization": ("find color",),
    "ActionPrediction": ("find shape",),
    "ActionSequence": ("move",),
    "ObjectExistence": ("exist",),
    "ObjectInteraction": ("shape",),
    "MovingAttribute": ("color",),
    "EgocentricNavigation": ("move",),
    "MovingDirection": ("move",),
    "CounterfactualInference": ("count", "leave out"),
    "StateChange": ("change",),
    "CharacterOrder": ("find", "order"),
    "SceneTransition": ("exist any",),
    "MultiModalQA": ("needle", "find digit", "two steps"),
    "WikiVQA": ("find",),
    "SlideVQA": ("find digit",),
    "OCR-VQA": ("digit",),
    "Spot-the-Diff": ("change",),
    "IEdit": ("describe",),
    "MMCoQA": ("color", "follow up"),
    "ALFRED": ("describe",),
    "nuscenes": ("count",),
    "TextNeedleInAHaystack": ("needle",),
    "ImageNeedleInAHaystack": ("digit",),
    "GPR1200": ("find",),
}


def make(dataset: str, number: int, images: int, seed: int = 0) -> Question:
    """Question `number` of a dataset; the evidence's place is `number` modulo `images`."""
    generator = random.Random(f"{seed}/{dataset}/{number}/{images}")
    maker, _ = DRAWN[dataset]
    return maker(generator, images, number % images)


def context(question: Question) -> str:
    """Placeholders and notes in order, then the question."""
    notes = question.between or ("",) * len(question.views)
    shown = [
        f"{{image#{index}}}" + (f" {note} " if note else "")
        for index, note in enumerate(notes, start=1)
    ]
    return "".join(shown) + question.text


def write_dataset(
    root: Path, dataset: str, samples: int, image_counts: Sequence[int], seed: int = 0
) -> Path:
    """Write one folder with `samples` questions for each number of pictures; returns it."""
    _, kind = DRAWN[dataset]
    folder = root / dataset
    (folder / "images").mkdir(parents=True, exist_ok=True)
    entries: list[dict[str, Any]] = []
    for images in image_counts:
        for number in range(samples):
            question = make(dataset, number, images, seed)
            entries.append(_entry(folder, len(entries), question))
    meta = {"task_instruction": [INSTRUCTION], "question_type": kind, "drawn_seed": seed}
    document = {"meta_data": meta, "data": entries}
    path = folder / f"{dataset}.json"
    path.write_text(json.dumps(document, indent=1), encoding="utf-8")
    return folder


def _entry(folder: Path, number: int, question: Question) -> dict[str, Any]:
    names = [f"{number:05d}_{index}.png" for index in range(len(question.views))]
    for name, shown in zip(names, question.views, strict=True):
        draw(shown).save(folder / "images" / name)
    task: dict[str, Any] = {"context": context(question), "images_path": names}
    if question.choices:
        task["choice_list"] = list(question.choices)
    return {
        "sample_id": number,
        "task_instruction_id": 0,
        "task_instance": task,
        "response": question.response,
        "image_quantity_level": quantity_level(len(names)),
        "evidence": list(question.evidence),
    }
