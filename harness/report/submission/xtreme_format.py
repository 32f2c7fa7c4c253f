"""The nine tasks of XTREME as its evaluate script knows them: languages, files, what stands in them and how they are scored.

TASKS["xquad"].file(Path("predictions"), "de")      # predictions/xquad/test-de.json
CATEGORIES["qa"]                                    # ('xquad', 'mlqa', 'tydiqa')

Facts of google-research/xtreme 838c13b (evaluate.py, README.md, utils_preprocess.py), kept apart from the task files: a language
more in a task file must not change an official score.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Literal

Kind = Literal["labels", "positions", "tags", "answers", "pairs"]


@dataclass(frozen=True, kw_only=True, slots=True)
class OfficialTask:
    """One task of the benchmark."""

    name: str
    "Name of its folder."
    kind: Kind
    """What a file holds.  A line each: `labels` a label, `positions` the line number (from 0) of a foreign sentence, `pairs`
    `<foreign id> TAB <English id>`, `tags` a tag, with a blank line between sentences.  `answers`: JSON {question id: text}."""
    metric: str
    "Module of harness/scoring/metrics whose arithmetic is that of the script."
    score: tuple[str, ...]
    "Keys of the metric whose mean is the task's number (avg_metric)."
    languages: tuple[str, ...]
    "All of them, in the order in which the script adds them up."
    values: tuple[str, ...] = ()
    "Labels or tags that the official files hold; empty where they are free."
    num_rows: Mapping[str, int] = field(default_factory=dict)
    "Language -> lines, sentences, questions or gold pairs of the official test set, where that is known."
    sources: tuple[str, ...] = ()
    "Tasks of this project that fill the folder, the faithful one first; by default the one of the same name."

    @property
    def suffix(self) -> str:
        """Ending of the file names."""
        return "json" if self.kind == "answers" else "tsv"

    def file(self, root: Path, lang: str) -> Path:
        """The file of a language below the root of a submission or label folder."""
        return root / self.name / f"test-{lang}.{self.suffix}"


def _languages(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def _rows(languages: tuple[str, ...], usual: int, **others: int) -> Mapping[str, int]:
    return MappingProxyType({lang: others.get(lang, usual) for lang in languages})


_XNLI = _languages("ar bg de el en es fr hi ru sw th tr ur vi zh")
_PAWSX = _languages("de en es fr ja ko zh")
_UDPOS = _languages("af ar bg de el en es et eu fa fi fr he hi hu id it ja kk ko mr nl pt ru ta te th tl tr ur vi yo zh")
_PANX = _languages(
    "ar he vi id jv ms tl eu ml ta te af nl en de el bn hi mr ur fa fr it pt es bg ru ja ka ko th sw yo my zh kk tr et fi hu"
)
_TATOEBA = tuple(lang for lang in _PANX if lang not in ("ms", "en", "yo", "my"))
_PANX_ROWS = {
    **dict.fromkeys(("af", "bn", "hi", "kk", "ml", "mr", "ms", "sw", "ta", "te", "tl", "ur"), 1_000),
    **dict.fromkeys(("jv", "my", "yo"), 100),
}
_TATOEBA_ROWS = {"jv": 205, "te": 234, "ta": 307, "sw": 390, "th": 548, "kk": 575, "ml": 687, "ka": 746}
_UDPOS_ROWS = {
    **{"af": 425, "ar": 1_680, "bg": 1_116, "el": 456, "en": 5_440, "es": 3_147, "eu": 1_799, "he": 491, "hi": 2_684, "hu": 449},
    **{"kk": 1_047, "ko": 4_276, "mr": 47, "nl": 1_471, "te": 146, "th": 1_000, "ur": 535, "vi": 800, "zh": 3_455},
}
_XQUAD = _languages("en es de el ru tr ar vi th zh hi")
_MLQA_ROWS = {"en": 11_590, "es": 5_253, "de": 4_517, "ar": 5_335, "hi": 4_918, "vi": 5_495, "zh": 5_137}
_TYDIQA_ROWS = {"en": 440, "ar": 921, "bn": 113, "fi": 782, "id": 565, "ko": 276, "ru": 812, "sw": 499, "te": 669}
_UPOS = _languages("ADJ ADP ADV AUX CCONJ DET INTJ NOUN NUM PART PRON PROPN PUNCT SCONJ SYM VERB X")
_ENTITIES = _languages("O B-PER I-PER B-ORG I-ORG B-LOC I-LOC")
_QA = ("exact_match", "f1")

_ALL = (
    OfficialTask(
        name="pawsx",
        kind="labels",
        metric="accuracy",
        score=("accuracy",),
        languages=_PAWSX,
        values=("0", "1"),
        num_rows=_rows(_PAWSX, 2_000),
        sources=("pawsx", "pawsx_xtreme"),
    ),
    OfficialTask(
        name="xnli",
        kind="labels",
        metric="accuracy",
        score=("accuracy",),
        languages=_XNLI,
        values=("contradiction", "entailment", "neutral"),
        num_rows=_rows(_XNLI, 5_010),
    ),
    OfficialTask(
        name="panx",
        kind="tags",
        metric="chunk_f1",
        score=("f1",),
        languages=_PANX,
        values=_ENTITIES,
        num_rows=_rows(_PANX, 10_000, **_PANX_ROWS),
    ),
    OfficialTask(
        name="udpos",
        kind="tags",
        metric="chunk_f1",
        score=("f1",),
        languages=_UDPOS,
        values=_UPOS,
        num_rows=MappingProxyType(_UDPOS_ROWS),
        sources=("udpos", "udpos_hub"),
    ),
    OfficialTask(
        name="bucc2018",
        kind="pairs",
        metric="mined_pairs",
        score=("f1",),
        languages=("de", "fr", "ru", "zh"),
        num_rows=MappingProxyType({"de": 9_580, "fr": 9_086, "ru": 14_435, "zh": 1_899}),
    ),
    OfficialTask(
        name="tatoeba",
        kind="positions",
        metric="accuracy",
        score=("accuracy",),
        languages=_TATOEBA,
        num_rows=_rows(_TATOEBA, 1_000, **_TATOEBA_ROWS),
    ),
    OfficialTask(name="xquad", kind="answers", metric="squad", score=_QA, languages=_XQUAD, num_rows=_rows(_XQUAD, 1_190)),
    OfficialTask(
        name="mlqa",
        kind="answers",
        metric="mlqa",
        score=_QA,
        languages=tuple(_MLQA_ROWS),
        num_rows=MappingProxyType(_MLQA_ROWS),
    ),
    OfficialTask(
        name="tydiqa",
        kind="answers",
        metric="squad",
        score=_QA,
        languages=tuple(_TYDIQA_ROWS),
        num_rows=MappingProxyType(_TYDIQA_ROWS),
    ),
)

TASKS: Mapping[str, OfficialTask] = MappingProxyType({task.name: task for task in _ALL})
"By name, in the script's order."
CATEGORIES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "classification": ("pawsx", "xnli"),
        "tagging": ("udpos", "panx"),
        "qa": ("xquad", "mlqa", "tydiqa"),
        "retrieval": ("bucc2018", "tatoeba"),
    }
)
"The columns of the public leaderboard; the overall number is the mean of the nine tasks, not of these."
