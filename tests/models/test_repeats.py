"""What came the last time behind the same tokens is guessed, more of it the more often it comes true."""

from models.inference import repeats
from models.inference.repeats import Repeats


def test_what_came_behind_the_same_three_tokens_is_guessed():
    found = Repeats([5, 6, 7, 8, 9, 5, 6, 7])
    assert found.guesses(2) == [8, 9]
    assert found.guesses(0) == []
    found.add([8], guessed=0)
    assert found.guesses(2) == [9, 5]  # behind 6 7 8
    found.add([4], guessed=0)
    assert found.guesses(2) == []
    assert Repeats([1, 2]).guesses(4) == Repeats([]).guesses(4) == []


def test_the_last_time_counts():
    assert Repeats([1, 2, 3, 4, 1, 2, 3, 5, 1, 2, 3]).guesses(1) == [5]


def test_a_circle_goes_on():
    assert Repeats([1, 2, 1, 2, 1, 2, 1]).guesses(4) == [2, 1, 2, 1]
    assert Repeats([9, 9, 9, 9]).guesses(3) == [9, 9, 9]


def test_more_is_guessed_where_it_came_true_and_less_where_not():
    found = Repeats([1, 2] * 50)
    assert len(found.guesses(100)) == repeats.FIRST
    for _ in range(4):
        own = found.guesses(100)
        found.add([*own, 1 if own[-1] == 2 else 2], guessed=len(own))
    assert len(found.guesses(100)) == repeats.MOST
    end = found._ids[-1]
    found.add([3 - end, 7], guessed=repeats.MOST)  # one came true
    found.add([1, 2, 1], guessed=0)
    assert len(found.guesses(100)) == 1
    found.add([8], guessed=1)
    found.add([1, 2, 1], guessed=0)
    assert len(found.guesses(100)) == 1
