"""Entity F1 and chunk F1 of 1,000,000 tokens given as lists, beside seqeval.

    python benchmarks/chunk_speed.py                     # needs `make bench-peers`
    python benchmarks/chunk_speed.py --metric chunk_f1 --tokens 200000

Sentences of 5 to 40 made-up tags, one prediction of ten redrawn; both sides get the same lists and give precision, recall and
F1 in one call, seqeval by precision_recall_fscore_support (f1_score of it takes as long for one of the three). Its warnings
about bare tags are turned off. CCONJ and X are left out of the parts of speech: of bare tags seqeval 1.2.2 reads the type from
the second letter on, so that it takes CCONJ and SCONJ for one type, and X and O.
"""

import random
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.pairs import Row, against, arguments, peer_python
from benchmarks.side import serve

TAGS = {
    "entity_f1": ["O"] * 8 + ["B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC"],
    "chunk_f1": [
        "ADJ",
        "ADP",
        "ADV",
        "AUX",
        "DET",
        "INTJ",
        "NOUN",
        "NUM",
        "PART",
        "PRON",
        "PROPN",
        "PUNCT",
        "SCONJ",
        "SYM",
        "VERB",
    ],
}


def made_up(tags: list[str], num_tokens: int) -> tuple[list[list[str]], list[list[str]]]:
    """Predictions and gold, the same in every process."""
    rng, predictions, golds, left = random.Random(0), [], [], num_tokens
    while left:
        size = min(rng.randint(5, 40), left)
        left -= size
        golds.append(rng.choices(tags, k=size))
        predictions.append([tag if rng.random() < 0.9 else rng.choice(tags) for tag in golds[-1]])
    return predictions, golds


def xlift(metric: str, num_tokens: int) -> None:
    """Our side."""
    from harness.api.registry import METRICS
    from harness.scoring.score import stats_of
    from harness.scoring.sums import ordered_total

    predictions, golds = made_up(TAGS[metric], num_tokens)
    module = METRICS.load(metric)
    serve(
        lambda: module.combine(ordered_total(stats_of(module, predictions, golds, lang="en"))),
        shown=lambda found: [float(found[key]) for key in ("precision", "recall", "f1")],
    )


def seqeval(metric: str, num_tokens: int) -> None:
    """The peer's side."""
    from seqeval.metrics import sequence_labeling

    sequence_labeling.warnings.warn = lambda *_, **__: None
    predictions, golds = made_up(TAGS[metric], num_tokens)
    serve(
        lambda: sequence_labeling.precision_recall_fscore_support(golds, predictions, average="micro"),
        shown=lambda found: [100 * float(value) for value in found[:3]],
    )


def same(ours: Any, theirs: Any) -> str:
    """Equal but for the last digit of a percentage: 100 * f1 is rounded once more."""
    if any(abs(a - b) > 1e-11 for a, b in zip(ours, theirs, strict=True)):
        raise SystemExit(f"results differ: {ours}, {theirs}")
    return f"F1 {ours[2]:.4f} on both sides"


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__)
    parser.add_argument("--metric", choices=list(TAGS), action="append")
    parser.add_argument("--tokens", type=int, default=1_000_000)
    args = parser.parse_args()
    metrics = args.metric or list(TAGS)
    if args.side:
        {"xlift": xlift, "seqeval": seqeval}[args.side](metrics[0], args.tokens)
        return
    for metric in metrics:
        part = f"{metric.replace('_f1', ' F1')} of {args.tokens:,} tokens given as lists"
        row = Row(name=metric, part=part, peer="seqeval 1.2.2", goal=20.0)
        words = ("--metric", metric, "--tokens", str(args.tokens))
        against(row, "seqeval", *words, python=peer_python(), agree=same, args=args)


if __name__ == "__main__":
    main()
