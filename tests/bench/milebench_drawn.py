"""Writes small datasets in MileBench's folder layout and schema, for tests."""

import json
from pathlib import Path
from typing import Any

from PIL import Image


def entry(number: int, context: str, response: str, **more: Any) -> dict[str, Any]:
    images = more.pop("images", 2)
    task: dict[str, Any] = {
        "context": context,
        "images_path": [f"{number}-{k}.png" for k in range(images)],
    }
    for field in ("choice_list", "combined_1_images", "combined_2_images"):
        if field in more:
            task[field] = more.pop(field)
    return {
        "sample_id": number,
        "task_instruction_id": more.pop("instruction", 0),
        "task_instance": task,
        "response": response,
        "image_quantity_level": "Few",
        **more,
    }


def write(
    root: Path, name: str, entries: list[dict[str, Any]], *, kind: str = "multi-choice", **more: Any
) -> Path:
    folder = root / name
    (folder / "images").mkdir(parents=True, exist_ok=True)
    for item in entries:
        for picture in item["task_instance"]["images_path"]:
            Image.new("RGB", (8, 8), "red").save(folder / "images" / picture)
    document = {
        "meta_data": {
            "task_instruction": more.get("instructions", ["Look at the pictures."]),
            "question_type": kind,
        },
        "data": entries,
    }
    (folder / f"{name}{more.get('suffix', '')}.json").write_text(json.dumps(document))
    return folder
