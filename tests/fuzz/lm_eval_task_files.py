"""Fuzzer of task files in the format of lm-evaluation-harness, with rows and code beside them.

case = make(random.Random("1 7"), folder)       # a folder of tasks, one of its files with something wrong in it
"""

import copy
import functools
import random
from pathlib import Path

import yaml
from fuzzing import FuzzCase
from hostile_values import TEXTS, HostileDocument, mangled, yaml_value
from small_lm_eval_tasks import FILES, write_folder

from harness.planning.catalog.lm_eval_files.known_keys import (
    FEWSHOT_KEYS,
    FILTERS,
    METRIC_RULES,
    REFUSED,
    TASK_KEYS,
    TOKEN_LIMITS,
)

MORE = {
    "ask/count.yaml": """
task: count_deu
tag: [asked, written]
task_alias: Count
dataset_path: json
dataset_name: de
dataset_kwargs: {data_files: {train: ask.jsonl, test: [ask.jsonl]}}
training_split: train
test_split: test
fewshot_split: train
description: "Antworte.\\n"
doc_to_text: "{{question.strip()}}"
doc_to_target: answers.text
target_delimiter: " "
fewshot_delimiter: "\\n\\n"
num_fewshot: 1
fewshot_config: {sampler: first_n, samples: [{question: q, answers: {text: [a]}}]}
generation_kwargs: {until: ["\\n"], max_gen_toks: 16, temperature: 0.0}
repeats: 1
should_decontaminate: false
metric_list:
  - {metric: bleu, aggregation: bleu, higher_is_better: true}
  - {metric: exact_match, aggregation: mean, regexes_to_ignore: ["[,.]", "x+"], ignore_numbers: true}
filter_list:
  - name: mapped
    filter:
      - {function: regex, regex_pattern: "(\\\\d+)", group_select: -1, fallback: "[none]"}
      - {function: map, mapping_dict: {"42": a}, default_value: b}
      - {function: take_first_k, k: 1}
      - {function: majority_vote}
metadata: {version: 2.0, note: [a, b]}
""",
    "ask/likely.yaml": """
task: likely
dataset_path: json
dataset_kwargs: {data_files: ask.jsonl}
validation_split: train
output_type: loglikelihood
doc_to_text: "{{question}}"
doc_to_target: "{{answers.text[0]}}"
metric_list: [{metric: acc, aggregation: mean}, {metric: perplexity, aggregation: perplexity}]
""",
}
PARTS = {
    "fewshot_config": FEWSHOT_KEYS,
    "generation_kwargs": ("until", "do_sample", "temperature", "num_beams", "top_p", *TOKEN_LIMITS),
    "dataset_kwargs": ("data_files", "revision", "data_dir", "field", "trust_remote_code"),
    "metadata": ("version",),
}
ADDED = (
    *((key,) for key in (*TASK_KEYS, *REFUSED, "include", "group", "group_alias", "aggregate_metric_list", "task_list", "zzz")),
    *((part, key) for part, keys in PARTS.items() for key in keys),
)


class _Loader(yaml.SafeLoader):
    """Keeps `!function x` as it is written."""


_Loader.add_constructor("!function", lambda loader, node: f"!function {node.value}")


@functools.cache
def _values(name: str):
    return yaml.load({**FILES, **MORE}[name], Loader=_Loader)


def _document(name: str, rng: random.Random) -> HostileDocument:
    """The values of a file; what `!function` names is written without quotes."""
    document = HostileDocument(copy.deepcopy(_values(name)), rng)
    for held, key in document.places():
        if isinstance(held[key], str) and held[key].startswith("!function"):
            held[key] = document.as_written(held[key])
    return document


def _metric(rng: random.Random) -> dict:
    return {
        "metric": rng.choice((*METRIC_RULES, "zzz")),
        rng.choice(("aggregation", "regexes_to_ignore", "ignore_case", "higher_is_better")): "RAW",
    }


def _step(rng: random.Random) -> dict:
    name = rng.choice(tuple(FILTERS))
    return {"function": name, rng.choice((*FILTERS[name], "zzz")): "RAW"}


def _entry(document: HostileDocument, rng: random.Random) -> str:
    """A metric or a step of a filter whose one value is hostile."""
    if rng.random() < 0.5:
        document.values["metric_list"] = [_filled(_metric(rng), document)]
        return "a metric"
    document.values["filter_list"] = [{"name": "f", "filter": [_filled(_step(rng), document), {"function": "take_first"}]}]
    return "a filter"


def _filled(entry: dict, document: HostileDocument) -> dict:
    return {key: document.hostile() if value == "RAW" else value for key, value in entry.items()}


def make(rng: random.Random, folder: Path) -> FuzzCase:
    """The folder of made-up tasks, with one file changed, or an accident to its bytes or its code."""
    write_folder(folder)
    for name, text in MORE.items():
        (folder / name).write_text(text, encoding="utf-8")
    name = rng.choice([file for file in (*FILES, *MORE, *MORE) if file.endswith((".yaml", "_yaml"))])
    document = _document(name, rng)
    kind = "group" if "group" in document.values else "task"
    task = document.values[kind]
    pick = rng.random()
    if pick < 0.1:
        what, data = "bytes", mangled(document.written().encode("utf-8"), rng)
    elif pick < 0.14:
        name, what = rng.choice(("quiz/code.py", "quiz/helper_of_quiz.py")), "code"
        task = "quiz"
        data = mangled((folder / name).read_bytes(), rng)
    else:
        changes = []
        if rng.random() < 0.08:
            changes.append("name")
            document.values[kind] = (
                document.quoted(rng.choice(TEXTS)) if rng.random() < 0.5 else document.as_written(yaml_value(rng))
            )
        while document.values and (not changes or rng.random() < 0.2):
            changes.append(_entry(document, rng) if rng.random() < 0.1 else document.change(ADDED))
        what, data = "; ".join(changes), document.written().encode("utf-8", "surrogatepass")
        task = document.typed(document.values.get(kind), task)
    (folder / name).write_bytes(data)
    task = "nli_de" if task is None else str(task)
    trusted = ("--trust_task_code",) if rng.random() < 0.7 else ()
    include = ("--include_path", str(folder), *trusted)
    commands: list[tuple[str, ...]] = [("validate", str((folder / name).parent), *trusted)]
    commands.append(("show", f"lm_eval/{task}", *include))
    plan = ("--model", "constant", "--tasks", f"lm_eval/{task}", "--recipe", "mini", "--output_path", str(folder / "runs"))
    commands.append(("plan", *plan, *include))
    if rng.random() < 0.2:
        commands.append(("ls", rng.choice(("tasks", "groups")), "--include_path", str(folder)))
    return FuzzCase(f"{name}: {what}", tuple(commands))
