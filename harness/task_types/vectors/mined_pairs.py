"""From mined pairs of vectors to pairs of sentences: which candidates there are, which are accepted, and in which runs they lie.

found = [candidates_of(example, vectors) for example, vectors in ...]
rule, accepted = accept_pairs(examples, found, rule="auto")
runs_of(examples[0], found[0].only(accepted[0]), truncated)
"""

import hashlib
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from harness.api.errors import UserError
from harness.task_types.vectors.corpora import Example, distinct
from harness.task_types.vectors.margin import best_threshold, mine

_HALF_KEY = "bitext mining half"


class CandidatePairs(NamedTuple):
    """Mined pairs of sentences, best first."""

    lines: list[str]
    "`id TAB id`"
    places: np.ndarray
    "int64 [n], place of the source among the sentences."
    scores: np.ndarray
    "float64 [n]"
    correct: np.ndarray
    "bool [n], whether the pair is gold."

    def only(self, chosen: np.ndarray) -> "CandidatePairs":
        """The candidates of a mask [n]."""
        lines = [line for line, keep in zip(self.lines, chosen.tolist()) if keep]
        return CandidatePairs(lines, self.places[chosen], self.scores[chosen], self.correct[chosen])


class AcceptedPairs(NamedTuple):
    """The candidates that are taken for translations, and the rule that chose the threshold."""

    rule: str
    "dev | split_half | oracle"
    masks: list[np.ndarray]
    "bool [n] for each example"


class SentenceRun(NamedTuple):
    """Source sentences up to one with gold."""

    id: str
    pairs: list[str]
    gold: list[str]
    num_truncated: int


def candidates_of(example: Example, vectors: np.ndarray) -> CandidatePairs:
    """Mine the vectors [N + M, D] of the distinct sentences; pairs with a sentence that occurs twice are dropped afterwards."""
    num_sources = len(distinct(example.sources))
    found = mine(vectors[:num_sources], vectors[num_sources:])
    left, right = _places(example.sources)[found.sources], _places(example.targets)[found.targets]
    kept = (left >= 0) & (right >= 0)
    left, right = left[kept], right[kept]
    lines = [f"{example.source_ids[i]}\t{example.target_ids[j]}" for i, j in zip(left.tolist(), right.tolist())]
    gold = frozenset(example.gold)
    return CandidatePairs(lines, left, found.scores[kept], np.array([line in gold for line in lines], dtype=bool))


def _places(texts: Sequence[str]) -> np.ndarray:
    """For each distinct text its place, or -1 if it occurs again, but for white space around it (XTREME's read_sent2id)."""
    counts = Counter(text.strip() for text in texts)
    places: dict[str, int] = {}
    for place, text in enumerate(texts):
        places.setdefault(text, place)
    return np.array([place if counts[text.strip()] == 1 else -1 for text, place in places.items()], dtype=np.int64)


def accept_pairs(examples: Sequence[Example], found: Sequence[CandidatePairs], *, rule: str) -> AcceptedPairs:
    """Choose thresholds by a rule (auto = dev where an example calibrates, else split_half) and apply them with >=."""
    dev = [number for number, example in enumerate(examples) if example.calibrates]
    if rule == "auto":
        rule = "dev" if dev else "split_half"
    if rule == "dev" and not dev:
        raise no_dev_corpus("no_dev_corpus")
    parts = range(len(examples)) if rule != "dev" else dev
    if rule != "split_half":
        threshold = _threshold([found[n] for n in parts], sum(len(examples[n].gold) for n in parts))
        return AcceptedPairs(rule, [one.scores >= threshold for one in found])
    halves = [_hash_halves([example.sources[place] for place in one.places.tolist()]) for example, one in zip(examples, found)]
    gold = [_hash_halves(_gold_sources(example)) for example in examples]
    thresholds = np.zeros(2)
    for half in (0, 1):
        others = [one.only(own != half) for one, own in zip(found, halves)]
        thresholds[half] = _threshold(others, sum(int((own != half).sum()) for own in gold))
    return AcceptedPairs(rule, [one.scores >= thresholds[own] for one, own in zip(found, halves)])


def no_dev_corpus(why: str) -> UserError:
    """What to say where the option `threshold: dev` cannot be followed."""
    todo = "give the task's data.validation a corpus of its own, or take `threshold: split_half` or `threshold: oracle`"
    return UserError("no development corpus for the threshold", where="option threshold: dev", found=why, todo=todo)


def _threshold(found: Sequence[CandidatePairs], num_gold: int) -> float:
    """The best threshold of several sets of candidates together."""
    scores = np.concatenate([one.scores for one in found])
    order = np.argsort(-scores, kind="stable")
    return best_threshold(scores[order], np.concatenate([one.correct for one in found])[order], num_gold=num_gold)


def _hash_halves(texts: Sequence[str]) -> np.ndarray:
    """0 or 1 for each text, by its hash."""
    digests = (hashlib.blake2b(f"{_HALF_KEY}\0{text.strip()}".encode("utf-8", "surrogatepass"), digest_size=1) for text in texts)
    return np.array([digest.digest()[0] & 1 for digest in digests], dtype=np.int64)


def _gold_sources(example: Example) -> list[str]:
    """The source text of each gold pair."""
    texts = dict(zip(example.source_ids, example.sources))
    return [texts[line.split("\t")[0]] for line in example.gold]


def runs_of(example: Example, accepted: CandidatePairs, truncated: Sequence[int]) -> list[SentenceRun]:
    """The sentences cut after each source that has gold, the rest with the last run; all are one run where there is no gold.

    `truncated` counts tokens by distinct sentence, sources first.  Targets belong to no run: those cut are spread by their place.
    """
    wanted: dict[str, list[str]] = {}
    for line in example.gold:
        wanted.setdefault(line.split("\t")[0], []).append(line)
    ends = [place for place, id_ in enumerate(example.source_ids) if id_ in wanted] or [len(example.sources) - 1]
    pairs: list[list[str]] = [[] for _ in ends]
    for run, line in zip(_run(accepted.places, ends), accepted.lines):
        pairs[run].append(line)
    first = {text: place for place, text in reversed(list(enumerate(example.sources)))}
    places = np.array([first[text] for text in distinct(example.sources)])
    num_targets = len(truncated) - len(places)
    runs = np.concatenate([_run(places, ends), np.arange(num_targets) * len(ends) // max(1, num_targets)])
    tokens = np.bincount(runs, weights=truncated, minlength=len(ends))
    return [
        SentenceRun(example.source_ids[end] if wanted else example.id, own, wanted.get(example.source_ids[end], []), int(cut))
        for end, own, cut in zip(ends, pairs, tokens)
    ]


def _run(places: np.ndarray, ends: Sequence[int]) -> np.ndarray:
    """The run that each place lies in."""
    return np.minimum(np.searchsorted(np.array(ends), places), len(ends) - 1)
