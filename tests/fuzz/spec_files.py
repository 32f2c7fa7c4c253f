"""Fuzzer of task, group, recipe, preset and study files: those that are shipped, with something wrong in them.

case = make(random.Random("1 7"), folder)       # writes one file; case.commands validate, show, plan and list it
"""

import copy
import functools
import random
from pathlib import Path

from fuzzing import ROOT, FuzzCase
from hostile_values import TEXTS, HostileDocument, mangled

from harness.specs.loader import read_document

KINDS = ("task", "group", "recipe", "preset", "study", "device")
NAMES = tuple(text for text in TEXTS if text)


def _sources() -> list[Path]:
    """The shipped files; those of the miniature world, whose rows are always there, three times as often."""
    tasks = sorted((ROOT / "tasks").rglob("*.yaml"))
    own = [path for path in tasks if not path.name.startswith("_")]
    mini = [path for path in own if "mini" in path.parts or path.parent.name in ("recipes", "groups", "studies")]
    return [*own, *mini, *mini, *sorted((ROOT / "models" / "presets").glob("[!_]*.yaml"))]


SOURCES = _sources()


ADDED = (
    ("include",), ("version",), ("chance",), ("language_alpha",), ("labels",), ("label_values",), ("languages",),
    ("train_languages",), ("same_task",), ("notes",), ("score",), ("metrics",), ("options",), ("options", "max_length"),
    ("options", "layer"), ("prompt",), ("prompt", "context"), ("prompt", "continuations"), ("prompt", "generate"),
    ("prompt", "delimiter"), ("data", "test"), ("data", "train"), ("data", "test", "files"), ("data", "test", "reader"),
    ("data", "test", "reader_options"), ("data", "test", "hub"), ("data", "test", "config"), ("data", "test", "split"),
    ("data", "test", "revision"), ("data", "test", "where"), ("data", "test", "rename"), ("data", "test", "beside"),
    ("data", "test", "world"), ("fields", "text"), ("fields", "label"), ("fields", "id"), ("lm_eval",), ("train_on",),
    ("labels_from",), ("selection",), ("description",), ("defaults", "learning_rate"), ("defaults", "max_steps"),
    ("defaults", "epochs"), ("defaults", "batch_size"), ("defaults", "warmup_ratio"), ("target", "max_steps"), ("tasks",),
    ("task_options",), ("provenance",), ("save_every",), ("members",), ("aggregate",), ("hub",), ("adapter",),
    ("parameters",), ("layers",), ("languages", "codes"), ("languages", "corpus"), ("model_args",), ("model_args", "dtype"),
    ("families",), ("families", "mini"), ("families", "mini", "backbones"), ("families", "mini", "method"), ("methods",),
    ("methods", "full"), ("methods", "full", "learning_rates"), ("overrides",), ("bridges",), ("chosen",), ("categories",),
    ("seeds",), ("trial_seeds",), ("retrieval_layers",), ("verdicts",), ("verdicts", "margin"), ("verdicts", "reference"),
    ("verdicts", "target"), ("verdicts", "looks"), ("hypotheses",), ("references",), ("intermediate",), ("limit",),
    ("pitfalls",), ("family",), ("scratch", "config"), ("scratch", "vocab_size"), ("scratch", "pretraining"),
)  # fmt: skip
"Keys that a file may not have yet."


def make(rng: random.Random, folder: Path) -> FuzzCase:
    """One shipped file with one to three changes, or an accident to its bytes."""
    source = rng.choice(SOURCES)
    text = HostileDocument(copy.deepcopy(_values(source)), rng)
    kind = next(kind for kind in KINDS if kind in text.values)
    name = f"fz/{source.stem}" if kind == "task" else f"fz-{source.stem}"
    text.values[kind] = name
    if rng.random() < 0.08:
        what, data = "bytes", mangled(text.written().encode("utf-8"), rng)
    else:
        changes = []
        if rng.random() < 0.12:
            changes.append("name")
            text.values[kind] = text.quoted(rng.choice(NAMES))
        while text.values and (not changes or rng.random() < 0.2):
            changes.append(text.change(ADDED))
        what, data = "; ".join(changes), text.written().encode("utf-8", "surrogatepass")
    path = folder / source.name
    path.write_bytes(data)
    typed = text.typed(text.values.get(kind), name)
    return FuzzCase(f"{source.relative_to(ROOT)}: {what}", _commands(kind, typed, path, rng))


@functools.cache
def _values(source: Path):
    return read_document(source).values


def _commands(kind: str, name: str, path: Path, rng: random.Random) -> tuple[tuple[str, ...], ...]:
    """What reads a file of a kind."""
    include = ("--include_path", str(path))
    out = ("--output_path", str(path.parent / "runs"))
    commands: list[tuple[str, ...]] = [("validate", str(path))]
    if kind == "task":
        prompt = ("--prompt_args", "num_fewshot=1", "--languages", "en") if rng.random() < 0.5 else ()
        commands.append(("show", name, *include, *prompt))
        plan = ("--model", "constant", "--tasks", name, "--recipe", "mini")
    elif kind == "recipe":
        commands.append(("show", "mini/nli", "--recipe", name, "--model", "mini", *include))
        plan = ("--model", "mini", "--tasks", "mini/nli", "--intermediate", "none,mini/paraphrase", "--recipe", name)
    elif kind == "group":
        commands.append(("show", name, *include))
        plan = ("--model", "constant", "--tasks", name, "--recipe", "mini")
    elif kind == "study":
        return (*commands, ("show", name, *include), ("study", str(path), "--dry_run", *out), ("ls", "studies", *include))
    else:
        commands.append(("show", "mini/nli", "--model", name, *include))
        plan = ("--model", name, "--tasks", "mini/nli", "--recipe", "mini")
    commands.append(("plan", *plan, *include, *out))
    if rng.random() < 0.3:
        commands.append(("ls", {"task": "tasks", "group": "groups", "recipe": "recipes", "preset": "models"}[kind], *include))
    return tuple(commands)
