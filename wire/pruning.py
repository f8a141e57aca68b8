"""What an asker may say about pruning and generation: names, defaults, bounds and help, once.

The gateway embeds these classes in its bodies, the worker translates them field by field.
Nothing here knows how a policy scores or what a model can hold.
"""

from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetPydanticSchema,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from pydantic_core import core_schema

PolicyName = Literal[
    "full",
    "myopia",
    "fastv",
    "h2o",
    "snapkv",
    "pyramidkv",
    "look-m",
    "prefixkv",
    "vl-cache",
    "airv",
    "random",
    "uniform",
    "streaming",
]
Subsidy = Literal[
    "index", "index_power", "exp", "token", "fitted", "visible", "quota", "peaks", "asked"
]
Tiles = Literal["auto", "base", "max"]


Share = Annotated[float, Field(gt=0, le=1)]
TARGET_AGREEMENT = 0.95


def _number_or_auto(
    value: object, number: core_schema.ValidatorFunctionWrapHandler
) -> float | Literal["auto"]:
    if value == "auto":
        return "auto"
    read: float = number(value)
    return read


# Read as a number but for the one word, and not as a union: its errors would name the branch, and
# the schema's bounds would be a step further down than readers of forms look for them.
_BOUNDS = {"exclusiveMinimum": 0, "maximum": 1}
Budget = Annotated[
    float | Literal["auto"],
    GetPydanticSchema(
        lambda _source, _handler: core_schema.no_info_wrap_validator_function(
            _number_or_auto,
            core_schema.float_schema(gt=0, le=1, allow_inf_nan=False),
            serialization=core_schema.plain_serializer_function_ser_schema(lambda value: value),
        )
    ),
    WithJsonSchema(  # an enum of one: generated clients read a `const` beside a number wrongly
        {"anyOf": [{"type": "number", **_BOUNDS}, {"type": "string", "enum": ["auto"]}], **_BOUNDS}
    ),
]


class Params(BaseModel):
    """A frozen message that refuses unknown fields, NaN and infinities."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, strict=False)


# The paper's form as far as it is known; what is ours by inference is told in `myopia.presets`.
PAPER: dict[str, object] = {
    "gamma": 1.8,
    "alpha": 0.5,
    "guide": "question",
    "subsidy": "index",
    "bin_mode": "paper",
    "bin_scope": "global",
    "min_per_image": 0,
}


class Pruning(Params):
    """How one ask's KV cache is pruned after prefill; every field may differ per ask."""

    preset: Literal["default", "paper"] = Field(
        "default",
        description="Where `myopia`'s knobs that are left out come from: what was measured best, "
        "or the paper's form as far as it is known.",
    )
    policy: PolicyName = Field("myopia", description="Method that scores the image tokens.")
    budget: Budget = Field(
        0.2,
        description="Fraction of the KV that is kept, (0, 1]; 1 prunes nothing. `auto` takes the "
        "smallest that the model's calibration shows to be enough for `target_agreement`.",
    )
    target_agreement: Share = Field(
        TARGET_AGREEMENT,
        description="With budget `auto`: how often the answer must be the whole cache's.",
    )
    budget_scope: Literal["visual", "total"] = Field(
        "visual",
        description="What `budget` is a fraction of: the image tokens, or the whole prompt "
        "(text is always kept, so a total budget can be exceeded by text alone).",
    )
    gamma: float = Field(
        1.0,
        ge=0.4,
        le=4,
        description="Dynamic Attention Subsidy: how much more the last image's scores (with "
        "`quota`, `peaks`, `asked`: its share of the tokens) count than the first's; 1 treats "
        "images alike. The paper's range is 1 to 2.5.",
    )
    alpha: float = Field(
        0.5,
        ge=0,
        le=1,
        description="Weight of the text-guided part of the score against the cumulative part; "
        "with `asked` also of the images that are asked about against an even share for all.",
    )
    guide: Literal["question", "reply", "both"] = Field(
        "both",
        description="Rows that make up the text-guided part: the question's, the prompt's last "
        "(which makes the reply's first token), or half of each.",
    )
    subsidy: Subsidy = Field(
        "asked",
        description="Functional form of the subsidy: `quota` gives every image a share of the "
        "tokens by its scores and gamma; `peaks` does so and keeps, of tokens alike, one first; "
        "`asked` does that with shares that are even but for alpha, which follows what the "
        "guiding rows look at. The others multiply scores.",
    )
    head_mode: Literal["aggregate", "wise"] = Field(
        "aggregate", description="One kept set per layer, or one per key head."
    )
    bin_tokens: int = Field(
        20, ge=0, le=64, description="Recycling Bin: most bins per layer; at most a quarter of K."
    )
    bin_mode: Literal["matched", "mass", "paper", "off"] = Field(
        "matched",
        description="How tokens count within a bin: `matched` by what the guiding row looked at, "
        "`mass` all alike; both add the log of how many count to a bin's logits. `paper` adds "
        "nothing, `off` drops.",
    )
    bin_scope: Literal["image", "global"] = Field(
        "image", description="Whether a bin may only hold tokens of one image."
    )
    min_per_image: int = Field(
        4,
        ge=0,
        le=64,
        description="Least tokens kept of every image, as far as half of K (less its bins) allows; "
        "one is always kept.",
    )
    newline_policy: Literal["score", "keep", "drop"] = Field(
        "score", description="What happens to the row-end tokens of any-resolution tiles."
    )
    layer_budgets: Literal["policy", "uniform", "pyramid"] = Field(
        "policy", description="How the budget is shared between layers; `policy`: as it defines."
    )
    merge: Literal["pivotal", "averaged", "weighted"] = Field(
        "pivotal", description="`look-m` only: how evicted tokens are merged into kept ones."
    )

    @model_validator(mode="before")
    @classmethod
    def _start_from_the_preset(cls, said: object) -> object:
        if isinstance(said, dict) and said.get("preset") == "paper":
            return {**PAPER, **said}
        return said

    @field_validator("target_agreement")
    @classmethod
    def _is_heard(cls, value: float, info: ValidationInfo) -> float:
        if value != TARGET_AGREEMENT and info.data.get("budget", "auto") != "auto":
            raise ValueError("Only budget `auto` has a target: set it, or leave this one out")
        return value


StopText = Annotated[str, Field(min_length=1, max_length=64)]


class Generation(Params):
    """How the answer is decoded."""

    max_tokens: int = Field(128, ge=1, le=4096, description="Most tokens of the answer.")
    temperature: float = Field(0, ge=0, le=2, description="0 decodes greedily.")
    top_p: float = Field(1, gt=0, le=1, description="Nucleus sampling; 1 is off.")
    seed: int | None = Field(
        None, ge=0, lt=2**63, description="Makes a sampled answer repeatable, and cacheable."
    )
    stop: tuple[StopText, ...] = Field(
        (), max_length=8, description="Texts that end the answer; they are not part of it."
    )
