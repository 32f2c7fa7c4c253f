"""Which part of a table of words a training trains: the rows of the words that its rows have, where that is a small part.

    takes_part(vocabulary=250_037, width=384, used=13_000)       # True

A multilingual table has 250,000 rows or more, of which English data look up a tenth.  The other rows have no gradient and no
moments: AdamW does nothing to them but decay them.  The planner and the training ask the same question here.
"""

SMALLEST = 1 << 22
"Numbers of a table from which it is worth it: below, its gradients and moments cost little."
MOST = 0.5
"Share of its rows that may be used: above, little is left out."


def takes_part(*, vocabulary: int, width: int, used: float) -> bool:
    """Whether a training on rows with `used` different words, in one process, trains these rows of the table only."""
    return vocabulary * width >= SMALLEST and used <= MOST * vocabulary
