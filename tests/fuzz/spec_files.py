"""Fuzzer of task, group, recipe and preset files: those that are shipped, with something wrong in them.

case = make(random.Random("1 7"), folder)       # writes one file; case.commands validate, show, plan and list it
"""

import random
from pathlib import Path

import yaml
from fuzzing import ROOT, TEXTS, FuzzCase, double_quoted, mangled, yaml_value

from harness.specs.loader import read_document

KINDS = ("task", "group", "recipe", "preset")
TOKEN = "RAW{}RAW"
"Stands for a text that the YAML writer must not touch."
NAMES = tuple(text for text in TEXTS if text)


def _sources() -> list[Path]:
    """The shipped files; those of the miniature world, whose rows are always there, three times as often."""
    tasks = sorted((ROOT / "tasks").rglob("*.yaml"))
    own = [path for path in tasks if not path.name.startswith("_")]
    mini = [path for path in own if "mini" in path.parts or path.parent.name in ("recipes", "groups")]
    return [*own, *mini, *mini, *sorted((ROOT / "models" / "presets").glob("*.yaml"))]


SOURCES = _sources()


class _Text:
    """A document while it is changed: plain values, and YAML texts that stand for values."""

    def __init__(self, values, rng):
        self.values, self.rng, self.raw = values, rng, []

    def hostile(self):
        """A token for a hostile value."""
        self.raw.append(yaml_value(self.rng))
        return TOKEN.format(len(self.raw) - 1)

    def quoted(self, text):
        """A token for a text that no YAML writer would write."""
        self.raw.append(double_quoted(text))
        return TOKEN.format(len(self.raw) - 1)

    def places(self):
        """(container, key) of every value."""
        found, waiting = [], [self.values]
        while waiting:
            value = waiting.pop()
            for key in list(value) if isinstance(value, dict) else range(len(value)):
                found.append((value, key))
                if isinstance(value[key], dict | list):
                    waiting.append(value[key])
        return found

    def written(self):
        """The YAML text."""
        return self.written_value(yaml.safe_dump(self.values, sort_keys=False, allow_unicode=True, width=200))

    def written_value(self, text):
        """The text with what its tokens stand for."""
        for number in reversed(range(len(self.raw))):
            text = text.replace(f"'{TOKEN.format(number)}'", self.raw[number]).replace(TOKEN.format(number), self.raw[number])
        return text


def _value(text: _Text) -> str:
    held, key = text.rng.choice(text.places())
    held[key] = text.hostile()
    return f"value of {key!r:.30}"


def _top_value(text: _Text) -> str:
    key = text.rng.choice(list(text.values))
    text.values[key] = text.hostile()
    return f"value of {key}"


def _key(text: _Text) -> str:
    held, key = text.rng.choice([place for place in text.places() if isinstance(place[0], dict)])
    held[text.hostile() if text.rng.random() < 0.5 else text.quoted(text.rng.choice(TEXTS))] = held.pop(key)
    return f"key {key!r:.30}"


def _wrapped(text: _Text) -> str:
    held, key = text.rng.choice(text.places())
    old = held[key]
    held[key] = text.rng.choice(([old], {"a": old}, [old, old], {key: old}, str(old), [[old]], None, {}, [], [old] * 2000))
    return f"{key!r:.30} wrapped"


def _moved(text: _Text) -> str:
    (held, key), (other, name) = text.rng.choice(text.places()), text.rng.choice(text.places())
    held[key] = yaml.safe_load(yaml.safe_dump(other[name]))
    return f"{name!r:.30} in place of {key!r:.30}"


def _without(text: _Text) -> str:
    held, key = text.rng.choice(text.places())
    del held[key]
    return f"without {key!r:.30}"


def _name(text: _Text) -> str:
    kind = next((kind for kind in KINDS if kind in text.values), None)
    if kind:
        text.values[kind] = text.quoted(text.rng.choice(NAMES))
    return f"name of {kind}"


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
    ("pitfalls",), ("family",), ("scratch", "config"), ("scratch", "vocab_size"), ("scratch", "pretraining"),
)  # fmt: skip
"Keys that a file may not have yet."


def _added(text: _Text) -> str:
    path = text.rng.choice(ADDED)
    value = text.values
    for key in path[:-1]:
        if not isinstance(value.get(key), dict):
            value[key] = {}
        value = value[key]
    value[path[-1]] = text.hostile()
    return f"{'.'.join(path)} set"


CHANGES = (_value,) * 6 + (_top_value,) * 3 + (_key,) * 2 + (_added,) * 5 + (_wrapped, _wrapped, _moved, _without, _name, _name)


def make(rng: random.Random, folder: Path) -> FuzzCase:
    """One shipped file with one to three changes, or an accident to its bytes."""
    source = rng.choice(SOURCES)
    text = _Text(yaml.safe_load(yaml.safe_dump(read_document(source).values)), rng)
    kind = next(kind for kind in KINDS if kind in text.values)
    name = f"fz/{source.stem}" if kind == "task" else f"fz-{source.stem}"
    text.values[kind] = name
    if rng.random() < 0.2:
        what, data = "bytes", mangled(text.written().encode("utf-8"), rng)
    else:
        changes = [rng.choice(CHANGES)(text) for _ in range(rng.choice((1, 1, 1, 2, 3))) if text.values]
        what, data = "; ".join(changes), text.written().encode("utf-8", "surrogatepass")
    path = folder / source.name
    path.write_bytes(data)
    return FuzzCase(f"{source.relative_to(ROOT)}: {what}", _commands(kind, _typed(text.values.get(kind), text, name), path, rng))


def _typed(value, text: _Text, default: str) -> str:
    """The name as a user would type it; the default for what nobody can type."""
    if isinstance(value, str) and value.startswith("RAW"):
        written = text.written_value(value)
        try:
            value = (
                yaml.safe_load(written.encode("utf-8", "surrogatepass"))
                if len(written) < 6000 and "*" not in written
                else default
            )
        except Exception:
            return default
    typed = str(value)[:5000] if isinstance(value, str | float | bool) else default
    return default if not typed or typed.startswith("-") or "\0" in typed else typed


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
    else:
        commands.append(("show", "mini/nli", "--model", name, *include))
        plan = ("--model", name, "--tasks", "mini/nli", "--recipe", "mini")
    commands.append(("plan", *plan, *include, *out))
    if rng.random() < 0.3:
        commands.append(("ls", {"task": "tasks", "group": "groups", "recipe": "recipes", "preset": "models"}[kind], *include))
    return tuple(commands)
