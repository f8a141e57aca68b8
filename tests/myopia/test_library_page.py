"""The page about the library is run as it stands."""

import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "library.md"


def test_the_code_on_the_page_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S)
    assert len(blocks) == 4
    names: dict[str, Any] = {}
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), names)
    assert names["answer"][0]
    assert names["more"].shape[1] > names["again"].shape[1]
    assert len(names["told"]["images"]) == 3


def test_the_table_of_policies_is_whole() -> None:
    from myopia import POLICIES

    text = PAGE.read_text(encoding="utf-8")
    table = text[text.index("## Policies") : text.index("## Myopia's knobs")]
    assert set(re.findall(r"`([a-z0-9-]+)`", table)) >= set(POLICIES)
    for name, policy in POLICIES.items():
        line = next(row for row in table.splitlines() if f"`{name}`" in row and row[0] == "|")
        assert ("yes" in line) == ("head_mode" in policy.knobs), name


def test_the_package_exports_what_it_says() -> None:
    import myopia

    for name in myopia.__all__:
        assert getattr(myopia, name) is not None
    with pytest.raises(AttributeError):
        _ = myopia.Nothing
