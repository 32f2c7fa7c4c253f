"""Small pairs of collections for mining, made by integer arithmetic: sentences, their vectors and what translates what.

corpus("distractors", pairs=20, alone=30)     # .sources [[id, text], ...], .targets, .gold ["id TAB id", ...], .vectors
"""

import hashlib
from dataclasses import dataclass

import numpy as np

SIZE = 16


def digits(*names: object) -> np.ndarray:
    """Whole numbers [16] from -128 to 127 that depend on the names alone."""
    digest = hashlib.sha256("\x1f".join(map(str, names)).encode()).digest()
    return np.frombuffer(digest[:SIZE], dtype=np.uint8).astype(np.int64) - 128


@dataclass(frozen=True)
class Corpus:
    """Two collections."""

    sources: list[list[str]]
    targets: list[list[str]]
    gold: list[str]
    vectors: dict[str, np.ndarray]
    "float32 [16] of each text; a source and a target are never the same text."

    def of(self, side: list[list[str]]) -> np.ndarray:
        """Vectors of the lines of a side."""
        return np.stack([self.vectors[text] for _, text in side])


def corpus(name: str, *, pairs: int, alone: int, likeness: int = 3, repeats: bool = False) -> Corpus:
    """`pairs` translations (likeness 0: like any others) and `alone` sentences a side, a third of which resemble a pair.

    repeats: texts that come twice, with the same white space around them or with other, gold ones among them.
    """
    vectors: dict[str, np.ndarray] = {}
    sources, targets, gold = [], [], []
    for n in range(pairs):
        common = likeness * digits(name, "pair", n)
        for side, texts in (("s", sources), ("t", targets)):
            texts.append(f"{side} {name} pair {n}")
            vectors[texts[-1]] = common + digits(name, side, n)
        gold.append((sources[-1], targets[-1]))
    for n in range(alone):
        for side, texts in (("s", sources), ("t", targets)):
            texts.append(f"{side} {name} alone {n}")
            vectors[texts[-1]] = 2 * digits(name, side, "alone", n)
            if n % 3 == 0:
                vectors[texts[-1]] += likeness * digits(name, "pair", n // 3)
    sources.sort(key=lambda text: hashlib.sha256(text.encode()).digest())
    targets.sort(key=lambda text: hashlib.sha256(text.encode()).digest())
    first = {text: number for side in (sources, targets) for number, text in reversed(list(enumerate(side, start=1)))}
    if repeats:
        sources += [gold[0][0], gold[1][0] + " ", f"s {name} alone 1", f"s {name} alone 1"]
        targets += [gold[2][1], f"t {name} alone 0", " " + gold[3][1]]
        vectors |= {text: vectors[text.strip()] + digits(text) for text in (gold[1][0] + " ", " " + gold[3][1])}
    return Corpus(
        sources=[[f"xx-{n:09d}", text] for n, text in enumerate(sources, start=1)],
        targets=[[f"en-{n:09d}", text] for n, text in enumerate(targets, start=1)],
        gold=[f"xx-{first[source]:09d}\ten-{first[target]:09d}" for source, target in gold],
        vectors={text: vector.astype(np.float32) for text, vector in vectors.items()},
    )
