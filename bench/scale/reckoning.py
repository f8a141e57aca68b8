"""Asks per second of one GPU by budget, from sizes and peak rates alone: an upper estimate.

A GPU's time for one ask is its prefill, which pruning does not shorten, and its share of the
decode steps, which shrinks with the rows that fit beside it. Nothing is measured here.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Model:
    """Sizes of a checkpoint in bf16."""

    name: str
    parameters: float
    layers: int
    width: int
    key_heads: int
    head_width: int
    context: int

    @property
    def weight_bytes(self) -> float:
        """Bytes that every decode step reads, and memory that is taken."""
        return 2 * self.parameters

    @property
    def kv_bytes_per_token(self) -> int:
        """Keys and values of all layers, two bytes each."""
        return 2 * self.layers * self.key_heads * self.head_width * 2


@dataclass(frozen=True, slots=True)
class Gpu:
    """Peak rates of a device; `reached` is the share of them that we count on."""

    name: str
    flops: float
    bytes_per_second: float
    memory_bytes: float
    reached: float = 0.4


@dataclass(frozen=True, slots=True)
class Load:
    """One kind of ask."""

    pictures: int
    tokens_per_picture: int
    text_tokens: int
    answer_tokens: int

    @property
    def prompt_tokens(self) -> int:
        """Everything that prefill reads."""
        return self.pictures * self.tokens_per_picture + self.text_tokens

    def kept_tokens(self, budget: float) -> float:
        """Tokens in the cache after pruning, with half of the answer on average."""
        images = self.pictures * self.tokens_per_picture
        return budget * images + self.text_tokens + self.answer_tokens / 2


MISTRAL = Model("llava-v1.6-mistral-7b", 7.57e9, 32, 4096, 8, 128, 32768)
VICUNA = Model("llava-v1.6-vicuna-7b", 7.06e9, 32, 4096, 32, 128, 4096)
H100 = Gpu("H100 80 GB", 989e12, 3.35e12, 80e9)
L4 = Gpu("L4 24 GB", 121e12, 0.3e12, 24e9)
MOST_ROWS = 256
USABLE = 0.85


def prefill_seconds(model: Model, gpu: Gpu, load: Load) -> float:
    """Two operations per weight and token, and causal attention over the whole prompt."""
    tokens = load.prompt_tokens
    linear = 2 * model.parameters * tokens
    attention = 2 * model.layers * model.width * tokens**2
    return (linear + attention) / (gpu.flops * gpu.reached)


def rows(model: Model, gpu: Gpu, load: Load, budget: float) -> int:
    """Asks whose caches fit at once beside the weights and one full prompt in prefill.

    0 when the prompt is longer than the model's context or the device too small.
    """
    if load.prompt_tokens + load.answer_tokens > model.context:
        return 0
    full = load.prompt_tokens * model.kv_bytes_per_token
    free = gpu.memory_bytes * USABLE - model.weight_bytes - full
    row = load.kept_tokens(budget) * model.kv_bytes_per_token
    return max(0, min(MOST_ROWS, int(free // row)))


def asks_per_second(model: Model, gpu: Gpu, load: Load, budget: float) -> float:
    """Asks that one GPU ends per second when there are always enough; 0 when one does not fit."""
    at_once = rows(model, gpu, load, budget)
    if at_once == 0:
        return 0.0
    cache = load.kept_tokens(budget) * model.kv_bytes_per_token
    per_token = (model.weight_bytes / at_once + cache) / (gpu.bytes_per_second * gpu.reached)
    return 1 / (prefill_seconds(model, gpu, load) + load.answer_tokens * per_token)
