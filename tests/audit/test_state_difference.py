"""Two states side by side: the first differing value is found, and equal states have none."""

from __future__ import annotations

import numpy as np

from dadc_net.audit.state_difference import differences


def test_equal_states_do_not_differ_and_a_bit_does() -> None:
    state = {"w": np.arange(6.0).reshape(2, 3), "n": np.array([3]), "nan": np.array([np.nan, 1.0])}
    same = {name: array.copy() for name, array in state.items()}
    assert differences(state, same) == []
    same["w"].view(np.uint64)[1, 2] ^= np.uint64(1)
    same["n"][0] = 4
    weight, count = differences(state, same)
    assert (weight.name, weight.index, weight.differing, weight.values) == ("w", [1, 2], 1, 6)
    assert weight.left.startswith("5.0 (0x1.4")
    assert weight.left != weight.right
    assert (count.left, count.right) == ("3", "4")
    assert "w[1, 2]" in weight.text()


def test_signs_of_zero_shapes_and_missing_tensors_are_differences() -> None:
    zero = differences({"z": np.array(0.0)}, {"z": np.array(-0.0)})
    assert [(one.index, one.left[:4], one.right[:4]) for one in zero] == [([], "0.0 ", "-0.0")]
    left, right = {"a": np.zeros(3), "b": np.zeros(2)}, {"a": np.zeros((3, 1)), "c": np.zeros(1, dtype=np.int64)}
    found = {one.name: (one.left, one.right) for one in differences(left, right)}
    assert found == {
        "a": ("float64 [3]", "float64 [3, 1]"),
        "b": ("float64 [2]", "missing"),
        "c": ("missing", "int64 [1]"),
    }
