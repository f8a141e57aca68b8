"""Where the images of a batch of stock `generate()` inputs lie, row by row.

Reads token ids, the padding mask, and the sizes or feature counts of the pictures. It knows no
cache and no tokenizer: special tokens are those that the model's own config names.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from myopia.errors import BadRequest, Unsupported
from myopia.layout import Layout, Span
from myopia.tiles import Tiling


@dataclass(frozen=True, slots=True)
class RowPrompt:
    """One row of a left-padded batch: `pad` slots of padding, then the prompt of `layout`."""

    pad: int
    layout: Layout


def read_prompts(config: Any, inputs: Mapping[str, Any]) -> list[RowPrompt]:  # noqa: ANN401
    """Layouts of all rows; `inputs` are the model's own arguments.

    Raises Unsupported without `input_ids` or with right padding, BadRequest where placeholders
    and pictures do not match.
    """
    ids = inputs.get("input_ids")
    if ids is None:
        raise Unsupported("prompts given as inputs_embeds: pass input_ids, images are found there")
    mask = inputs.get("attention_mask")
    if mask is not None and mask.ndim != 2:
        raise Unsupported("a ready-made 4-D attention mask: pass the 2-D padding mask")
    pictures = list(_pictures(config, inputs))
    special = special_ids(config)
    rows, used = [], 0
    for index, row in enumerate(ids.tolist()):
        pad = 0 if mask is None else _left_padding(mask[index].tolist())
        spans = _spans(row[pad:], config.image_token_id, pictures[used:])
        used += len(spans)
        rows.append(RowPrompt(pad, _layout(row[pad:], spans, special)))
    if used != len(pictures):
        raise BadRequest(f"{len(pictures)} pictures, but placeholders for {used} only")
    return rows


def has_pictures(inputs: Mapping[str, Any]) -> bool:
    """Whether these arguments bring pictures along, as pixels or as features."""
    features = (inputs.get("mm_encoder_outputs") or {}).get("image")
    return features is not None or inputs.get("pixel_values") is not None


def special_ids(config: Any) -> frozenset[int]:  # noqa: ANN401
    """Ids that never ask: begin, end, padding, image."""
    text = config.get_text_config(decoder=True)
    found: set[int] = {config.image_token_id}
    for name in ("bos_token_id", "eos_token_id", "pad_token_id"):
        for holder in (config, text):
            value = getattr(holder, name, None)
            found.update(value if isinstance(value, list) else [] if value is None else [value])
    return frozenset(found)


def _pictures(config: Any, inputs: Mapping[str, Any]) -> Iterable[Span]:  # noqa: ANN401
    """Spans at position 0, one per picture of the batch in placeholder order.

    `generate` encodes pictures beforehand and passes their features alone on; then a picture's
    grid is read off its number of tokens (`_likely`).
    """
    tiling = _tiling(config)
    features = (inputs.get("mm_encoder_outputs") or {}).get("image")
    if features is not None:
        return [_likely(len(feature), tiling) for feature in features.pooler_output]
    sizes = inputs.get("image_sizes")
    rows = [] if sizes is None else sizes.tolist()
    return [tiling.span(0, (int(height), int(width)), "max") for height, width in rows]


def _tiling(config: Any) -> Tiling:  # noqa: ANN401
    vision = config.vision_config
    points = tuple((int(rows), int(columns)) for rows, columns in config.image_grid_pinpoints)
    return Tiling(vision.image_size, vision.patch_size, points)


def _likely(tokens: int, tiling: Tiling) -> Span:
    """The least elongated grid that makes that many tokens; a plain row where none does.

    Of the published checkpoints' 116 counts 11 have a second grid, elongated beyond 3 to 1.
    """
    side = tiling.side
    if tokens == side * side:
        return Span(0, (side, side), (0, 0))
    fits: list[tuple[int, int]] = []
    for height, width in tiling.pinpoints:
        rows, columns = height // tiling.tile * side, width // tiling.tile * side
        fits += [(rows, fewer) for fewer in range(columns, 0, -2)]
        fits += [(fewer, columns) for fewer in range(rows, 0, -2)]
    fits = [grid for grid in fits if side * side + grid[0] * (grid[1] + 1) == tokens]
    if not fits:
        return Span(0, (1, tokens), (0, 0))
    return Span(0, (side, side), min(fits, key=lambda it: max(it[0] / it[1], it[1] / it[0])))


def _left_padding(mask: list[int]) -> int:
    pad = mask.index(1) if 1 in mask else len(mask)
    if not all(mask[pad:]):
        raise Unsupported("right padding: set tokenizer.padding_side to 'left'")
    return pad


def _spans(ids: list[int], image_id: int, pictures: Sequence[Span]) -> tuple[Span, ...]:
    """Cut the placeholders of one row into pictures."""
    spans: list[Span] = []
    at = 0
    while at < len(ids):
        if ids[at] != image_id:
            at += 1
            continue
        if len(spans) == len(pictures):
            raise BadRequest("more image placeholders than pictures")
        shape = pictures[len(spans)]
        span = Span(at, shape.base, shape.grid, shape.newlines)
        if any(token != image_id for token in ids[at : span.stop]) or span.stop > len(ids):
            raise BadRequest(
                "a picture's tokens are cut off: with chunked prefill make the cache by "
                "MyopiaCache.for_inputs(model, inputs, pruning)"
            )
        spans.append(span)
        at = max(span.stop, at + 1)
    return tuple(spans)


def _layout(ids: list[int], spans: tuple[Span, ...], special: frozenset[int]) -> Layout:
    if not spans:
        return Layout(len(ids), (), ())
    after = range(spans[-1].stop, len(ids))
    asking = tuple(position for position in after if ids[position] not in special)
    return Layout(len(ids), spans, asking or tuple(after) or (len(ids) - 1,))
