"""From turns of pictures and text to token ids, spans and warnings, by the checkpoint's own form.

What an asker types is text: `<image>` or any other special token in it is spelled out, never
obeyed. Nothing here knows pixels beyond their size, batches or policies.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import TemplateError

from myopia.errors import BadRequest, PromptTooLong
from myopia.layout import Layout, Span
from myopia.loading import Checkpoint
from myopia.params import Picture, Request, Turn
from myopia.tiles import TilesUsed

# Stand-ins for special tokens inside an asker's text while the template is rendered; private
# use characters, so that no template or tokenizer gives them a meaning.
_STAND_IN = "\ue000{}\ue001"
_STAND_INS = re.compile("\ue000([0-9]+)\ue001")
MOST_WORDS_NAMED = 10


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt as the model reads it; `prefix` is one past the last image token (0: no image)."""

    ids: tuple[int, ...]
    layout: Layout
    tiles: TilesUsed
    warnings: tuple[str, ...] = ()

    @property
    def prefix(self) -> int:
        """Tokens that another question about the same pictures shares with this one."""
        return self.layout.spans[-1].stop if self.layout.spans else 0


def build_prompt(checkpoint: Checkpoint, request: Request) -> Prompt:
    """Tokenize a request; raises BadRequest, or PromptTooLong with what every picture costs.

    With tiles `auto` every picture gets its any-resolution tiles, unless prompt and answer then
    exceed the context: then every picture gets its base tile only, and a warning says so.
    """
    pictures = pictures_of(request.turns)
    ids, unknown = _tokenize(checkpoint, request.turns, len(pictures))
    warnings = list(unknown)
    tiles: TilesUsed = "base" if request.tiles == "base" else "max"
    prompt, layout = _expand(checkpoint, ids, pictures, tiles)
    room = checkpoint.context - request.sampling.max_tokens
    if request.tiles == "auto" and len(prompt) > room:
        smaller, smaller_layout = _expand(checkpoint, ids, pictures, "base")
        if len(smaller) < len(prompt):
            warnings.append(
                f"With any-resolution tiles the prompt would have {len(prompt)} tokens; every "
                "picture was read by its base tile only. Ask for tiles 'max' to forbid this."
            )
            prompt, layout, tiles = smaller, smaller_layout, "base"
    if len(prompt) >= checkpoint.context:
        raise _too_long(checkpoint, len(prompt), layout, tiles)
    return Prompt(tuple(prompt), layout, tiles, tuple(warnings))


def pictures_of(turns: Sequence[Turn]) -> list[Picture]:
    """All pictures of a conversation in reading order."""
    return [part for turn in turns for part in turn.parts if isinstance(part, Picture)]


def special_texts(tokenizer: Any) -> list[str]:  # noqa: ANN401 - tokenizers are untyped
    """Every string that the tokenizer would read as one special token, longest first."""
    named = set(tokenizer.all_special_tokens) | set(tokenizer.added_tokens_encoder)
    return sorted((text for text in named if text), key=lambda text: (-len(text), text))


def _tokenize(
    checkpoint: Checkpoint, turns: Sequence[Turn], pictures: int
) -> tuple[list[int], list[str]]:
    """Ids with one placeholder per picture, and warnings about words the model does not know."""
    tokenizer = checkpoint.tokenizer
    specials = special_texts(tokenizer)
    pattern = re.compile("|".join(re.escape(text) for text in specials)) if specials else None

    def spelled_out(text: str) -> str:
        if pattern is None:
            return text
        return pattern.sub(lambda found: _STAND_IN.format(specials.index(found[0])), text)

    messages = [
        {
            "role": turn.role,
            "content": [
                {"type": "image"}
                if isinstance(part, Picture)
                else {"type": "text", "text": spelled_out(part)}
                for part in turn.parts
            ],
        }
        for turn in turns
    ]
    try:
        text = tokenizer.apply_chat_template(
            messages,
            chat_template=checkpoint.chat_template,
            tokenize=False,
            add_generation_prompt=True,
        )
    except TemplateError as error:
        raise BadRequest(
            f"this model's chat form does not allow these turns: {error}", field="/turns"
        ) from error
    ids, unknown = _encode(tokenizer, text, specials)
    if ids.count(checkpoint.image_token_id) != pictures:
        raise BadRequest(
            f"this model's chat form shows {ids.count(checkpoint.image_token_id)} of {pictures} "
            "pictures; put pictures into user turns only",
            field="/turns",
        )
    return ids, _unknown_words(unknown)


