"""Says a question as a hurried or wordy person does: words lost, added, moved. Training only.

Knows no right answers.
"""

import re

import numpy as np

OPENERS = (
    "Please", "Tell me,", "Can you tell me:", "I would like to know:", "Look at these images.",
    "Look at them all:", "Give the answer:", "Now", "And", "So", "Just say", "Please answer:",
    "Hi!", "Hello,", "Question:", "Quick question:", "Okay,",
    "Given these images,", "Based on the images,", "Look carefully.", "I can't see them myself.",
    "You are a helpful assistant.", "Answer the question about the images.", "Next question.",
)  # fmt: skip
CLOSERS = (
    "Please.", "Thanks!", "Tell me.", "Do you see it?", "Give a short answer.", "One word.",
    "Look at all of them.", "Do you know?", "Answer briefly.", "No explanation.", "Do not explain.",
    "Answer with one word or number.", "Respond with the answer only.", "Be brief.", "Thank you.",
)  # fmt: skip
STARTS = (
    "In image {}:", "In image {},", "Image {}.", "Look at image {}:", "Take image {}.",
    "I am asking about image {}.", "This is about image {}.", "Image {} is the one I mean.",
)  # fmt: skip
SOFT = frozenset(
    "a the in of it is are there do does you can see that these them to has with".split()  # noqa: SIM905
)
FILLERS = (
    "please", "the", "a", "now", "it", "here", "you", "see", "then", "just", "of", "that",
    "maybe", "hm", "kindly", "quickly",  # the last two are not in the vocabulary
)  # fmt: skip


CHUNK = re.compile(r" (?=(?:in|on|of|with|is|does|do|that|show|shows|contain|has|have) )", re.I)
# two numbered images: which comes first matters
ORDERED = re.compile(r"image \d+ (?:and|to)|images \d+ and|image \d+.*image \d+", re.I)


def shuffle(text: str, rng: np.random.Generator) -> str:
    """The question's phrases in another order, where none of them depends on it."""
    phrases = CHUNK.split(text.rstrip("?. "))
    if len(phrases) < 2 or ORDERED.search(text):
        return text
    return ", ".join(phrases[i] for i in rng.permutation(len(phrases)))


def loosen(text: str, rng: np.random.Generator) -> str:
    """The question as a hurried or wordy person puts it: small words lost, added or moved."""
    if rng.random() < 0.4:
        return text
    place = re.search(r" (?:in|from) image (\d+)(?=[ ?.:]|$)(?! (?:and|to))", text)
    if place and not text.startswith("From") and rng.random() < 0.3:
        start = str(rng.choice(STARTS))
        text = f"{start.format(place[1])} {text[: place.start()]}{text[place.end() :]}"
    elif rng.random() < 0.12:
        text = shuffle(text, rng)
    lost = 0.12 if rng.random() < 0.8 else 0.6
    words = []
    for one in text.split():
        if one.lower() in SOFT and rng.random() < lost:
            continue
        if rng.random() < 0.04:
            words.append(str(rng.choice(FILLERS)))
        words.append(one)
    said = " ".join(words)
    if rng.random() < 0.3:
        said = f"{rng.choice(OPENERS)} {said}"
    return f"{said} {rng.choice(CLOSERS)}" if rng.random() < 0.1 else said
