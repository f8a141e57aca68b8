"""ROUGE-L at summary level with set semantics, equal to the package `rouge==1.0.1`.

Words count once however often they occur, so other ROUGE-L implementations give other numbers.
Knows nothing of MileBench.
"""

from collections.abc import Sequence
from itertools import chain


def rouge_l(hypothesis: str, reference: str) -> float:
    """F-score in [0, 1]; raises ValueError where either text has no sentence left."""
    said, wanted = sentences(hypothesis), sentences(reference)
    if not said or not wanted:
        raise ValueError("ROUGE-L needs at least one sentence on both sides")
    union: set[str] = set()
    for sentence in wanted:
        for other in said:
            union |= common_words(sentence.split(" "), other.split(" "))
    said_words = set(chain.from_iterable(sentence.split(" ") for sentence in said))
    wanted_words = set(chain.from_iterable(sentence.split(" ") for sentence in wanted))
    precision = len(union) / len(said_words)
    recall = len(union) / len(wanted_words)
    return 2.0 * ((precision * recall) / (precision + recall + 1e-8))


def sentences(text: str) -> list[str]:
    """Pieces between periods, white space collapsed; a blank piece stays as an empty sentence."""
    return [" ".join(piece.split()) for piece in text.split(".") if piece]


def common_words(left: Sequence[str], right: Sequence[str]) -> set[str]:
    """Words of one longest common subsequence, by the package's way back through the table.

    Which subsequence is found matters where several are longest: up only if strictly better.
    """
    rows, columns = len(left), len(right)
    table = [[0] * (columns + 1) for _ in range(rows + 1)]
    for i, word in enumerate(left, start=1):
        for j, other in enumerate(right, start=1):
            table[i][j] = (
                table[i - 1][j - 1] + 1 if word == other else max(table[i - 1][j], table[i][j - 1])
            )
    words: set[str] = set()
    i, j = rows, columns
    while i and j:
        if left[i - 1] == right[j - 1]:
            words.add(left[i - 1])
            i, j = i - 1, j - 1
        elif table[i - 1][j] > table[i][j - 1]:
            i -= 1
        else:
            j -= 1
    return words
