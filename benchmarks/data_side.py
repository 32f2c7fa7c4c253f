"""The data side alone against datasets.map: rows to features with the same tokenizer, and a JSON record for each example.

    python benchmarks/data_side.py --tokenizer <folder> --data_dir <mirror> --pairs 5

A is predict_bundle with the oracle in the model's place and the score stage: reading rows, templates, tokenizing, batches,
answers streamed to disk, decoding, predictions.jsonl, scores with intervals; tokens are not kept (with --warm they are found).
B is what a script of transformers does: Dataset.map with batched tokenization (pairs, words with their labels, windows with
offsets, both sides of a translation), then a line of JSON for each example.  Dataset.map hashes its function with the
tokenizer in it in every call; with --unhashed it is spared that.  B's rows lie in memory as Arrow when its clock starts, A reads
its own; the tokenizer is loaded before either begins.  Both run in this process, one after the other, in pairs, on one thread;
CPU seconds of the process.  Prints the ratio B / A of each task and of all: medians over the pairs.
"""

import argparse
import dataclasses
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import datasets
import pyarrow as pa
from transformers import AutoTokenizer

import harness.prediction.answers as answering
from benchmarks.pairs import Row, finish, machine_words
from harness.data.locations import DataPlace
from harness.data.rows import load_rows
from harness.data.templates.compiled import OWN
from harness.data.templates.plain import plain_parts
from harness.executors.graph.verbs import score_predictions
from harness.planning.catalog.catalog import Catalog
from harness.planning.plan import make_plan
from harness.planning.request import RunRequest
from harness.prediction.fakes import Fake
from harness.prediction.finishing import read_predictions
from harness.prediction.loop import predict_bundle
from harness.runtime.machine import Machine
from harness.runtime.stages import begin

