"""Columns of K parts."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dadc_net.errors import CorruptStateError
from dadc_net.storage.parts import join, split


@given(st.lists(st.binary(max_size=9), min_size=1, max_size=6))
@settings(max_examples=300)
def test_parts_come_back(parts: list[bytes]) -> None:
    assert split(join(parts), len(parts)) == tuple(parts)


def test_equal_parts_cost_one_byte() -> None:
    assert len(join([b"abc"] * 100)) == 301
    assert join([b"", b""]) == b"\0"
    assert len(join([b"abc", b"ab"])) == 5 + 2 * 4 + 1


@pytest.mark.parametrize("column", [b"", b"\2", b"abc\0", b"\1", b"\0\0\0\1\0\0\0\1a\1", join([b"abc", b"ab"])[1:]])
def test_what_is_no_column_of_two_is_refused(column: bytes) -> None:
    with pytest.raises(CorruptStateError, match="are not those of 2 agents"):
        split(column, 2)
