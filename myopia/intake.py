"""From a request to a row: prompt, options, limits and the cells it will need, or a refusal.

Everything that can be wrong with a request is found here, before any work on a device.
"""

from collections.abc import Sequence
from dataclasses import replace

from myopia import budget
from myopia.choices import Choices
from myopia.errors import BadRequest
from myopia.layout import Layout
from myopia.loading import Checkpoint
from myopia.params import Picture, Pruning, Request, Turn
from myopia.policies import policy_of
from myopia.probe import probe_text
from myopia.prompt import Prompt, build_prompt, pictures_of
from myopia.row import Row
from myopia.sampling import Sampler
from myopia.slots import stored_width
from myopia.streaming import TextStream

MOST_LOGPROBS = 20


def row_of(checkpoint: Checkpoint, request: Request) -> Row:
    """Check a request and make its row; raises BadRequest or one of its kinds."""
    _check(request)
    policy_of(request.pruning)
    prompt = build_prompt(checkpoint, request)
    budget.check(request.pruning, prompt.layout)
    sampling = request.sampling
    warnings = []
    most_tokens = min(sampling.max_tokens, checkpoint.context - prompt.layout.length)
    if most_tokens < sampling.max_tokens:
        warnings.append(
            f"The model's context leaves room for {most_tokens} tokens of answer, "
            f"{sampling.max_tokens} were asked for."
        )
    choices = None
    if request.options:
        choices = Choices(checkpoint.tokenizer, request.options, checkpoint.stop_ids)
        if choices.longest > most_tokens:
            raise BadRequest(
                f"the longest option has {choices.longest} tokens and max_tokens is {most_tokens}",
                field="/generation/max_tokens",
                limit=most_tokens,
                actual=choices.longest,
            )
    row = Row(
        ask_id=request.ask_id,
        prompt=prompt,
        pictures=pictures_of(request.turns),
        options=request.options,
        pruning=request.pruning,
        reuse=request.reuse,
        explain=request.explain,
        deadline=request.deadline,
        most_tokens=most_tokens,
        stop_ids=checkpoint.stop_ids,
        sampler=Sampler(sampling),
        text=TextStream(checkpoint.tokenizer, sampling.stop),
        choices=choices,
        warnings=warnings,
    )
    _count(row, checkpoint)
    if request.reuse == "compressed" and budget.prunes(prompt.layout, request.pruning):
        row.probes = _probes(checkpoint, request, prompt)
        if request.explain:
            row.warnings.append("explain has nothing to show for reuse 'compressed'.")
    return row


def _probes(checkpoint: Checkpoint, request: Request, prompt: Prompt) -> list[tuple[int, ...]]:
    """What follows the image set in prompts that ask for each picture's description."""
    last = request.turns[-1]
    shown = [at for at, part in enumerate(last.parts) if isinstance(part, Picture)]
    kept = last.parts[: shown[-1] + 1] if shown else ()
    tails = []
    for number in range(len(prompt.layout.spans)):
        turn = Turn("user", (*kept, probe_text(number)))
        probe = build_prompt(
            checkpoint, replace(request, turns=(*request.turns[:-1], turn), tiles=prompt.tiles)
        )
        if probe.ids[: prompt.prefix] != prompt.ids[: prompt.prefix]:
            raise BadRequest(
                "reuse 'compressed' needs all text before the last picture to stay there, and this "
                "model's chat form moves it; use 'exact'",
                field="/reuse",
            )
        tails.append(probe.ids[prompt.prefix :])
    return tails


def cells_of(checkpoint: Checkpoint, row: Row) -> int:
    """Cells that a row will hold; exact where every layer keeps the same number of tokens."""
    kept = expected_kept(row.prompt.layout, row.pruning)
    return checkpoint.layers * stored_width(kept, row.most_tokens)


def expected_kept(layout: Layout, pruning: Pruning) -> int:
    """Tokens per layer that survive pruning, bins included."""
    if not budget.prunes(layout, pruning):
        return layout.length
    kept, bins = budget.split_quota(budget.image_quota(layout, pruning), layout, pruning)
    return layout.length - layout.image_tokens + kept + bins


def _count(row: Row, checkpoint: Checkpoint) -> None:
    layout, usage = row.prompt.layout, row.usage
    usage.prompt_tokens = layout.length
    usage.image_tokens = layout.image_tokens
    usage.text_tokens = layout.length - layout.image_tokens
    usage.kv_bytes_full = layout.length * checkpoint.layers * checkpoint.slot_bytes


def _check(request: Request) -> None:
    sampling = request.sampling
    bounds: Sequence[tuple[bool, str, str]] = [
        (sampling.max_tokens >= 1, "max_tokens", "at least 1"),
        (0 <= sampling.temperature <= 100, "temperature", "at least 0"),
        (0 < sampling.top_p <= 1, "top_p", "in (0, 1]"),
        (all(sampling.stop), "stop", "without empty texts"),
    ]
    for holds, name, wanted in bounds:
        if not holds:
            raise BadRequest(f"{name} must be {wanted}", field=f"/generation/{name}")
    if sampling.logprobs is not None and not 0 <= sampling.logprobs <= MOST_LOGPROBS:
        raise BadRequest(f"logprobs must be in [0, {MOST_LOGPROBS}]", field="/logprobs")
    if not request.turns or request.turns[-1].role != "user":
        raise BadRequest("the last turn must be the user's", field="/turns")
