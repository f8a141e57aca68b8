"""Attention over ragged rows: every row as if it were alone, whatever the kernel."""

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from myopia.ragged import Blocks, Reach, attend, attend_by_gather
from tests.myopia.interpreted import needs_triton, says

CELLS = 3000
needs_gpu = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="no CUDA device: the ragged kernel cannot run here"
)


def drawn(
    lengths: list[int], heads: int, groups: int, width: int, dtype: torch.dtype = torch.float32
) -> tuple[torch.Tensor, Blocks, Reach]:
    """Queries, blocks and rows that lie anywhere in them, log-counts among their biases."""
    chance = torch.Generator().manual_seed(len(lengths) + heads)
    keys, values = (torch.randn(CELLS, width, generator=chance).to(dtype) for _ in range(2))
    bias = torch.randint(1, 40, (CELLS,), generator=chance).float().log().to(dtype)
    bias[::3] = 0
    origin = torch.randint(0, CELLS - max(lengths), (len(lengths), heads), generator=chance)
    query = torch.randn(len(lengths), heads * groups, width, generator=chance).to(dtype)
    reach = Reach(origin, torch.tensor(lengths), max(lengths) + 7)
    return query, Blocks(keys, values, bias), reach


@pytest.mark.parametrize(("heads", "groups", "width"), [(2, 2, 16), (4, 1, 8), (1, 4, 20)])
def test_gathered_is_every_row_alone(heads: int, groups: int, width: int) -> None:
    lengths = [1, 70, 3, 41]
    query, blocks, reach = drawn(lengths, heads, groups, width)
    found = attend_by_gather(query, blocks, reach, 0.3)
    for row, length in enumerate(lengths):
        for head in range(heads * groups):
            start = int(reach.origin[row, head // groups])
            own = slice(start, start + length)
            alone = scaled_dot_product_attention(
                query[row, head][None],
                blocks.keys[own],
                blocks.values[own],
                attn_mask=blocks.bias[own][None],
                scale=0.3,
            )
            torch.testing.assert_close(found[row, head], alone[0])


def test_what_lies_behind_a_row_is_not_seen() -> None:
    query, blocks, reach = drawn([5, 9], 2, 2, 16)
    before = attend(query, blocks, reach, 0.25)
    seen = torch.zeros(CELLS, dtype=torch.bool)
    for row, length in enumerate([5, 9]):
        for start in reach.origin[row].tolist():
            seen[start : start + length] = True
    blocks.keys[~seen] = 1e4
    blocks.bias[~seen] = 50
    assert torch.equal(attend(query, blocks, reach, 0.25), before)


PROGRAM = """
import torch
from myopia.ragged import Reach, attend_by_gather
from myopia.ragged_triton import attend_triton
from tests.myopia.test_ragged import drawn

for heads, groups, width, lengths, dtype in (
    (2, 2, 64, [1, 5, 300], torch.float32),
    (4, 1, 32, [256, 257, 64, 63], torch.float32),
    (1, 4, 80, [33, 100, 255], torch.float32),
    (2, 8, 128, [1500, 2], torch.float16),
    (2, 3, 16, [513], torch.float16),
):
    query, blocks, reach = drawn(lengths, heads, groups, width, dtype)
    found = attend_triton(query, blocks, reach, width**-0.5)
    wanted = attend_by_gather(query, blocks, reach, width**-0.5)
    near = 2e-6 if dtype == torch.float32 else 2e-3
    torch.testing.assert_close(found, wanted, atol=near, rtol=near)
    for row, length in enumerate(lengths):  # alone, and in a bucket of another length
        own = Reach(reach.origin[row, None], reach.lengths[row, None], 4 * length + 300)
        alone = attend_triton(query[row, None], blocks, own, width**-0.5)
        assert torch.equal(alone[0], found[row]), (lengths, row)
print("equal")
"""


# Its matrix product takes bfloat16 for integers (Triton 3.9), so that is left to a GPU.
@needs_triton
def test_the_kernel_equals_the_gathered_in_the_interpreter() -> None:
    assert says(PROGRAM) == "equal"


@needs_gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize(("heads", "groups", "width"), [(8, 4, 128), (32, 1, 128), (4, 2, 80)])
def test_the_kernel_equals_the_gathered_on_a_gpu(
    dtype: torch.dtype, heads: int, groups: int, width: int
) -> None:
    query, blocks, reach = drawn([1, 700, 64, 2500], heads, groups, width, dtype)
    wanted = attend_by_gather(
        query.float(), Blocks(*(one.float() for one in _parts(blocks))), reach, width**-0.5
    )
    there = Reach(reach.origin.cuda(), reach.lengths.cuda(), reach.longest)
    found = attend(
        query.cuda(), Blocks(*(one.cuda() for one in _parts(blocks))), there, width**-0.5
    )
    near = {torch.float32: 1e-5, torch.float16: 3e-3, torch.bfloat16: 2e-2}[dtype]
    torch.testing.assert_close(found.cpu().float(), wanted, atol=near, rtol=near)


def _parts(blocks: Blocks) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    return blocks.keys, blocks.values, blocks.bias
