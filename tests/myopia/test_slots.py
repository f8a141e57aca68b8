"""Slots hold what was put in them, give all of it back, and move rows without harm."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from myopia.extents import Extents
from myopia.lru import ByteLru
from myopia.pruning import Survivors
from myopia.slots import WIDTH_STEP, Place, Slots, stored_width

HEADS, WIDTH = 2, 4


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(-5, 12), max_size=40))
def test_extents_never_overlap(moves: list[int]) -> None:
    """Positive numbers take so many cells; others give back one of the held stretches."""
    extents = Extents(30)
    for move in moves:
        if move > 0:
            free_before = extents.free
            start = extents.take(move)
            if start is None:
                assert all(room < move for _, room, _ in extents._gaps(move))
            else:
                assert extents.free == free_before - move
        elif extents.held:
            extents.give(sorted(extents.held)[move % len(extents.held)])
        taken = [c for start, size in extents.held.items() for c in range(start, start + size)]
        assert len(taken) == len(set(taken)) <= 30
        assert all(0 <= cell < 30 for cell in taken)
    extents.pack()
    assert extents.free == 30 - sum(extents.held.values())
    assert extents.take(max(extents.free, 1)) is not None or extents.free == 0


def test_likes_lie_together() -> None:
    extents = Extents(100)
    assert [extents.take(10), extents.take(20), extents.take(10), extents.take(20)] == [
        0,
        10,
        30,
        40,
    ]
    extents.give(10)
    assert extents.take(20) == 60, "behind a stretch of its size, not into the first gap"
    assert extents.take(10) == 10


def survivors(kept: list[int], seed: int, biased: bool = False) -> list[Survivors]:
    random = torch.Generator().manual_seed(seed)
    return [
        Survivors(
            torch.randn(HEADS, count, WIDTH, generator=random),
            torch.randn(HEADS, count, WIDTH, generator=random),
            torch.rand(HEADS, count, generator=random) if biased else None,
            torch.arange(count)[None],
            0,
        )
        for count in kept
    ]


def make_slots(cells: int) -> Slots:
    return Slots(cells, heads=HEADS, width=WIDTH, dtype=torch.float32, device=torch.device("cpu"))


def assert_holds(slots: Slots, place: Place, kept: list[Survivors]) -> None:
    for index, layer in enumerate(kept):
        keys, values, bias = (one[0] for one in slots.layers_of([place], index))
        count = layer.keys.shape[1]
        assert torch.equal(keys[:, :count], layer.keys)
        assert torch.equal(values[:, :count], layer.values)
        expected = layer.bias if layer.bias is not None else torch.zeros(HEADS, count)
        assert torch.equal(bias[:, 0, :count], expected)
        assert (bias[:, 0, count:] == slots.hidden).all()
        assert not keys[:, count:].any()
        assert not values[:, count:].any()


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.lists(st.integers(0, 70), min_size=2, max_size=2), st.integers(0, 6)),
        max_size=14,
    )
)
def test_rows_keep_their_contents_whatever_comes_and_goes(
    moves: list[tuple[list[int], int]],
) -> None:
    slots = make_slots(600)
    held: list[tuple[Place, list[Survivors]]] = []
    for number, (kept, leaves) in enumerate(moves):
        row = survivors(kept, number, biased=bool(number % 2))
        place = slots.place(row, room=3)
        needed = sum(stored_width(count, 3) for count in kept)
        assert (place is None) == (needed > 600 - sum(one.cells for one, _ in held))
        if place is not None:
            held.append((place, row))
        if leaves < len(held):
            slots.release(held.pop(leaves)[0])
        for one, contents in held:
            assert_holds(slots, one, contents)
    for one, _ in held:
        slots.release(one)
    assert slots.extents.free == 600
    assert slots.places == {}


def test_poison_does_not_outlive_its_row() -> None:
    slots = make_slots(2 * WIDTH_STEP)
    poisoned = survivors([20, 20], 0)
    for layer in poisoned:
        layer.keys.fill_(torch.nan)
        layer.values.fill_(torch.nan)
    place = slots.place(poisoned, 1)
    assert place is not None
    slots.release(place)
    clean = survivors([5, 5], 1)
    place = slots.place(clean, 1)
    assert place is not None
    assert_holds(slots, place, clean)


def test_bytes_are_arithmetic() -> None:
    slots = make_slots(64)
    assert slots.cell_bytes * (64 + 1) == sum(  # and one that is nobody's
        block.numel() * block.element_size() for block in (slots.keys, slots.values)
    )


def test_least_recently_used_goes_first() -> None:
    cache: ByteLru[str, int] = ByteLru(10)
    cache.put("a", 1, 4)
    cache.put("b", 2, 4)
    assert cache.get("a") == 1
    cache.put("c", 3, 4)
    assert "b" not in cache
    assert cache.get("b") is None
    cache.put("a", 5, 8)
    assert (cache.get("a"), len(cache), cache.held_bytes) == (5, 1, 8)
    cache.put("huge", 9, 11)
    assert "huge" not in cache
    assert (cache.hits, cache.misses) == (2, 1)
    with pytest.raises(KeyError):
        Extents(5).give(0)
