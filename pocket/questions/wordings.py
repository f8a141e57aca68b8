"""Ways to say each question. Slots: {thing} {color} {shape} {digit} {k} {j} {name}.

Spelling variants (photo, colour, second ...) are folded by the tokenizer and need no row here.
Knows no right answers.
"""

import re

import numpy as np

WORDINGS: dict[str, tuple[str, ...]] = {
    "find": (
        "Which image shows a {thing}?",
        "Which image has the {thing}?",
        "In which image is there a {thing}?",
        "In which image is the {thing}?",
        "Where is the {thing}?",
        "Where is a {thing} shown?",
        "Find the image with a {thing}.",
        "Which of the images contains a {thing}?",
        "Which one shows a {thing}?",
        "What image has a {thing} in it?",
        "What is the number of the image that shows a {thing}?",
        "Tell me which image contains the {thing}.",
        "In what image can you see a {thing}?",
        "Which image is the {thing} in?",
        "A {thing} is in which image?",
        "Which image number contains a {thing}?",
        "Show me the image with a {thing}.",
        "I am looking for a {thing}: which image has it?",
        "There is a {thing} in one image. Which one?",
        "Name the image that contains a {thing}.",
        "The number of the image with the {thing}?",
        "Where can I see a {thing}?",
        "Say which image has the {thing}.",
        "Choose the image showing a {thing}.",
        "{thing}: which image?",
        "Among these images, which has a {thing}?",
        "The {thing} is shown by which image?",
        "One of the images shows a {thing}, which is it?",
        "{thing}, which image is it in?",
        "In which one is the {thing}?",
        "I want the image with the {thing}.",
        "Which image do you find the {thing} in?",
        "Only one image has a {thing}: which?",
        "Can you find the {thing}? In which image is it?",
        "On which of these images is a {thing} to be seen?",
        "Look for a {thing} and say in which image it is.",
        "The image with a {thing} is number what?",
        "What is the number of the image with the {thing}?",
        "Which one of the images is the one with the {thing}?",
        "Give me the number of the image that has a {thing}.",
        "At which image do you see a {thing}?",
        "If you look for a {thing}, which image is it in?",
        "Which image, if any, has the {thing}?",
    ),
    "color": (
        "What color is the {shape} in image {k}?",
        "What is the color of the {shape} in image {k}?",
        "In image {k}, what color is the {shape}?",
        "Which color does the {shape} in image {k} have?",
        "What color does the {shape} have in image {k}?",
        "Tell me the color of the {shape} in image {k}.",
        "Name the color of the {shape} shown in image {k}.",
        "The {shape} in image {k} is what color?",
        "Image {k}: what color is the {shape}?",
        "Which color is the {shape} in image {k}?",
        "Say what color image {k} gives its {shape}.",
        "{shape} in image {k}: which color?",
        "What is the {shape} of image {k} like in color?",
        "Image {k} has a {shape}: what color is it?",
        "Look at the {shape} in image {k}. What color is it?",
        "In which color is the {shape} of image {k}?",
        "Which color was used for the {shape} in image {k}?",
        "The color of the {shape} in image {k} is what?",
        "Give the color of the {shape} of image {k}.",
        "There is a {shape} in image {k}, of what color?",
        "{shape} in image {k}: color?",
    ),
    "shape": (
        "What shape is the {color} object in image {k}?",
        "What is the shape of the {color} object in image {k}?",
        "In image {k}, what shape is the {color} object?",
        "Which shape is {color} in image {k}?",
        "What {color} shape is in image {k}?",
        "What {color} object is there in image {k}?",
        "Which shape does the {color} thing in image {k} have?",
        "What is the {color} object in image {k}?",
        "Tell me the shape of the {color} object in image {k}.",
        "Name the {color} shape in image {k}.",
        "What {color} shape can you see in image {k}?",
        "The {color} object in image {k} is what?",
        "Say which shape is {color} in image {k}.",
        "{color} object in image {k}: which shape?",
        "Image {k} has something {color}: what shape is it?",
        "Look at the {color} object in image {k}. What shape is it?",
        "What kind of shape is the {color} one in image {k}?",
        "What is it that is {color} in image {k}?",
        "Which of the shapes in image {k} is {color}?",
        "The shape of the {color} thing in image {k} is what?",
        "Give the shape that is {color} in image {k}.",
        "What is {color} in image {k}?",
        "In image {k} there is something {color}. Which shape is it?",
    ),
    "only": (
        "What shape is in image {k}?",
        "What shape is shown in image {k}?",
        "Which shape does image {k} show?",
        "What shape does image {k} contain?",
        "What shape is the object in image {k}?",
        "Which shape is there in image {k}?",
        "What object is in image {k}?",
    ),
    "tint": (
        "What color is the object in image {k}?",
        "What is the color of the object in image {k}?",
        "What color is the shape in image {k}?",
        "In image {k}, what color is the object?",
        "Which color does the object in image {k} have?",
    ),
    "digit": (
        "What digit is written in image {k}?",
        "Which digit is in image {k}?",
        "What number is shown in image {k}?",
        "What digit does image {k} show?",
        "In image {k}, which digit is visible?",
        "What is the digit in image {k}?",
        "Which number can you see in image {k}?",
        "Read the digit in image {k}.",
        "What number is written in image {k}?",
        "Tell me the digit of image {k}.",
        "Image {k} shows which digit?",
        "Say what number image {k} contains.",
        "Image {k}: which digit?",
        "Which is the digit in image {k}?",
        "The digit in image {k} is what?",
        "Which digit was written in image {k}?",
        "Look at image {k}. Which digit is there?",
        "Give the digit of image {k}.",
        "What number can be read in image {k}?",
        "There is a digit in image {k}, which is it?",
        "What does the digit in image {k} say?",
        "Image {k} has a number in it. What is it?",
        "Find the digit in image {k}.",
        "Digit in image {k}?",
    ),
    "exist": (
        "Is there a {thing} in image {k}?",
        "Does image {k} show a {thing}?",
        "Does image {k} contain a {thing}?",
        "Is a {thing} in image {k}?",
        "Can you see a {thing} in image {k}?",
        "Do you see a {thing} in image {k}?",
        "Is a {thing} visible in image {k}?",
        "In image {k}, is there a {thing}?",
        "Does a {thing} appear in image {k}?",
        "Does image {k} have a {thing} in it?",
        "Is the {thing} shown in image {k}?",
        "Can a {thing} be found in image {k}?",
        "Say whether image {k} contains a {thing}.",
        "Image {k} shows a {thing}, yes or no?",
        "Is it true that there is a {thing} in image {k}?",
        "A {thing} in image {k}?",
        "Is there any {thing} in image {k}?",
        "Would you say image {k} has a {thing}?",
        "Look at image {k}: do you see a {thing}?",
        "Has image {k} got a {thing}?",
        "Is there a {thing} to be seen in image {k}?",
        "Check if image {k} has a {thing}.",
        "Is a {thing} part of image {k}?",
        "Does one see a {thing} in image {k}?",
    ),
    "exist any": (
        "Is there a {thing} in any image?",
        "Does any image show a {thing}?",
        "Is there a {thing} in any of the images?",
        "Does any of the images contain a {thing}?",
        "Is a {thing} in any of these images?",
        "Can you see a {thing} in any image?",
        "Is a {thing} visible in any image?",
        "Is there any image with a {thing}?",
        "Do any images show a {thing}?",
        "Is there a {thing} in the images?",
        "Is there any {thing}?",
        "Do you see a {thing} anywhere?",
        "Is a {thing} shown in one of the images?",
        "Can a {thing} be found in any of the images?",
        "Is there an image that shows a {thing}?",
        "Do these images show a {thing} at all?",
        "Does a {thing} appear in any of these images?",
        "Is there one image with a {thing}?",
        "Say whether any image has a {thing}.",
        "Any {thing} in these images?",
        "Is there a {thing} anywhere at all?",
        "Among all images, is there a {thing}?",
    ),
    "count": (
        "How many images show a {thing}?",
        "How many images contain a {thing}?",
        "In how many images is there a {thing}?",
        "How many of the images have a {thing}?",
        "How many images have a {thing} in them?",
        "Count the images with a {thing}.",
        "What is the number of images that show a {thing}?",
        "In how many images can you see a {thing}?",
        "How many images are there with a {thing}?",
        "How many of these images show a {thing}?",
        "Say how many images have a {thing}.",
        "In total, how many images contain a {thing}?",
        "A {thing} is shown by how many images?",
        "The number of images with a {thing} is what?",
        "Of these images, how many have a {thing}?",
        "Give the number of images that have a {thing}.",
        "How often is a {thing} shown in these images?",
        "How many of them have a {thing}?",
        "Tell me how many images show a {thing}.",
        "A {thing} is in how many images?",
        "What is the count of images with a {thing}?",
        "For how many images is it true that they show a {thing}?",
    ),
    "describe": (
        "Describe image {k}.",
        "What is in image {k}?",
        "What does image {k} show?",
        "What can you see in image {k}?",
        "Caption image {k}.",
        "Write a caption for image {k}.",
        "Tell me what is in image {k}.",
        "What is shown in image {k}?",
        "Give a description of image {k}.",
        "What do you see in image {k}?",
        "Please describe the content of image {k}.",
        "Name the things in image {k}.",
        "Image {k} shows what?",
        "List everything in image {k}.",
        "Say what is in image {k}.",
        "What objects are in image {k}?",
        "Tell me everything about image {k}.",
        "Image {k}: what is in it?",
        "Which things does image {k} have?",
        "What would you say image {k} shows?",
        "A caption for image {k}, please.",
    ),
    "needle": (
        "What is the value of {name}?",
        "What is {name}?",
        "Which value does {name} have?",
        "What value has {name}?",
        "Tell me the value of {name}.",
        "What number is {name}?",
        "According to the note, what is {name}?",
        "What does the note say about {name}?",
        "Which digit is the value of {name}?",
        "{name} is what?",
        "The value of {name} is what?",
        "Which number is the value of {name}?",
        "What value is given for {name}?",
        "What value does {name} have?",
        "Do you know the value of {name}?",
        "What was said about {name}?",
        "Look at the notes: what is {name}?",
        "{name}?",
        "Read me the value of {name}.",
    ),
    "note": (
        "Note: {name} is {digit}.",
        "{name} is {digit}.",
        "The value of {name} is {digit}.",
        "Note: the value of {name} is {digit}.",
        "{name} has the value {digit}.",
        "{name} = {digit}",
        "Remark: {name} is {digit}.",
        "{name}: {digit}.",
        "Remember: {name} is {digit}.",
        "{digit} is the value of {name}.",
        "We know that {name} is {digit}.",
    ),
    "change": (
        "What changed between image {k} and image {j}?",
        "What has changed between image {k} and image {j}?",
        "What changed from image {k} to image {j}?",
        "What is different between image {k} and image {j}?",
        "What is the difference between image {k} and image {j}?",
        "Between image {k} and image {j}, what changed?",
        "What differs between image {k} and image {j}?",
        "How do image {k} and image {j} differ?",
        "Compare image {k} and image {j}: what changed?",
        "What was changed between images {k} and {j}?",
        "Image {k} and image {j}: what changed?",
        "Look at image {k} and image {j}. What is different?",
        "What is not the same in image {k} and image {j}?",
        "Tell me what changed from image {k} to image {j}.",
    ),
    "move": (
        "Where does the {shape} move from image {k} to image {j}?",
        "In which direction does the {shape} move from image {k} to image {j}?",
        "Which way does the {shape} move from image {k} to image {j}?",
        "Which direction does the {shape} go between image {k} and image {j}?",
        "Where did the {shape} go from image {k} to image {j}?",
        "How does the {shape} move from image {k} to image {j}?",
        "From image {k} to image {j}, where does the {shape} move?",
        "What is the direction of the {shape} from image {k} to image {j}?",
        "Does the {shape} move left, right, up or down from image {k} to image {j}?",
        "The {shape} goes where from image {k} to image {j}?",
        "From image {k} to image {j} the {shape} moves in which direction?",
        "Tell me which way the {shape} moves from image {k} to image {j}.",
        "Between image {k} and image {j}, which way does the {shape} go?",
        "To which side does the {shape} move from image {k} to image {j}?",
    ),
}


