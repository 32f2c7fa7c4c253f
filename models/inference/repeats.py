"""Guesses of what comes next in a text: what came the last time behind the tokens that it ends with (prompt lookup decoding).

    repeats = Repeats([5, 6, 7, 8, 9, 5, 6, 7])
    repeats.guesses(2)                  # [8, 9]
    repeats.add([8, 4], guessed=2)      # the first was right; less is guessed next time

A model's answers repeat passages that they were asked about, and those of small models go round in circles.  A guess costs a
token of a pass that is made anyway, and saves the pass that it came true in: a wrong one changes nothing but the time.
"""

from collections.abc import Sequence

LOOKED_UP = 3
"""Tokens that must be the same.  Twenty answers to XQuAD (SmolLM2-135M, 2,005 tokens, the longest 256) took 104 passes with
three, and 114 passes of more tokens with two."""
FIRST = 4
"Tokens that are guessed at first; twice as many when all of them came true, else as many as did."
MOST = 16


class Repeats:
    """The tokens of one text, by those before them."""

    def __init__(self, ids: Sequence[int]) -> None:
        """Takes the tokens that it begins with."""
        self._ids: list[int] = []
        self._behind: dict[tuple[int, ...], int] = {}  # where each three tokens ended the last time, but at the very end
        self._reach = FIRST
        self.add(ids, guessed=0)

    def add(self, tokens: Sequence[int], *, guessed: int) -> None:
        """Put tokens behind those that are there, all but the last of which came true of so many that were guessed."""
        for token in tokens:
            end = len(self._ids)
            if end >= LOOKED_UP:
                self._behind[tuple(self._ids[end - LOOKED_UP : end])] = end
            self._ids.append(token)
        if guessed:
            self._reach = min(MOST, 2 * self._reach) if len(tokens) > guessed else max(1, len(tokens) - 1)

    def guesses(self, most: int) -> list[int]:
        """At most so many tokens that may come next; where they go round in a circle, round and round."""
        begin = self._behind.get(tuple(self._ids[-LOOKED_UP:]))
        if begin is None:
            return []
        circle = self._ids[begin:]
        return [circle[n % len(circle)] for n in range(min(most, self._reach))]
