"""Features and answers of 10,000 questions, beside squad_convert_examples_to_features and compute_predictions_logits.

    python benchmarks/span_speed.py --model FOLDER --hub ../shared/hub            # needs `make bench-peers`

Those two are transformers' (4.x). XQuAD in nine languages, with the tokenizer of FOLDER; logits are drawn beforehand, with a
peak at the gold answer, so that no model is needed. Each side makes its features (384 tokens, stride 128, questions of 64),
then chooses the answers (20 best, at most 30 tokens) and writes them to a JSON file. run_squad takes the slow tokenizer, as it
must: its code cannot call the fast one.

They agree on a question if both give the same text but for the rest of a word: run_squad goes back from tokens to whole words
between white space, we cut the text at characters.  Only questions whose windows hold the same tokens are compared: run_squad
encodes word by word.
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.pairs import Row, against, arguments, peer_python
from benchmarks.side import serve

LANGUAGES = ("en", "de", "es", "ru", "el", "vi", "tr", "ar", "hi")
LENGTH, STRIDE, QUESTION, ANSWER, BEST = 384, 128, 64, 30, 20
ALIKE = 0.98
"Of the questions that are compared, those that must have the same answer."


def rows_of(hub: Path, num: int) -> list[dict[str, Any]]:
    """Questions of all languages in turn, each language's in order."""
    import pyarrow.parquet as pq

    share = -(-num // len(LANGUAGES))
    rows: list[dict[str, Any]] = []
    for lang in LANGUAGES:
        table = pq.read_table(hub / "google/xtreme" / f"XQuAD.{lang}" / "validation-00000-of-00001.parquet").to_pylist()
        for row in table[:share]:
            texts, starts = row["answers"]["text"], row["answers"]["answer_start"]
            own = {"id": f"{lang} {row['id']}", "lang": lang, "question": row["question"], "context": row["context"]}
            rows.append({**own, "answer_texts": list(texts), "answer_starts": [int(start) for start in starts]})
    return rows[:num]


def xlift(folder: Path, model: str) -> None:
    """Our side; before it is ready it writes the token ids of the windows, from which the peer takes its logits."""
    import numpy as np
    from transformers import AutoTokenizer

    from harness.specs.task import TaskSpec
    from harness.task_types import span_qa

    tokenizer = AutoTokenizer.from_pretrained(model)
    task = TaskSpec(task="t", type="span_qa", description="d", fields={name: name for name in span_qa.FIELDS})
    options = span_qa.Options(
        max_length=LENGTH, doc_stride=STRIDE, max_query_length=QUESTION, max_answer_length=ANSWER, n_best=BEST
    )
    examples: list[Any] = [
        span_qa.build(row, task=task, lang=row["lang"], row_id=row["id"])
        for row in json.loads((folder / "rows.json").read_text())
    ]

    def encoded() -> list[Any]:
        return span_qa.encode(examples, task=task, tokenizer=tokenizer, options=options, train=False)

    rng, logits = np.random.default_rng(0), []
    for feature in encoded():
        logits.append(rng.standard_normal((len(feature.input_ids), 2), dtype=np.float32))
        if isinstance(feature.labels, tuple) and feature.labels != (0, 0):
            for side, at in enumerate(feature.labels):
                logits[-1][at, side] += 6
    np.savez(folder / "logits.npz", ids=np.concatenate([f.input_ids for f in encoded()]), logits=np.concatenate(logits),
             example=[f.example for f in encoded()], length=[len(f.input_ids) for f in encoded()])  # fmt: skip

    def work() -> dict[str, Any]:
        features = encoded()
        partials = [span_qa.reduce(f, o, task=task, options=options) for f, o in zip(features, logits, strict=True)]
        found = span_qa.decode(examples, features, partials, task=task, options=options)
        answers = {one.id: one.prediction for one in found}
        (folder / "ours.json").write_text(json.dumps(answers), encoding="utf-8")
        return {"features": len(features)}

    serve(work, shown=lambda found: found)


def run_squad(folder: Path, model: str) -> None:
    """The peer's side."""
    import numpy as np
    from transformers import AutoTokenizer
    from transformers.data.metrics.squad_metrics import compute_predictions_logits
    from transformers.data.processors import squad
    from transformers.data.processors.squad import SquadExample, SquadResult, squad_convert_examples_to_features

    squad.MULTI_SEP_TOKENS_TOKENIZERS_SET.add("xlmroberta")  # it has two separators; without this, answers are a token off
    tokenizer = AutoTokenizer.from_pretrained(model, use_fast=False)
    rows = json.loads((folder / "rows.json").read_text())
    examples = [
        SquadExample(row["id"], row["question"], row["context"], row["answer_texts"][0], row["answer_starts"][0], "",
                     answers=[{"text": t, "answer_start": s} for t, s in zip(row["answer_texts"], row["answer_starts"])])
        for row in rows
    ]  # fmt: skip
    with np.load(folder / "logits.npz") as file:  # an array is read anew whenever it is asked for
        known = dict(file)
    ends = np.cumsum(known["length"])
    windows: dict[int, list[tuple[list[int], Any]]] = {}
    for number, begin, end in zip(known["example"].tolist(), ends - known["length"], ends):
        windows.setdefault(number, []).append((known["ids"][begin:end].tolist(), known["logits"][begin:end]))

    def encoded() -> list[Any]:
        return squad_convert_examples_to_features(
            examples, tokenizer, LENGTH, STRIDE, QUESTION, is_training=False, threads=1, tqdm_enabled=False
        )

    results: list[Any] = []
    seen, alike = dict.fromkeys(range(len(rows)), 0), set(range(len(rows)))
    for feature in encoded():
        number = feature.example_index
        own = windows[number][seen[number] :][:1]
        seen[number] += 1
        ids = [token for token, real in zip(feature.input_ids, feature.attention_mask) if real]
        logits = np.zeros((LENGTH, 2), dtype=np.float32) - 10
        if own and own[0][0] == ids:
            logits[: len(ids)] = own[0][1]
        else:
            alike.discard(number)
        results.append(SquadResult(feature.unique_id, logits[:, 0].tolist(), logits[:, 1].tolist()))
    alike = {number for number in alike if seen[number] == len(windows[number])}

    def work() -> dict[str, Any]:
        names = [str(folder / name) for name in ("theirs.json", "nbest.json", "odds.json")]
        found = encoded()
        for feature, result in zip(found, results, strict=True):
            result.unique_id = feature.unique_id
        compute_predictions_logits(examples, found, results, BEST, ANSWER, False, *names, False, False, 0.0, tokenizer)
        return {"features": len(found), "alike": sorted(rows[number]["id"] for number in alike)}

    serve(work, shown=lambda found: found)


def agreement(folder: Path) -> Any:
    """What compares the two files of answers."""
    rows = {row["id"]: row for row in json.loads((folder / "rows.json").read_text())}

    def agree(ours: dict[str, Any], theirs: dict[str, Any]) -> str:
        mine, other = (json.loads((folder / name).read_text(encoding="utf-8")) for name in ("ours.json", "theirs.json"))
        compared = theirs["alike"]
        same = sum(_alike(mine[one], other[one], rows[one]["context"]) for one in compared)
        if len(compared) < len(rows) / 2 or same < ALIKE * len(compared):
            raise SystemExit(f"results differ: {same} answers of {len(compared)} are the same")
        return f"{same} of the {len(compared)} answers whose windows have the same tokens"

    return agree


def _alike(ours: str, theirs: str, context: str) -> bool:
    """Equal, or equal but for what belongs to the words between white space at its ends."""
    if " ".join(ours.split()) == " ".join(theirs.split()):
        return True
    at = context.find(ours)
    while at >= 0:
        begin, end = at, at + len(ours)
        while begin and not context[begin - 1].isspace():
            begin -= 1
        while end < len(context) and not context[end].isspace():
            end += 1
        whole = " ".join(context[begin:end].split())
        if " ".join(theirs.split()) in whole and " ".join(ours.split()) in " ".join(theirs.split()):
            return True
        at = context.find(ours, at + 1)
    return False


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__)
    parser.add_argument("--model", required=True, help="folder with an XLM-R tokenizer, slow and fast")
    parser.add_argument("--hub", type=Path, default=Path(__file__).resolve().parent.parent.parent / "shared/hub")
    parser.add_argument("--questions", type=int, default=10_000)
    parser.add_argument("--folder", type=Path, help="between the sides; a temporary one by default")
    args = parser.parse_args()
    if args.side:
        {"xlift": xlift, "run_squad": run_squad}[args.side](args.folder, args.model)
        return
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "rows.json").write_text(json.dumps(rows_of(args.hub, args.questions)), encoding="utf-8")
        part = f"span features and decoding, {args.questions:,} questions"
        row = Row(name="spans", part=part, peer="transformers 4.57 run_squad's functions", goal=5.0)
        words = ("--model", args.model, "--folder", str(folder))
        against(row, "run_squad", *words, python=peer_python(), agree=agreement(folder), args=args)


if __name__ == "__main__":
    main()
