"""A small project on disk (tasks, recipe, rows, a random-weight encoder) and runs of it in this process or in one to be killed.

project = Project.make(tmp_path, dropout=0.1)
report = project.run(tmp_path / "runs", tasks="pairs,quiz")
killed = run_in_child(project, root, tasks="pairs", die_at=17)        # SIGKILL at the 17th change of a file below root
"""

import json
import multiprocessing
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from listening import before_each_step

from harness.data.locations import DataPlace
from harness.executors.local import Report, execute
from harness.planning.catalog.catalog import Catalog
from harness.planning.plan import Plan, make_plan
from harness.planning.request import RunRequest
from harness.runtime.machine import Machine
from models.decoder import init_scratch as init_decoder
from models.encoder import init_scratch, train_tokenizer

ANIMALS = ["cat", "dog", "cow", "hen", "fox", "owl", "bee", "ant"]
PLACES = ["house", "wood", "sea", "road", "hill", "farm"]
VERBS = ["sees", "hears", "meets", "likes"]
SENTENCES = [f"the {a} {v} the {b} near the {p}" for a in ANIMALS for v in VERBS for b in ANIMALS for p in PLACES]
FOREIGN = {word: word[::-1] for word in " ".join(SENTENCES).split()}
CONFIG = {
    "model_type": "xlm-roberta",
    "num_hidden_layers": 2,
    "hidden_size": 32,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 130,
    "type_vocab_size": 1,
}
CAUSAL = {key: CONFIG[key] for key in ("num_hidden_layers", "hidden_size", "num_attention_heads", "intermediate_size")}
CAUSAL["model_type"] = "llama"
TASKS = {
    "pairs": {
        "type": "classification",
        "fields": {"text": "a", "text_pair": "b", "label": "label"},
        "labels": ["same", "other", "none"],
        "prompt": {"context": "{{ text }}", "continuations": {"same": "sees", "other": "the {{ text_pair }}", "none": "near"}},
        "metrics": ["accuracy"],
        "chance": 33.33,
        "languages": ["en", "de", "sw"],
        "splits": ("train", "validation", "test"),
    },
    "tags": {
        "type": "tagging",
        "fields": {"tokens": "tokens", "tags": "tags"},
        "labels": ["O", "B-ANI", "B-LOC"],
        "prompt": {"context": "{{ tokens | join(' ') }}", "generate": {"form": "entities", "max_new_tokens": 5}},
        "metrics": ["entity_f1", "token_accuracy"],
        "languages": ["en", "de"],
        "splits": ("train", "validation", "test"),
    },
    "quiz": {
        "type": "span_qa",
        "fields": {"question": "q", "context": "c", "answer_texts": "answers", "answer_starts": "starts", "id": "id"},
        "options": {"max_length": 24, "doc_stride": 6},
        "metrics": ["squad"],
        "score": ["squad.f1", "squad.exact_match"],
        "languages": ["en", "de"],
        "splits": ("train", "test"),
    },
    "nearest": {
        "type": "retrieval",
        "fields": {"source": "source", "target": "target"},
        "metrics": ["accuracy"],
        "chance": 2.5,
        "languages": ["de", "sw"],
        "train_languages": ["de"],
        "splits": ("train", "test"),
    },
    "cloze": {"type": "masked_lm", "fields": {"text": "text"}, "languages": [], "splits": ("train",)},
}


def _rows(name: str, split: str, lang: str, count: int) -> list[dict[str, Any]]:
    rng = random.Random(f"{name} {split}")
    rows = []
    for number in range(count):
        first, second = rng.sample(SENTENCES, 2)
        label = ("same", "other", "none")[number % 3]
        say = (lambda text: text) if lang == "en" else (lambda text: " ".join(FOREIGN[word] for word in text.split()))
        words = say(first).split()[: 3 + number % 6]
        tags = ["B-ANI" if i in (1, 4) else "B-LOC" if i == 7 else "O" for i in range(len(words))]
        context = say(f"{first} {second}" if number % 2 else first)
        answer = context.split()[7]
        row = {
            "pairs": {"a": say(first), "b": {"same": say(first), "other": say(second), "none": "the"}[label], "label": label},
            "tags": {"tokens": words, "tags": tags},
            "quiz": {
                "q": say("near the"),
                "c": context,
                "answers": [answer],
                "starts": [context.index(answer)],
                "id": str(number),
            },
            "nearest": {"source": " ".join(FOREIGN[w] for w in first.split()), "target": first},
            "cloze": {"text": first},
        }
        rows.append(row[name])
    return rows


