"""The fused kernels in Triton's interpreter on a CPU, where Triton is installed."""

from tests.myopia.interpreted import needs_triton, says

PROGRAM = """
import torch
import myopia.columns_grouped as grouped
from myopia.columns import column_sums, row_lse
from myopia.columns_triton import column_sums_triton, row_lse_triton

for query_heads, heads, width, first, stored, every in (
    (4, 2, 64, 10, 150, 3), (4, 4, 80, 0, 130, 1), (2, 1, 128, 100, 141, 1),
):
    torch.manual_seed(0)
    rows = torch.arange(first, stored)[::every]
    query, key = torch.randn(query_heads, len(rows), width), torch.randn(heads, stored, width)
    weights = torch.rand(len(rows)) + 0.5
    wanted = column_sums(query, key, rows, weights, width**-0.5)
    found = column_sums_triton(query, key, rows, weights, width**-0.5, None)
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)
    wanted = row_lse(query, key, rows, width**-0.5)
    found = row_lse_triton(query, key, rows, width**-0.5)
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)

# Groups: each head's own weights, positions that repeat, and one dimension more.
query, key = torch.randn(4, 130, 32), torch.randn(2, 150, 32)
lse = row_lse(query, key, torch.arange(20, 150), 0.2)
given = query, key, lse, torch.rand(130).round(), 0.2, grouped.Grouping(32, 3)
wanted = grouped.grouped_sums(*given)
grouped.fused_is_possible = lambda query: True
torch.testing.assert_close(grouped.grouped_sums(*given), wanted, atol=1e-5, rtol=1e-5)
print("equal")
"""


@needs_triton
def test_the_kernels_equal_the_exact_sum_in_the_interpreter() -> None:
    assert says(PROGRAM) == "equal"
