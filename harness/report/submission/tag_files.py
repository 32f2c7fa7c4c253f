"""Files of a tag a line as numbers: a test set has millions of lines, of a few different texts.

sentences = read_sentences(path)
sentences.texts, sentences.numbers         # ('', 'DET', 'NOUN'), array([1, 2, 0, ...]): a blank line is number 0
sentences.tags                             # [['DET', 'NOUN'], ...]
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness.report.submission.files import lines_of, read_text

SHORT = 8
"Bytes that a line may have to be looked at as one number; the longest tag of XTREME has five."
SAMPLE = 4096
"Lines among which different ones are looked for first: mostly there are no others."
_MASKS = np.array([(1 << 8 * size) - 1 for size in range(SHORT + 1)], dtype=np.uint64)


@dataclass(frozen=True, kw_only=True)
class Sentences:
    """A file of tags.  Each blank line ends a sentence, so a second blank line makes an empty one, as in the script."""

    texts: tuple[str, ...]
    "The different lines, without the white space around them; the first is that of blank lines."
    numbers: np.ndarray
    "Line -> its number in `texts`; the last is 0, for the end of the file ends a sentence too."

    @property
    def ends(self) -> np.ndarray:
        """Line, from 0, that ends each sentence."""
        return np.flatnonzero(self.numbers == 0)

    @property
    def starts(self) -> np.ndarray:
        """Line, from 1, of each sentence's first tag."""
        return np.concatenate([[0], self.ends[:-1] + 1])[: len(self.ends)] + 1

    @property
    def lengths(self) -> np.ndarray:
        """Tags of each sentence."""
        return self.ends - self.starts + 1

    @property
    def empty_at(self) -> list[int]:
        """Lines, from 1, at which a blank line ends a sentence without a tag: the second of two, or one at the top."""
        return (self.ends[self.lengths == 0] + 1).tolist()

    @property
    def tags(self) -> list[list[str]]:
        """The sentences."""
        flat = [self.texts[number] for number in self.numbers.tolist()]
        return [flat[start - 1 : end] for start, end in zip(self.starts.tolist(), self.ends.tolist())]

    def numbered_by(self, texts: Sequence[str]) -> np.ndarray:
        """The same lines as numbers of other texts, which hold all of these."""
        places = {text: place for place, text in enumerate(texts)}
        return np.array([places[text] for text in self.texts])[self.numbers]


def read_sentences(path: Path) -> Sentences:
    """Read a file of tags; raises UserError for one that cannot be read."""
    text = read_text(path)
    distinct, found = _short_lines(text) or _any_lines(text)
    texts = tuple(dict.fromkeys(("", *(line.strip() for line in distinct))))
    places = {line: place for place, line in enumerate(texts)}
    numbers = np.array([places[line.strip()] for line in distinct], dtype=np.intp)[found]
    if len(numbers) and numbers[-1]:
        numbers = np.append(numbers, 0)
    return Sentences(texts=texts, numbers=numbers)


def _any_lines(text: str) -> tuple[list[str], np.ndarray]:
    """The different lines of a text, and the number of each line among them."""
    places: dict[str, int] = {}
    found = [places.setdefault(line, len(places)) for line in lines_of(text)]
    return list(places), np.array(found, dtype=np.intp)


def _short_lines(text: str) -> tuple[list[str], np.ndarray] | None:
    """The same by operations on arrays; None unless all lines are short and ASCII."""
    if not text or not text.isascii() or "\0" in text:
        return None
    data = text.encode("ascii") + (b"" if text.endswith("\n") else b"\n")
    ends = np.flatnonzero(np.frombuffer(data, dtype=np.uint8) == ord("\n"))
    starts = np.concatenate([[0], ends[:-1] + 1])
    lengths = ends - starts
    if lengths.max() > SHORT:
        return None
    windows = np.ndarray(len(data), dtype="<u8", buffer=data + bytes(SHORT), strides=(1,))
    words = windows[starts] & _MASKS[lengths]
    distinct = np.unique(words[:SAMPLE])
    found = _places(distinct, words)
    if not np.array_equal(distinct[found], words):
        distinct = np.unique(words)
        found = _places(distinct, words)
    return [word.to_bytes(SHORT, "little").rstrip(b"\0").decode("ascii") for word in distinct.tolist()], found


def _places(distinct: np.ndarray, words: np.ndarray) -> np.ndarray:
    return np.minimum(np.searchsorted(distinct, words), len(distinct) - 1)