@dataclass(frozen=True, kw_only=True)
class Project:
    folder: Path
    model: Path
    decoder: Path | None = None
    "A causal language model with the same tokenizer."
    data: Path | None = None
    "Mirror of hub datasets."
    machine: dict[str, Any] = field(default_factory=dict)

    @staticmethod
    def make(folder: Path, *, dropout: float = 0.1, tasks: str = "pairs,tags,quiz,nearest,cloze", **training: Any) -> "Project":
        folder.mkdir(parents=True, exist_ok=True)
        for name in tasks.split(","):
            content = dict(TASKS[name])
            splits = content.pop("splits")
            data = {split: {"files": {"rows": f"{name}-{split}-{{lang}}.jsonl"}, "reader": "jsonl"} for split in splits}
            own = {
                "task": name,
                "description": "made up",
                "data": data,
                "selection": "validation" if "validation" in data else "none",
            }
            (folder / f"{name}.yaml").write_text(json.dumps({**own, **content}))
            for split in splits:
                for lang in {"en", *content["languages"]}:
                    count = {"train": 40, "validation": 12, "test": 30}[split]
                    lines = (json.dumps(row) for row in _rows(name, split, lang, count))
                    (folder / f"{name}-{split}-{lang}.jsonl").write_text("\n".join(lines) + "\n")
        values = {"learning_rate": 1e-3, "batch_size": 8, "max_steps": 9, "epochs": 20, "eval_every": 3, "precision": "float32"}
        recipe = {"recipe": "tiny", "description": "for tests", "defaults": {**values, **training}, "save_every": 2}
        (folder / "tiny.yaml").write_text(json.dumps(recipe))
        words = [*FOREIGN, *FOREIGN.values()]
        model = folder / "model"
        config = {**CONFIG, "hidden_dropout_prob": dropout, "attention_probs_dropout_prob": dropout}
        tokenizer = train_tokenizer(words, vocab_size=200)
        init_scratch(config, tokenizer=tokenizer, folder=model, seed=1)
        init_decoder({**CAUSAL, "attention_dropout": dropout}, tokenizer=tokenizer, folder=folder / "decoder", seed=1)
        return Project(folder=folder, model=model, decoder=folder / "decoder")

    def with_machine(self, **knobs: Any) -> "Project":
        return replace(self, machine={**self.machine, **knobs})

    def plan(self, *, tasks: str, model: str = "", **request: Any) -> tuple[Plan, Machine]:
        catalog = Catalog([self.folder])
        place = DataPlace.resolve(str(self.data) if self.data else None)
        asked = RunRequest(model=model or str(self.model), tasks=tasks, recipe=str(request.pop("recipe", "tiny")), **request)
        knobs = {"device_name": "cpu", "progress": False, **self.machine}
        return make_plan(asked, catalog=catalog, place=place), Machine(place=place, task_folders=catalog.task_folders(), **knobs)

    def run(self, root: Path, *, tasks: str, **request: Any) -> Report:
        plan, machine = self.plan(tasks=tasks, **request)
        return execute(plan.stages, root=root, machine=machine)


def contents(root: Path) -> dict[str, bytes]:
    """Every file below root but locks, without what differs by itself.

    That is the commit in done.json, which may come while the test runs, and the date of a request.
    """
    found = {}
    for path in sorted(root.rglob("*")):
        if path.is_file() and path.name != "lock":
            content = path.read_bytes()
            if path.name == "done.json":
                content = json.dumps({**json.loads(content), "commit": ""}).encode()
            if path.parent.name == "requests":
                content = json.dumps({**json.loads(content), "commit": "", "date": ""}).encode()
            found[str(path.relative_to(root))] = content
    return found


def differences(one: Path, other: Path) -> list[str]:
    first, second = contents(one), contents(other)
    return sorted(name for name in first.keys() | second.keys() if first.get(name) != second.get(name))


def num_steps(trace: Path) -> int:
    """How many optimizer steps were taken, those done again included."""
    return trace.read_text().count("\n") if trace.exists() else 0


CHANGES = {"open", "os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link", "os.truncate"}


def _count_changes(root: Path, at: int | None) -> None:
    """Count what happens to files below root; die at the given number."""
    seen = 0
    below = str(root)

    def hook(event: str, args: tuple[Any, ...]) -> None:
        nonlocal seen
        if event not in CHANGES or not isinstance(args[0], str | os.PathLike) or not os.fspath(args[0]).startswith(below):
            return
        if event == "open" and not (isinstance(args[1], str) and set(args[1]) & set("wax+")):
            return
        seen += 1
        if seen == at:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def _child(project: Project, root: Path, request: dict[str, Any], die_at: int | None, trace: Path) -> None:
    torch.set_num_threads(1)

    def write_down() -> None:  # counts what is done again
        with trace.open("a") as file:
            file.write("step\n")

    _count_changes(root, die_at)
    with before_each_step(write_down):
        report = project.run(root, **request)
    sys.exit(1 if report.failed or report.not_run else 0)


def run_in_child(
    project: Project,
    root: Path,
    *,
    die_at: int | None = None,
    after: float | None = None,
    until: Callable[[], bool] | None = None,
    trace: Path | None = None,
    **request: Any,
) -> int:
    """Run in a process of its own, killed at the die_at-th change of a file, `after` seconds or once `until`; its exit code."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["small_runs", "harness.training.loop", "models.encoder", "accelerate", "datasets"])
    child = context.Process(target=_child, args=(project, root, request, die_at, trace or root.with_suffix(".trace")))
    child.start()
    while until and child.is_alive() and not until():
        time.sleep(0.002)
    child.join(0 if until else after)
    if child.is_alive():
        child.kill()
        child.join()
    return child.exitcode or 0