ONE_THREAD = {"OMP_NUM_THREADS": "1", "RAYON_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
TASKS = "xnli,panx,udpos_hub,xquad,tydiqa,tatoeba"
PEER = f"datasets.map {datasets.__version__} with batched tokenization, and json"
LANGUAGES = "en,de,ar,sw,zh,ru,hi,te"


def ours(stages: Sequence[Any], machine: Machine, counts: dict[str, int]) -> float:
    """CPU seconds of predictions and scores."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        start = time.process_time()
        predicts = [stage for stage in stages if stage.verb == "predict"]
        for stage in stages:
            begin(stage, root)
        failures = predict_bundle(predicts, todo=predicts, root=root, machine=machine)
        if failures:
            raise SystemExit(next(iter(failures.values())).message)
        for stage in stages:
            if stage.verb == "score":
                score_predictions(stage, root=root, machine=machine)
        took = time.process_time() - start
        for stage in predicts:
            counts[stage.key] = sum(1 for _ in read_predictions(stage.folder(root)))
        return took


def theirs(
    tables: dict[str, pa.Table], encodes: dict[str, Callable[[Any], Any]], counts: dict[str, int], *, unhashed: bool
) -> float:
    """CPU seconds of Dataset.map and a line of JSON for each example."""
    datasets.disable_progress_bars()
    datasets.disable_caching()
    with tempfile.TemporaryDirectory() as folder:
        start = time.process_time()
        for key, table in tables.items():
            rows = datasets.Dataset(table)
            mapped = rows.map(
                encodes[key], batched=True, remove_columns=rows.column_names, cache_file_name=f"{folder}/{key}.arrow",
                load_from_cache_file=False, new_fingerprint=key if unhashed else None,
            )  # fmt: skip
            if not len(mapped):
                raise SystemExit("nothing was mapped")
            with open(f"{folder}/{key}.jsonl", "w", encoding="utf-8") as file:
                for number, row in enumerate(rows):
                    record = {"id": str(number), "lang": "", "prediction": "", "gold": row.get("label", row.get("ner_tags"))}
                    file.write(json.dumps(record, ensure_ascii=False) + "\n")
        took = time.process_time() - start
        for key in tables:
            with open(f"{folder}/{key}.jsonl", encoding="utf-8") as file:
                counts[key] = sum(1 for _ in file)
        return took


def column(value: Any) -> str:
    """The column behind a field that is one."""
    if isinstance(value, str):
        return value
    (part,) = plain_parts(value.template, OWN) or ()
    assert not isinstance(part, str)
    return part.name


def encoder(spec: Any, options: Any, tokenizer: Any) -> Callable[[Any], Any]:
    """What a script of transformers passes to Dataset.map for a task."""
    names = {field: column(value) for field, value in spec.fields.items()}
    length = {"truncation": True, "max_length": options.max_length}
    if spec.type == "classification":
        return lambda batch: tokenizer(batch[names["text"]], batch[names["text_pair"]], **length)
    if spec.type == "retrieval":

        def both(batch: Any) -> Any:
            sides = [tokenizer([options.prefix + text for text in batch[names[side]]], **length) for side in ("source", "target")]
            return {f"{side}_{name}": values for side, found in zip("st", sides) for name, values in found.items()}

        return both
    if spec.type == "tagging":

        def words(batch: Any) -> Any:
            found = tokenizer(batch[names["tokens"]], is_split_into_words=True, **length)
            labels = []
            for number, tags in enumerate(batch[names["tags"]]):
                own, before = [], None
                for word in found.word_ids(batch_index=number):
                    own.append(-100 if word is None or word == before else tags[word])
                    before = word
                labels.append(own)
            found["labels"] = labels
            return found

        return words
    windows = {"truncation": "only_second", "max_length": options.max_length, "stride": options.doc_stride}
    more = {"return_overflowing_tokens": True, "return_offsets_mapping": True}
    return lambda batch: tokenizer(batch[names["question"]], batch[names["context"]], **windows, **more)


def main() -> None:
    """Measure and print."""
    if any(os.environ.get(name) != value for name, value in ONE_THREAD.items()):  # read when packages are loaded
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **ONE_THREAD})
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokenizer", required=True)
    parser.add_argument("--data_dir", required=True)
    parser.add_argument("--tasks", default=TASKS)
    parser.add_argument("--languages", default=LANGUAGES)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--warm", action="store_true", help="tokens of an earlier run are found in the cache")
    parser.add_argument("--unhashed", action="store_true", help="spare Dataset.map the hash of its function")
    parser.add_argument("--record", type=Path, help="file that gets the row, for the table (see bench.py)")
    args = parser.parse_args()
    if not args.warm:
        os.environ["XLIFT_TOKEN_CACHE_MB"] = "0"
    catalog, place = Catalog([]), DataPlace.resolve(args.data_dir)
    folders = catalog.task_folders()
    machine = Machine(place=place, device_name="cpu", progress=False, task_folders=folders)
    tokenizer = AutoTokenizer.from_pretrained(args.tokenizer)
    answering.load_fake = lambda *_, **__: Fake(kind="oracle", tokenizer=tokenizer)
    total_ours, total_theirs = [0.0] * args.pairs, [0.0] * args.pairs
    examples, loads = 0, list[float]()
    for task in args.tasks.split(","):
        asked = tuple(lang for lang in args.languages.split(",") if lang in catalog.task(task).spec.languages)
        request = RunRequest(model="oracle", model_args=f"tokenizer={args.tokenizer}", tasks=task, languages=asked)
        stages = make_plan(request, catalog=catalog, place=place).stages
        stages = [dataclasses.replace(stage, inputs=()) if stage.verb == "predict" else stage for stage in stages]
        tables, encodes = {}, {}
        for stage in stages:
            if stage.verb == "predict":
                spec = stage.args.task_spec
                (source,) = spec.data.test
                module = load_module(spec.type)
                table = load_rows(source, lang=stage.args.lang, place=place, task=task, task_folder=folders[task]).table
                tables[stage.key] = table.replace_schema_metadata(None)
                encodes[stage.key] = encoder(spec, module.Options.model_validate(stage.args.options), tokenizer)
        own, peer, counts = [], [], ({}, {})
        ours(stages, machine, counts[0])  # imports and the probes of both
        for number in range(args.pairs):
            own.append(ours(stages, machine, counts[0]))
            peer.append(theirs(tables, encodes, counts[1], unhashed=args.unhashed))
            total_ours[number] += own[-1]
            total_theirs[number] += peer[-1]
            loads.append(os.getloadavg()[0])
        if counts[0] != counts[1]:
            raise SystemExit(f"{task}: {counts[0]} examples here, {counts[1]} there")
        say(task, sum(counts[0].values()), own, peer)
        examples += sum(counts[0].values())
    say("all", 0, total_ours, total_theirs)
    names = args.tasks.split(",")
    row = Row(name="data_side", part=f"the data side alone of {examples:,} examples of {', '.join(names)}", peer=PEER, goal=2.0)
    row.ratios = [theirs / ours for theirs, ours in zip(total_theirs, total_ours, strict=True)]
    row.ratio = row.processor_ratio = statistics.median(row.ratios)
    row.ours, row.theirs = statistics.median(total_ours), statistics.median(total_theirs)
    row.agreement, row.machine = "as many examples on both sides", machine_words(loads)
    row.note = "processor seconds" + ("; tokens found in the cache" if args.warm else "")
    finish(row, args.record)


def load_module(name: str) -> Any:
    """A task type."""
    from harness.api.registry import TASK_TYPES

    return TASK_TYPES.load(name)


def say(task: str, rows: int, own: Sequence[float], peer: Sequence[float]) -> None:
    """A line of the table."""
    ratio = statistics.median(b / a for a, b in zip(own, peer, strict=True))
    number = f"{rows:>7,} rows" if rows else " " * 12
    here, there = statistics.median(own), statistics.median(peer)
    sides = f"here {here:6.2f} s, datasets.map {there:6.2f} s: {ratio:.2f}x"
    sys.stdout.write(f"{task:10} {number}  {sides}  (load {os.getloadavg()[0]:.0f})\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
