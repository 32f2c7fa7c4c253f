"""1,000 resamples of a mean over 10,000 rows, beside lm-eval's bootstrap.

    python benchmarks/bootstrap_speed.py                 # needs `make lm-eval`
    python benchmarks/bootstrap_speed.py --rows fractions

accuracy    rows that are right or wrong, as accuracies are: equal rows are drawn together
fractions   rows of which each has another value, as the F1 of answers: all are drawn one by one

xlift gives the value and the percentile interval, lm-eval (`bootstrap_stderr`, which takes one process for each block of 1,000
resamples) the standard error.  They agree if the interval is as wide as the standard error says.
"""

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.pairs import Row, against, arguments, peer_python
from benchmarks.side import serve

NUM_ROWS, RESAMPLES = 10_000, 1000
KINDS = ("accuracy", "fractions")


def values(kind: str) -> Any:
    """The rows."""
    import numpy as np

    drawn = np.random.default_rng(0).random(NUM_ROWS)
    return (drawn < 0.7).astype(np.float64) if kind == "accuracy" else drawn


def xlift(kind: str) -> None:
    """Our side."""
    import numpy as np

    from harness.api.registry import METRICS
    from harness.scoring.bootstrap import interval

    stats = np.stack([values(kind), np.ones(NUM_ROWS)], axis=1)
    combine = METRICS.load("accuracy").combine
    serve(
        lambda: interval(stats, combine, seed=0, samples=RESAMPLES)["accuracy"],
        shown=lambda found: (found.high - found.low) / 100 / (2 * 1.959964),
        times=100 if kind == "accuracy" else 1,
    )


def lm_eval(kind: str) -> None:
    """The peer's side."""
    from lm_eval.api.metrics import bootstrap_stderr, mean

    rows = values(kind).tolist()
    serve(lambda: bootstrap_stderr(mean, rows, RESAMPLES), shown=float)


def close(ours: float, theirs: float) -> str:
    """Two estimates of one standard error from 1,000 resamples each."""
    if abs(ours / theirs - 1) > 0.15:
        raise SystemExit(f"results differ: {ours}, {theirs}")
    return f"standard error {ours:.5f}, lm-eval {theirs:.5f}"


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__)
    parser.add_argument("--rows", choices=KINDS, action="append")
    args = parser.parse_args()
    kinds = args.rows or list(KINDS)
    if args.side:
        {"xlift": xlift, "lm-eval": lm_eval}[args.side](kinds[0])
        return
    for kind in kinds:
        what = "right or wrong" if kind == "accuracy" else "each of another value"
        part = f"{RESAMPLES:,} resamples of a mean over {NUM_ROWS:,} rows, {what}"
        row = Row(name=f"bootstrap_{kind}", part=part, peer="lm-eval 0.4.13 bootstrap_stderr", goal=1000.0)
        if kind == "fractions":
            row.note = "each of the ten million draws is made, in an order that boards depend on"
        against(row, "lm-eval", "--rows", kind, python=peer_python(".venv-lm-eval"), agree=close, args=args)


if __name__ == "__main__":
    main()
