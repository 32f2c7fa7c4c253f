"""Texts made at random of what breaks tokenizers: nothing, white space, marks without a letter, letters of many scripts.

random_text(random.Random(0))
"""

NASTY = [
    "",
    " ",
    "\n",
    "\u200b",
    "\u200f",
    "\u0301",
    "\U0001f469\u200d\U0001f467",
    "\ufdfa",
    "<s>",
    "a\u00a0b",
    "\u0e01\u0e33",
    "the cat",
]


def random_text(rng, words=30):
    return " ".join(
        rng.choice([*NASTY, "cat", "word\u4e2d\u6587", "\u0643\u062a\u0628\u062a", "x" * 9]) for _ in range(rng.randrange(words))
    )