def _encode(tokenizer: Any, text: str, specials: list[str]) -> tuple[list[int], list[str]]:  # noqa: ANN401
    """Ids of a rendered template, and the words that became the unknown token."""
    begins = tokenizer.bos_token and text.startswith(tokenizer.bos_token)
    ids: list[int] = []
    unknown: list[str] = []
    for number, piece in enumerate(_STAND_INS.split(text)):
        if number % 2:  # a special token that an asker typed
            plain = specials[int(piece)] if int(piece) < len(specials) else ""
            read = tokenizer(plain, add_special_tokens=False, split_special_tokens=True).input_ids
            ids += [one for one in read if one not in tokenizer.added_tokens_decoder]
            continue
        read = tokenizer(
            piece, add_special_tokens=number == 0 and not begins, return_offsets_mapping=True
        )
        ids += read.input_ids
        unknown += [
            piece[start:stop]
            for one, (start, stop) in zip(read.input_ids, read.offset_mapping, strict=True)
            if one == tokenizer.unk_token_id and stop > start
        ]
    return ids, unknown


def _unknown_words(found: list[str]) -> list[str]:
    words = list(dict.fromkeys(word.strip() for word in found if word.strip()))
    if not words:
        return []
    named = ", ".join(repr(word) for word in words[:MOST_WORDS_NAMED])
    more = f" and {len(words) - MOST_WORDS_NAMED} more" if len(words) > MOST_WORDS_NAMED else ""
    return [f"The model does not know these words and cannot read them: {named}{more}."]


def _expand(
    checkpoint: Checkpoint, ids: list[int], pictures: list[Picture], tiles: TilesUsed
) -> tuple[list[int], Layout]:
    """Replace the k-th placeholder by as many as picture k has tokens."""
    expanded: list[int] = []
    spans: list[Span] = []
    image = checkpoint.image_token_id
    for one in ids:
        if one != image:
            expanded.append(one)
            continue
        width, height = pictures[len(spans)].image.size
        spans.append(checkpoint.tiling.span(len(expanded), (height, width), tiles))
        expanded += [one] * spans[-1].length
    return expanded, Layout(len(expanded), tuple(spans), _text_rows(checkpoint, expanded, spans))


def _text_rows(checkpoint: Checkpoint, ids: list[int], spans: list[Span]) -> tuple[int, ...]:
    """Rows after the last image but special tokens; where none is left, all rows after it."""
    if not spans:
        return ()
    after = range(spans[-1].stop, len(ids))
    special = set(checkpoint.tokenizer.all_special_ids)
    return tuple(row for row in after if ids[row] not in special) or tuple(after)


def _too_long(
    checkpoint: Checkpoint, length: int, layout: Layout, tiles: TilesUsed
) -> PromptTooLong:
    costs = [f"picture {n} costs {span.length}" for n, span in enumerate(layout.spans, start=1)]
    if len(costs) > 8:
        costs = [*costs[:7], f"the other {len(costs) - 7} cost {_rest(layout)} together"]
    text = length - layout.image_tokens
    base = checkpoint.tiling.side**2
    advice = f", or tiles 'base' ({base} tokens per picture)" if tiles == "max" else ""
    return PromptTooLong(
        f"the prompt has {length} tokens and this model reads at most {checkpoint.context - 1} "
        f"before its answer: {', '.join([*costs, f'text costs {text}'])}. Send fewer or smaller "
        f"pictures{advice}",
        field="/images" if layout.spans else "/question",
        limit=checkpoint.context - 1,
        actual=length,
    )


def _rest(layout: Layout) -> int:
    return sum(span.length for span in layout.spans[7:])
