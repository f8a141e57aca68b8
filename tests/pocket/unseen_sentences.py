"""Questions of two sentences, and sentences before a question,
of somebody who had seen no list; exam only."""

TWOFOLD: dict[str, tuple[str, ...]] = {
    "find": (
        "I'm after the {thing}. Which image has it?",
        "Somewhere in this set there is a {thing}. Tell me the number of the image it sits in.",
        "A {thing} turns up in one of these; which one is that?",
        "Go through the images until you come across a {thing}. At what number did you stop?",
        "My friend swears he spotted a {thing}. What's the number of the image he must have meant?",
    ),
    "color": (
        "Look at image {k}. The {shape} there, what color is it?",
        "There's a {shape} in image {k}. How would you name its colour?",
        "Take the {shape} from image {k}; if I wanted to paint it, which colour should I buy?",
        "Image {k} is the one I care about, not the others. In what color was the {shape} drawn?",
        (
            "I can't make out the {shape} in image {k} very well on this screen. Is "
            "it red, blue, or what?"
        ),
    ),
    "shape": (
        "Something in image {k} is {color}. What shape does it have?",
        "Let's turn to image {k}. What kind of figure is the {color} one there?",
        "Find whatever is {color} in image {k}, then tell me which shape that is.",
        "In image {k} I see a {color} object. Is it a circle, a star, or something else?",
        "I only want to know about image {k}. The {color} thing in it, what form is that?",
    ),
    "digit": (
        "Have a look at image {k}. What digit is written there?",
        "Image {k} has a numeral on it; can you read it out to me?",
        "Skip the other images and go to number {k}. Which digit do you find in it?",
        "I need to type in the digit from image {k}. What key do I press, 0 to 9?",
    ),
    "exist": (
        "Check image {k} for me. Does a {thing} appear there?",
        "I'm wondering about a {thing}. Is there one in image {k}?",
        "Let's talk about image {k}; would I find a {thing} in it?",
        "Somebody told me image {k} has a {thing} in it. Is that true?",
        "Never mind the rest, just open image {k}. Can you see a {thing} there, yes or no?",
    ),
    "exist any": (
        "Think of a {thing}. Does any of the images have one?",
        "Go over all of the images. Is there a {thing} anywhere among them?",
        "I was hoping to see a {thing}; did one make it into any of these pictures?",
        "It doesn't matter in which image. Is a {thing} to be seen at all?",
        "Suppose I needed a {thing}. Could I get one from at least one of these images?",
    ),
    "count": (
        "Consider the whole set of images. In how many of them is there a {thing}?",
        "Some of these may have a {thing}. How many do?",
        "Put aside every image that has a {thing}; how many would be on that pile?",
        "I'm keeping a tally of images with a {thing}. What number should I write down?",
        "Let's say you get a point for each image where a {thing} appears. What's your score?",
    ),
    "describe": (
        "Now image {k}, please. What all is in it?",
        "I can't see image {k} myself. Could you tell me everything that's there?",
        "Let's do an inventory of image {k}; name each object you find in it.",
        "Pretend we're on the phone and you have image {k} before you. What does it contain?",
        "Leave the other images alone and concentrate on number {k}. List all of its contents.",
    ),
    "needle": (
        "Remember {name}? Tell me what it was said to be.",
        "You were told something about {name} along the way; which number was that?",
        "I forgot to write down {name}. Could you look up its value in the notes?",
        (
            "Between the images there was a bit of text on {name}. What does it "
            "equal according to that?"
        ),
    ),
    "change": (
        "Put image {k} next to image {j}. What is different in the second one?",
        "First came image {k}, then image {j}. What happened in between?",
        "Image {j} isn't quite the same as image {k}; what has been altered?",
        "Start from image {k}. What would I have to do to it to end up with image {j}?",
        "Someone edited image {k} and saved the result as image {j}. Which edit did they make?",
    ),
    "move": (
        "Watch the {shape} in image {k} and again in image {j}. Which way did it go?",
        "The {shape} isn't where it used to be. From image {k} to image {j}, where did it head?",
        "Image {k} is before and image {j} is after; in what direction has the {shape} travelled?",
        (
            "Say you grab the {shape} in image {k} and drag it to its spot in image "
            "{j}. Which way do you pull?"
        ),
        "There's a {shape} in both image {k} and image {j}. Did it shift left, right, up or down?",
    ),
}

BEFORE: tuple[str, ...] = (
    "Hi there, hope you're having a good day.",
    "Thanks, that last one was spot on.",
    "Hmm, I'm not sure I agree with your previous answer, but let's move on.",
    "You will be shown {n} images followed by a question about them.",
    "Please study all the images carefully before you reply.",
    "I'm testing a few different models this afternoon and you're the third.",
    "Sorry to bother you again.",
    "My eyes are tired today, so I could use some help.",
    "I uploaded {n} pictures just now, I hope they all came through.",
    "Answer the following question using only the images and the notes given.",
    "It has been raining here since breakfast.",
    "Okay, next question.",
    "You are a helpful assistant with excellent eyesight.",
    "This is for my daughter's homework, and she's getting impatient.",
    "No need to explain how you got there.",
    "I've been staring at these for ages and I'm starting to doubt myself!",
    "The pictures were made with a little script that my colleague wrote.",
    "All {n} of them are from the same collection, in case you were wondering.",
    "Don't guess; take your time.",
    "lol ok that was quick",
    "My brother and I have a bet going about this, and the loser does the dishes.",
    "Below is an item from a visual reasoning test.",
    "Good morning! I just got my coffee and I'm ready to continue.",
    "The images are numbered in the order in which they were given, from 1 to {n}.",
    "If it's not too much trouble, I'd like to ask you something.",
    "I know this may sound like a silly question.",
    "We'll be landing in Lisbon soon, so I may lose my connection.",
    "You got the earlier one wrong, so please be more careful this time.",
    "User: Right, I've got one more for you.",
    "There should be {n} images above this message.",
)
