"""Values held as bytes come back as they were."""

import dataclasses

import numpy as np
import pytest

from harness.api.packed import Packed, gathered
from harness.task_types.classification import Example

VALUES = [
    {"a": 1, "b": [True, None, 1.5, "\ud800"], "c": ("x", b"y")},
    "text",
    (1, "two"),
    [],
    None,
    1,
    True,
    1.0,
    float("inf"),
    2**80,
    Example(id="1", lang="de", text="x", text_pair=None, gold="y"),
]


def test_what_comes_back_is_equal_and_of_the_same_type():
    packed = Packed(VALUES)
    assert list(packed) == [packed[number] for number in range(len(VALUES))] == packed[:] == VALUES
    assert [type(value) for value in packed] == [type(value) for value in VALUES]
    assert packed[-1] == VALUES[-1]
    assert packed[2:5] == VALUES[2:5]
    assert packed == VALUES
    assert packed != VALUES[:-1]
    with pytest.raises(IndexError):
        packed[len(VALUES)]


def test_arrays_stay_arrays():
    (found,) = Packed([{"a": np.float64(2.5), "b": np.arange(3)}])
    assert type(found["a"]) is np.float64
    assert found["b"].tolist() == [0, 1, 2]


def test_few_are_a_list_and_many_are_packed():
    items = [{"n": number} for number in range(25)]
    assert type(gathered(iter(items), most=25)) is list
    packed = gathered(iter(items), most=7)
    assert isinstance(packed, Packed)
    assert packed == items


def test_classes_with_defaults_and_one_field_are_made_again():
    @dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
    class Alone:
        only: tuple[int, ...] = ()

    assert list(Packed([Alone(), Alone(only=(1, 2))])) == [Alone(), Alone(only=(1, 2))]
