"""Reads caption annotation files: COCO, NoCaps, Karpathy splits, Flickr30K's token and CSV lists.

Gives picture paths with their references. Opens no picture and knows no model.
"""

import csv
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class BadAnnotations(ValueError):
    """A caption file lacks something; the message names file and field."""


@dataclass(frozen=True, slots=True)
class Captioned:
    """One picture, what people wrote about it, and NoCaps' domain where there is one."""

    image: Path
    references: tuple[str, ...]
    domain: str = ""


def read(path: Path, images: Path, *, split: str = "test") -> list[Captioned]:
    """Read any of the known files, told apart by content; `split` is for Karpathy's files.

    Raises `BadAnnotations` with the field that is missing.
    """
    if path.suffix != ".json":
        return _flickr_list(path, images)
    document = _json(path)
    try:
        if "annotations" in document:
            return _coco(document, images)
        return _karpathy(document, images, split)
    except KeyError as error:
        raise BadAnnotations(f"{path}: field {error} is missing") from error


def _json(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise BadAnnotations(f"{path} is missing: download it and name its place") from error
    except json.JSONDecodeError as error:
        raise BadAnnotations(f"{path} is not JSON: {error}") from error
    if not isinstance(document, dict) or "images" not in document:
        raise BadAnnotations(f"{path}: field 'images' is missing")
    return document


def _coco(document: dict[str, Any], images: Path) -> list[Captioned]:
    """COCO's and NoCaps' shape: pictures and captions in two lists, joined by id."""
    written: dict[Any, list[str]] = {}
    for note in document["annotations"]:
        written.setdefault(note["image_id"], []).append(note["caption"])
    return _with_references(
        Captioned(
            images / entry["file_name"],
            tuple(written.get(entry["id"], ())),
            entry.get("domain", ""),
        )
        for entry in document["images"]
    )


def _karpathy(document: dict[str, Any], images: Path, split: str) -> list[Captioned]:
    """Karpathy's shape: every picture with its split and its sentences."""
    return _with_references(
        Captioned(
            images / entry.get("filepath", "") / entry["filename"],
            tuple(sentence["raw"] for sentence in entry["sentences"]),
        )
        for entry in document["images"]
        if entry["split"] == split
    )


def _flickr_list(path: Path, images: Path) -> list[Captioned]:
    """`name.jpg#0<tab>caption` lines, or `name.jpg| 0| caption` with a header."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError as error:
        raise BadAnnotations(f"{path} is missing: download it and name its place") from error
    written: dict[str, list[str]] = {}
    if lines and "|" in lines[0]:
        for row in csv.reader(lines[1:], delimiter="|", quoting=csv.QUOTE_NONE):
            if len(row) >= 3:  # one line of the published file lacks its second bar
                written.setdefault(row[0].strip(), []).append(row[2].strip())
    else:
        for number, line in enumerate(filter(None, lines), start=1):
            name, tab, caption = line.partition("\t")
            if not tab:
                raise BadAnnotations(f"{path} line {number}: no tab between picture and caption")
            written.setdefault(name.split("#")[0], []).append(caption.strip())
    return [Captioned(images / name, tuple(texts)) for name, texts in written.items()]


def _with_references(pictures: Iterable[Captioned]) -> list[Captioned]:
    return [picture for picture in pictures if picture.references]
