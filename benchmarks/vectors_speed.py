"""Vectors of Tatoeba's sentences in 36 languages, beside sentence-transformers' encode.

    python benchmarks/vectors_speed.py --model FOLDER --hub ../shared/hub --rows 1000       # needs `make bench-peers`

FOLDER is a model of sentence-transformers (multilingual-e5-small).  Both get the same texts with the prefix in front, both
sides of each pair of sentences, in the order of the languages, and give one vector each: mean pooling over the last layer.
sentence-transformers sorts them by length, too, and takes batches of 32, its default; xlift those of a prediction.  They agree if
no number of the normalised vectors differs by 1e-5 (float32; in bfloat16 by 0.02: there the peer adds up in bfloat16).
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.pairs import Row, against, arguments, peer_python
from benchmarks.side import serve

PREFIX = "query: "
CLOSE = {"float32": 1e-5, "bfloat16": 0.02}


def texts_of(hub: Path, num: int) -> list[str]:
    """The first pairs of each language, both sides."""
    import pyarrow.parquet as pq

    texts = []
    for folder in sorted((hub / "google/xtreme").glob("tatoeba.*")):
        table = pq.read_table(folder / "validation-00000-of-00001.parquet").slice(0, num)
        texts += [text for name in ("source_sentence", "target_sentence") for text in table[name].to_pylist()]
    return texts


def xlift(folder: Path, model: str, dtype: str) -> None:
    """Our side: encoding, batches and pooling of a prediction."""
    import numpy as np

    from harness.api.model_source import ModelSource
    from harness.api.protocols import Feature, Pooling
    from harness.prediction.batching import collate, plan_batches
    from harness.task_types.tokens.sequences import fit_pairs
    from models.encoder import load

    texts = [PREFIX + text for text in json.loads((folder / "texts.json").read_text(encoding="utf-8"))]
    source = ModelSource(path=model, adapter="encoder", dtype=dtype)
    adapter = load(source, heads={}, device="cpu", seed=0, inference=True)
    tokens = _machine().tokens(train=False)
    pooling = Pooling(method="mean", layer=-1)

    def work() -> Any:
        fitted = fit_pairs(texts, [None] * len(texts), tokenizer=adapter.tokenizer, max_length=512)
        features = [
            Feature(example=number, input_ids=one.sequence.input_ids, type_ids=one.sequence.type_ids)
            for number, one in enumerate(fitted)
        ]
        found: list[Any] = [None] * len(features)
        for batch in plan_batches([len(feature.input_ids) for feature in features], max_tokens=tokens):
            collated = collate([features[n] for n in batch], pad_id=adapter.tokenizer.pad_token_id)
            for number, vector in zip(batch, adapter.embed(collated, pooling), strict=True):
                found[number] = vector
        return np.stack(found)

    serve(work, shown=lambda found: _written(found, folder / "ours.npy"))


def _machine() -> Any:
    """A machine with the settings of a command that says nothing of it."""
    from harness.data.locations import DataPlace
    from harness.runtime.machine import Machine

    return Machine(place=DataPlace.resolve(None), device_name="cpu", progress=False, task_folders={})


def sentence_transformers(folder: Path, model: str, dtype: str) -> None:
    """The peer's side."""
    import torch
    from sentence_transformers import SentenceTransformer

    texts = [PREFIX + text for text in json.loads((folder / "texts.json").read_text(encoding="utf-8"))]
    found = SentenceTransformer(model, device="cpu", model_kwargs={"torch_dtype": getattr(torch, dtype)})
    serve(
        lambda: found.encode(texts, show_progress_bar=False, convert_to_numpy=True),
        shown=lambda vectors: _written(vectors, folder / "theirs.npy"),
    )


def _written(vectors: Any, path: Path) -> dict[str, int]:
    """Normalise and keep the vectors for the other side to be compared."""
    import numpy as np

    vectors = np.asarray(vectors, dtype=np.float32)
    np.save(path, vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
    return {"vectors": len(vectors)}


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__)
    parser.add_argument("--model", required=True, help="folder of a model of sentence-transformers")
    parser.add_argument("--hub", type=Path, default=Path(__file__).resolve().parent.parent.parent / "shared/hub")
    parser.add_argument("--rows", type=int, default=50, help="pairs of sentences in each language")
    parser.add_argument("--dtype", choices=list(CLOSE), default="float32")
    parser.add_argument("--folder", type=Path, help="between the sides; a temporary one by default")
    args = parser.parse_args()
    if args.side:
        {"xlift": xlift, "sentence-transformers": sentence_transformers}[args.side](args.folder, args.model, args.dtype)
        return
    import numpy as np

    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        texts = texts_of(args.hub, args.rows)
        (folder / "texts.json").write_text(json.dumps(texts), encoding="utf-8")

        def agree(ours: Any, theirs: Any) -> str:
            farthest = float(np.abs(np.load(folder / "ours.npy") - np.load(folder / "theirs.npy")).max())
            if farthest > CLOSE[args.dtype]:
                raise SystemExit(f"results differ by {farthest:.1e}")
            return f"{ours['vectors']} vectors, farthest numbers {farthest:.1e}"

        part = f"vectors of {len(texts):,} Tatoeba sentences, 36 languages, {args.dtype}"
        row = Row(name="vectors", part=part, peer="sentence-transformers 5.7 encode", goal=1.1)
        words = ("--model", args.model, "--folder", str(folder), "--dtype", args.dtype)
        against(row, "sentence-transformers", *words, python=peer_python(), agree=agree, args=args)


if __name__ == "__main__":
    main()
