# ruff: noqa: SIM905 - word lists read better as text
"""The words of the pocket: its vocabulary, and which spellings mean the same word.

Knows nothing of tokenizer libraries; `tokenizer.py` turns these tables into one.
The order of the vocabulary is part of the checkpoint: append, never insert.
"""

SHAPES = ("circle", "square", "triangle", "star", "cross", "ring", "diamond", "heart")
COLORS = ("red", "green", "blue", "yellow", "purple", "cyan", "white", "black")
DIGITS = tuple(str(d) for d in range(10))
SPECIALS = ("<pad>", "<s>", "</s>", "<unk>", "<image>", "<q>", "<a>")

NAMES = tuple(
    """amber ruby cobalt ivory coral jade olive pearl onyx topaz opal garnet quartz flint maple
    cedar birch willow aspen hazel clover fern lotus iris lily rose violet tulip daisy poppy
    falcon robin raven sparrow heron eagle owl swan tiger lion bear wolf fox otter badger
    rabbit horse cat dog mouse whale dolphin salmon river lake ocean island valley mountain
    forest meadow desert canyon harbor bridge tower castle garden window door table chair
    lamp clock mirror basket bottle kettle hammer anchor rocket comet planet moon sun cloud
    rain snow thunder wind storm apple banana cherry grape lemon mango peach pear plum melon
    pepper onion carrot tomato alice bob carol dave eve frank grace henry alpha beta gamma
    delta omega sigma key code password secret token box room""".split()
)

# Things a user may name that are never drawn: the right answer about them is "no" or 0.
STRANGE_COLORS = ("orange", "pink", "brown", "gray")
STRANGE_SHAPES = ("hexagon", "pentagon", "oval", "rectangle", "arrow", "crescent", "cube", "line")

FUNCTION = tuple(
    """image note value digit shape color object which what where how many is are there do in of on
    at to from between and or with without a any show present contain change move describe
    count yes no left right up down nothing position background size same both none word
    text none it its me you we i can could would please tell say give name find see look at
    this these all each every only exactly just whether if true false answer question
    following direction way thing kind type part side near top bottom middle center corner
    above below over under next before after then when while by for has not but as so than
    more most less least few several different total pair set list also too here was were be
    been will shall should did who whose why whom that written last big small large little
    tiny first option choose choice select correct pick one out write read story two < > / ,
    = + % & @ _ x y z b c d e f g h j k l m n p q r s t u v w""".split()
)

LATER = tuple(
    """about according compare content anything anywhere other them they their else single
    multiple hello thanks sentence possible like among everything know want""".split()
)

VOCABULARY: tuple[str, ...] = tuple(
    dict.fromkeys(
        (
            *SPECIALS,
            "background",
            *SHAPES,
            *DIGITS,
            *COLORS,
            *(str(n) for n in range(10, 100)),
            *FUNCTION,
            *STRANGE_COLORS,
            *STRANGE_SHAPES,
            *NAMES,
            *LATER,
        )
    )
)

ORDINALS = tuple(
    """first second third fourth fifth sixth seventh eighth ninth tenth
    eleventh twelfth""".split()
)
CARDINALS = tuple(
    """zero one two three four five six seven eight nine ten
    eleven twelve""".split()
)

ONE = "(?:the|that|this|its|a|an|only|single|whichever|whatever|one)"
AN_IMAGE = "image|picture|photo|photograph|pic|img|frame|panel|drawing|shot|snapshot|input|one"
A_COLOR = "|".join((*COLORS, *STRANGE_COLORS))

# canonical word -> the other spellings (regular expressions, matched as whole words, in order)
SAME: tuple[tuple[str, str], ...] = (
    ("can not", "can't|cannot|cant"),
    ("is not", "isn't|isnt"),
    ("are not", "aren't|arent"),
    ("do not", "don't|dont|doesn't|didn't"),
    ("will not", "won't"),
    ("what is", "what's|whats"),
    ("do", "does|did|doing|done"),
    ("say", "says|said|saying|states?|specify|indicate|reports?|determine|provide|outputs?|return"),
    ("give", "gives|given|giving"),
    ("look at", "check|examine|inspect|consider|focus on|search|scan"),
    ("look at", "(?:go|goes|going|look|looking|scroll) (?:through|over)"),
    ("look", "looking|looks"),
    ("see", "sees|seen|saw|seeing|notice"),
    ("want", "wants|wanna|needs?|wish"),
    ("please", "pls|plz"),
    ("and", "vs|versus"),
    ("in", "inside|within"),
    ("compare", "compared|compares|comparing|comparison|relative"),
    ("list", "lists|listed|enumerate|itemi[sz]e"),
    ("content", "contents"),
    ("find", "identify|locate|spot|finds|retrieve"),
    ("anywhere", "somewhere"),
    ("other", "others|another"),
    ("same", "identical|equal"),
    ("where is", "where's"),
    ("image", rf"(?:number|index|id) of (?:{ONE} )*(?:{AN_IMAGE})(?! \d)"),  # not of images
    ("in", rf"(?:the )?colou?r(?:ed)?(?= (?:{A_COLOR})\b)"),
    ("count", "(?:total )?(?:number|amount|quantity) of"),
    ("count", "tally|calculate|compute"),
    ("how many", "how much"),
    ("color", "colou?rs?|colou?red|hues?|shades?"),
    ("image", "images|pictures?|photos?|photographs?|pics?|imgs?|frames?|panels?|drawings?"),
    ("image", "shots?|snapshots?|screenshots?|inputs?|illustrations?"),
    ("image", "image (?:number|numbered|no|num|nr|index|id)"),
    ("circle", "circles|discs?|disks?|dots?|balls?"),
    ("square", "squares"),
    ("triangle", "triangles|triangular"),
    ("star", "stars"),
    ("cross", "crosses|plus(?: sign)?"),
    ("ring", "rings|donuts?|doughnuts?|hoops?|annulus"),
    ("diamond", "diamonds|rhombus(?:es)?|lozenges?"),
    ("heart", "hearts"),
    ("purple", "purples|violet|magenta"),
    ("cyan", "cyans|aqua|turquoise|teal"),
    ("gray", "grey"),
    ("digit", "digits|numbers?|numerals?|numeric"),
    ("shape", "shapes|shaped|forms?|figures?|symbols?"),
    ("object", "objects|items?|things?|thing|something|stuff|elements?"),
    ("show", "shows|showing|contains?|containing|has|have|having|includes?|including|displays?"),
    ("show", "depicts?|depicting|features?|featuring|holds?|holding|got"),
    ("present", "written|drawn|printed|shown|visible|appears?|appearing|located|found|exists?"),
    ("present", "depicted|displayed|occurs?|contained"),
    ("change", "changed|changes|changing|differs?|different|differences?|altered|modified"),
    ("change", "happened|happens|edits?|edited|alter|alterations?|modify|modifications?"),
    ("move", "moves|moved|moving|movement|motion|goes|go|going|went|gone|shift(?:s|ed|ing)?"),
    ("move", "travel(?:s|l?ed|l?ing)?|slides?|slid|displaced|displacement|nudged|headed|heading"),
    ("describe", "describes|description|captions?|summari[sz]e|explain"),
    ("note", "notes|noted|remark|memo|hint|fact|remember"),
    ("answer", "answers|answering|answered|reply|respond|response"),
    ("value", "values"),
    ("a", "an|the"),
    ("left", "leftwards?"),
    ("right", "rightwards?"),
    ("up", "upwards?"),
    ("down", "downwards?"),
    ("nothing", "unchanged"),
    ("position", "positions|location|place|placement"),
)
