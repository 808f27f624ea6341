"""Laws of the dense numbers of names."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from core.frontend.dense_numbers import NAMELESS, number_names

GROUP_OF = np.array([0, 1, 2, NAMELESS], dtype=np.uint8)
ROWS = some.lists(some.tuples(some.integers(0, 3), some.integers(0, 40)), max_size=60)


@pytest.mark.parametrize("far", [0, (1 << 63) - 41], ids=["by a table", "by sorting"])
@given(rows=ROWS)
def test_numbers_are_dense_ascending_and_a_group_after_the_other(
    far: int, rows: list[tuple[int, int]]
) -> None:
    kind = np.array([kind for kind, _ in rows], dtype=np.uint8)
    name = np.array([name + far for _, name in rows], dtype=np.int64)
    number, names = number_names(kind, GROUP_OF, name, 3)
    expected = [sorted({other + far for k, other in rows if k == group}) for group in range(3)]
    assert [column.tolist() for column in names] == expected
    pairs = [(group, other) for group in range(3) for other in expected[group]]
    places = {pair: at for at, pair in enumerate(pairs)}
    assert number.tolist() == [places.get((k, other + far), 0) for k, other in rows]
