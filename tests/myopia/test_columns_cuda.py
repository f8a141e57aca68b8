"""The fused kernel against the exact sum; needs a CUDA device and Triton."""

import pytest
import torch

from myopia.columns import column_sums, row_lse
from myopia.columns_cuda import fused_column_sums, fused_is_possible, fused_row_lse
from myopia.columns_grouped import Grouping, grouped_sums
from myopia.flash import attend_with_lse

needs_gpu = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="no CUDA device: the fused kernel cannot run here"
)


@needs_gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("query_heads", "heads", "width"), [(8, 2, 64), (4, 4, 128), (4, 2, 80)])
def test_the_fused_pass_equals_the_exact_sum(
    dtype: torch.dtype, query_heads: int, heads: int, width: int
) -> None:
    torch.manual_seed(0)
    rows = torch.arange(100, 777)
    query = torch.randn(query_heads, len(rows), width, device="cuda", dtype=dtype)
    key = torch.randn(heads, 777, width, device="cuda", dtype=dtype)
    weights = torch.rand(len(rows)) + 0.5
    assert fused_is_possible(query)
    found = fused_column_sums(query, key, rows, weights, width**-0.5)
    wanted = column_sums(query.cpu(), key.cpu(), rows, weights, width**-0.5)
    torch.testing.assert_close(found.cpu(), wanted, atol=1e-3, rtol=1e-3)


@needs_gpu
def test_the_flash_kernels_log_sum_exp_saves_the_first_pass() -> None:
    torch.manual_seed(0)
    query = torch.randn(1, 8, 512, 64, device="cuda", dtype=torch.bfloat16)
    key = torch.randn(1, 2, 512, 64, device="cuda", dtype=torch.bfloat16)
    _, lse = attend_with_lse(query, key, key, None, 0.125)
    rows = torch.arange(512)
    found = fused_column_sums(query[0], key[0], rows, None, 0.125, lse)
    wanted = column_sums(query[0].cpu(), key[0].cpu(), rows, None, 0.125)
    torch.testing.assert_close(found.cpu(), wanted, atol=2e-2, rtol=2e-2)


@needs_gpu
def test_grouped_rows_on_a_gpu_are_those_of_a_cpu() -> None:
    torch.manual_seed(0)
    query, key = torch.randn(8, 500, 64), torch.randn(2, 600, 64)
    rows, counts = torch.arange(100, 600), torch.rand(500).round()
    lse = row_lse(query, key, rows, 0.125)
    torch.testing.assert_close(
        fused_row_lse(query.cuda(), key.cuda(), rows, 0.125).cpu(), lse, atol=1e-3, rtol=1e-3
    )
    given = counts, 0.125, Grouping(64, 3)
    found = grouped_sums(query.cuda(), key.cuda(), lse.cuda(), *given)
    wanted = grouped_sums(query, key, lse, *given)
    torch.testing.assert_close(found.cpu(), wanted, atol=2e-3, rtol=2e-3)


def test_a_cpu_tensor_takes_the_exact_path() -> None:
    assert not fused_is_possible(torch.zeros(1, 1, 64))