def word(task: str, rng: np.random.Generator, **slots: str) -> str:
    """One wording of the task, filled in."""
    ways = WORDINGS[task]
    # the first row is the documented wording: it is asked more often
    pick = 0 if rng.random() < 0.2 else int(rng.integers(len(ways)))
    return ways[pick].format(**slots)


def name_thing(kind: str | None, color: str | None, rng: np.random.Generator) -> str:
    """Such as: red circle, circle that is red, green object, digit 7, purple 7."""
    if kind is None:
        return str(rng.choice([f"{color} object", f"{color} shape", f"{color} thing"]))
    if kind.isdigit():
        plain = f"digit {kind}" if rng.random() < 0.75 else kind
        return plain if color is None else f"{color} {plain}"
    if color is None:
        return kind
    if rng.random() < 0.1:
        return f"{kind} that is {color}" if rng.random() < 0.6 else f"{kind} in {color}"
    return f"{color} {kind}"


OPENERS = (
    "Please", "Tell me,", "Can you tell me:", "I would like to know:", "Look at these images.",
    "Look at them all:", "Give the answer:", "Now", "And", "So", "Just say", "Please answer:",
)  # fmt: skip
CLOSERS = (
    "Please.", "Thanks!", "Tell me.", "Do you see it?", "Give a short answer.", "One word.",
    "Look at all of them.", "Do you know?",
)  # fmt: skip
SOFT = frozenset(
    "a the in of it is are there do does you can see that these them to has with".split()  # noqa: SIM905
)
FILLERS = (
    "please", "the", "a", "now", "it", "here", "you", "see", "then", "just", "of", "that",
    "maybe", "hm",
)  # fmt: skip


CHUNK = re.compile(r" (?=(?:in|on|of|with|is|does|do|that|show|shows|contain|has|have) )", re.I)
ORDERED = re.compile(
    r"image \d+ (?:and|to)|images \d+ and", re.I
)  # which number comes first matters


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
        start = str(rng.choice(["In image {}:", "In image {},", "Image {}.", "Look at image {}:"]))
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
