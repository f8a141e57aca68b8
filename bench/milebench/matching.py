"""Normalises answers and finds the chosen letter, as MileBench's `evaluate.py` (9583e1f) does.

Its slips are part of the benchmark and are kept, each with a comment. Knows no files.
"""

import re
from collections.abc import Sequence

PUNCTUATION = ';/[]"{}()=+\\_-><@`,?!'
_DIGIT_COMMA = re.compile(r"\d,\d")
# Written as a look-behind but spelt `(?!<=`, so it never excludes anything.
_PERIOD = re.compile(r"(?!<=\d)(\.)(?!\d)")
# `re.UNICODE` was passed where the count goes: only this many periods are removed.
_PERIODS_REMOVED = 32
_ESCAPED = ("\\", ".", "^", "$", "*", "+", "?", "{", "}", "[", "]", "|", "(", ")")


def process(text: str) -> str:
    """Lower-case text with punctuation deleted or made a space.

    A mark is deleted where it touches a space anywhere in the text, or where the text has a comma
    between digits; else it becomes a space.
    """
    source = text.replace("\n", " ").replace("\t", " ").strip()
    digits = _DIGIT_COMMA.search(source) is not None
    result = source
    for mark in PUNCTUATION:
        touches = mark + " " in source or " " + mark in source
        result = result.replace(mark, "" if touches or digits else " ")
    result = _PERIOD.sub("", result, count=_PERIODS_REMOVED)
    return result.strip("'").strip('"').strip().lower()


def letter(index: int) -> str:
    """A to Z, then AA to AZ, then BA and on."""
    if index < 26:
        return chr(65 + index)
    return "A" + chr(39 + index) if index < 52 else "B" + chr(13 + index)


def match_choice(answer: str, choices: Sequence[str]) -> str:
    """The letter that a processed answer is taken to mean, given processed choices.

    Steps: letter and choice, choice alone, letter alone, else the letters found in the answer.
    """
    if not answer:
        return "C"  # sic
    letters = [letter(index) for index in range(len(choices))]
    lettered = [_pattern(f"{key} {text}") for key, text in zip(letters, choices, strict=True)]
    hit = re.search("|".join(lettered), answer, re.DOTALL)
    if hit:
        return hit.group(0)[0].upper()  # one character: AA can never be returned here
    solid = [_pattern(text).replace(" ", "") for text in choices]
    hit = re.search("|".join(solid), answer.replace(" ", ""), re.DOTALL)
    if hit:
        for key, pattern in zip(letters, solid, strict=True):
            # Compared with the escaped text: a choice such as 3.5 is found but never equal.
            if hit.group(0).strip() == pattern:
                return key
    if len(answer) in {1, 2} and answer.upper() in letters:
        return answer.upper()
    return "".join(character.upper() for character in answer if character.upper() in letters)


def _pattern(text: str) -> str:
    pattern = process(text)
    for mark in _ESCAPED:
        pattern = pattern.replace(mark, "\\" + mark)
    return pattern
