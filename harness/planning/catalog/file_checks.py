"""Checks of a YAML file against everything that exists: task types, options, fields, metrics, languages, readers, tasks.

    spec, errors = check_document(document, TaskSpec, tasks=catalog.names("task"))      # (None, every mistake) or (spec, [])

Parts of a file that its model refuses are left out here, so that the mistakes of the other parts come out with them.
"""

import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ValidationError

from harness.api.errors import UserError, collecting, did_you_mean
from harness.api.registry import ADAPTERS, METRICS, READERS, TASK_TYPES, WORLDS
from harness.data.languages import PLACEHOLDERS, TODO_OWN, languages, near_languages
from harness.data.pretraining_coverage import corpora
from harness.data.values import compared_as
from harness.scoring.own_metrics import keys_of
from harness.specs.loader import Document, parse, value_at
from harness.specs.preset import PresetSpec
from harness.specs.recipe import RecipeSpec, Training
from harness.specs.task import TaskSpec
from harness.specs.yaml_nodes import KeyPath
from harness.task_types.prompting.prompt_checks import field_mistakes, prompt_mistakes

PHASES = ("intermediate", "target")
BLANK: Mapping[str, Any] = {
    "description": "",
    "type": "",
    "fields": {},
    "task": "",
    "recipe": "",
    "preset": "",
    "group": "",
    "members": (),
}
"Stand-ins for required values that the model refused."


def check_document(document: Document, model: type[BaseModel], *, tasks: Sequence[str]) -> tuple[Any, list[UserError]]:
    """Parse a document and check what its model cannot know; `tasks` are the names of all tasks."""
    spec, errors = parse(document, model)
    checks: dict[type[BaseModel], Callable[[_Check, Any], None]] = {TaskSpec: _task, RecipeSpec: _recipe, PresetSpec: _preset}
    if model in checks:
        rest, refused = (spec, frozenset[str]()) if spec else _what_is_left(document, model)
        check = _Check(document=document, refused=refused, tasks=tasks)
        if rest:
            checks[model](check, rest)
        errors = sorted([*errors, *check.errors], key=_line)
    return (None if errors else spec), errors


def _line(error: UserError) -> tuple[str, int]:
    """File and line of an error, for the order in which a file's mistakes are read."""
    file, _, rest = error.where.partition(":")
    number = re.match(r"\d+", rest)
    return file, int(number[0]) if number else 0


def _what_is_left(document: Document, model: type[BaseModel]) -> tuple[Any, frozenset[str]]:
    """The spec without the top-level keys that the model refuses, and these keys."""
    values = dict(document.values)
    refused: set[str] = set()
    try:
        return model.model_validate(values), frozenset()
    except ValidationError as error:
        refused = {str(detail["loc"][0]) for detail in error.errors() if detail["loc"]}
    rest = {key: value for key, value in values.items() if key not in refused}
    blank = {key: value for key, value in BLANK.items() if key in refused and key in model.model_fields}
    try:
        return model.model_validate({**rest, **blank}), frozenset(refused)
    except ValidationError:
        return None, frozenset(refused)


@dataclass(frozen=True, kw_only=True)
class _Check:
    """Gathers the mistakes of one document."""

    document: Document
    refused: frozenset[str]
    "Top-level keys whose mistakes are known already."
    tasks: Sequence[str]
    errors: list[UserError] = field(default_factory=list)

    def add(self, message: str, path: KeyPath, *, expected: str = "", found: str = "", todo: str = "") -> None:
        """Note a mistake at a key path."""
        self.errors.append(UserError(message, where=self.document.where(path), expected=expected, found=found, todo=todo))

    def raw(self, *path: Hashable) -> Any:
        """What the file says at a key path, whether its model takes it or not; None where it says nothing."""
        return value_at(self.document.values, path)

    def known(self, kind: str, path: KeyPath, names: Sequence[str]) -> bool:
        """Note a text at a key path that is not among the known names; whether it is."""
        name = self.raw(*path)
        if isinstance(name, str) and name not in names:  # the model has refused what is no text
            near = {"language": near_languages, "metric": METRICS.near}.get(kind)
            todo = near(name) if near else did_you_mean(name, names)
            self.add(f"unknown {kind} '{name}'", path, todo=todo)
        return name in names

    def all_known(self, kind: str, path: KeyPath, names: Sequence[str]) -> bool:
        """Note the texts of a list that are not among the known names; whether there are none."""
        found = self.raw(*path)
        paths = [(*path, number) for number in range(len(found))] if isinstance(found, list) else []
        return sum(not self.known(kind, inner, names) for inner in paths) == 0

    def parse(self, model: type[BaseModel], path: KeyPath, *, without: tuple[str, ...] = ()) -> None:
        """Check a part of the document against a model of its own."""
        if path[0] not in self.refused:
            self.errors.extend(parse(self.document, model, at=path, without=without)[1])


def _task(check: _Check, spec: TaskSpec) -> None:
    """What a task says against the task types, metrics, readers, worlds, languages and tasks that exist."""
    refused, last = check.refused, spec.task.rsplit("/", 1)[-1]
    if "task" not in refused and last != check.document.path.stem:
        found = check.document.path.name
        check.add(f"task '{spec.task}' stands in a file of another name", ("task",), found=found, todo=f"call it {last}.yaml")
    if check.known("task type", ("type",), TASK_TYPES.names()):
        module = TASK_TYPES.load(spec.type)
        check.parse(module.Options, ("options",))
        _fields(check, spec.type, module.FIELDS)
        for mistake in (*field_mistakes(spec), *prompt_mistakes(spec, example=module.Example)):
            check.add(mistake.message, mistake.path, expected=mistake.expected, found=mistake.found, todo=mistake.todo)
    for key in ("languages", "train_languages", "translated_languages"):
        check.all_known("language", (key,), list(languages()))
    if check.raw("own_languages") is not None:
        check.add("'own_languages' is not written by hand", ("own_languages",), todo=TODO_OWN)
    _metrics(check)
    check.known("task", ("train_on",), check.tasks)
    for value in spec.label_values if spec.labels else ():
        check.known("label", ("label_values", value), [*spec.labels, "drop"])
    _labels_from(check, spec)
    _same_values(check, spec)
    for split in ("train", "validation", "test", "translated"):
        found = check.raw("data", split)
        for number in range(len(found)) if isinstance(found, list) else ():
            _source(check, ("data", split, number))
        if isinstance(found, dict):
            _source(check, ("data", split))
    for key in ("metrics", "languages"):
        if spec.data.test and not getattr(spec, key) and key not in refused:
            check.add(f"a task with test rows needs {key}", (key,))
    if spec.data.train and not spec.train_languages and "train_languages" not in refused:
        check.add("a task with training rows needs train_languages", ("train_languages",))
    if bool(spec.data.translated) != bool(spec.translated_languages) and "translated_languages" not in refused:
        check.add("data.translated and translated_languages go together", ("data", "translated"))


def _same_values(check: _Check, spec: TaskSpec) -> None:
    """Note names that no row could tell apart, such as '1' and '1.0'."""
    for key, names in (("labels", spec.labels), ("label_values", tuple(spec.label_values))):
        first: dict[str, str] = {}
        for number, name in enumerate(names):
            other = first.setdefault(compared_as(name), name)
            if other != name:
                path = (key, name) if key == "label_values" else (key, number)
                check.add(f"'{name}' and '{other}' are compared as the same value", path, todo="leave one of them out")


def _labels_from(check: _Check, spec: TaskSpec) -> None:
    """Check `labels_from` against the task's labels, type and training rows."""
    if not spec.labels_from:
        return
    if spec.labels:
        check.add("give one of 'labels' and 'labels_from'", ("labels_from",))
    if spec.type != "tagging":
        check.add("labels_from is for tagging", ("labels_from",), found=f"type {spec.type}", todo="list the `labels`")
    if not spec.data.train and "data" not in check.refused:
        check.add("labels_from: train needs training rows", ("labels_from",), expected="data.train")


def _fields(check: _Check, type_name: str, fields: Mapping[str, str]) -> None:
    """Note fields that the type does not know, and required ones that are missing."""
    found = check.raw("fields")
    if not isinstance(found, dict):
        return
    known = [name.rstrip("?") for name in (*fields, "id?")]
    for name in found:
        if name not in known:
            todo = did_you_mean(str(name), known)
            check.add(f"task type '{type_name}' has no field '{name}'", ("fields", name), todo=todo)
    for name, meaning in fields.items():
        if not name.endswith("?") and name not in found:
            check.add(f"field '{name}' of task type '{type_name}' is missing", ("fields",), expected=meaning)


def _metrics(check: _Check) -> None:
    """Note unknown metrics, and score keys that the metrics do not give."""
    found = check.raw("metrics")
    uses = found if isinstance(found, list) else []
    paths: list[KeyPath] = [("metrics", n, "metric") if isinstance(use, dict) else ("metrics", n) for n, use in enumerate(uses)]
    if [path for path in paths if not check.known("metric", path, METRICS.names())]:
        return  # the keys that `score` may name are not known then
    for path in paths:
        _no_answer(check, path)
        _unfit_labels(check, path)
    keys = [f"{check.raw(*path)}.{key}" for path in paths for key in keys_of(check.raw(*path))]
    check.all_known("score", ("score",), keys)


def _no_answer(check: _Check, path: KeyPath) -> None:
    """Note a metric of answers that does not fit whether a question may have none."""
    name, may_be_empty = check.raw(*path), bool(check.raw("options", "allow_empty"))
    if name == "squad_v2" and not may_be_empty:
        check.add("metric 'squad_v2' needs the option `allow_empty: true`", path)
    if name in ("squad", "mlqa") and may_be_empty:
        check.add(f"metric '{name}' takes answers only", path, todo="use squad_v2, or leave the option `allow_empty` out")


def _unfit_labels(check: _Check, path: KeyPath) -> None:
    """Note a metric that cannot score the labels of the task."""
    name, labels = check.raw(*path), check.raw("labels")
    own, find = METRICS.own().get(name), None
    with collecting(check.errors):
        find = METRICS.load(name).unfit_labels if own is None or own.trusted else None  # what may not run is not asked
    unfit = find([label for label in labels if isinstance(label, str)]) if find and isinstance(labels, list) else []
    if unfit:
        todo = "rename the labels by label_values, or take another metric (docs/metrics.md)"
        check.add(f"metric '{name}' does not take the labels of this task", path, found=", ".join(unfit[:5]), todo=todo)


def _source(check: _Check, path: KeyPath) -> None:
    """Readers, worlds and placeholders of one source."""
    for key, registry in (("reader", READERS), ("world", WORLDS)):
        check.known(registry.kind, (*path, key), registry.names())
    _parallel_language(check, path)
    files, tests = check.raw(*path, "files"), check.raw(*path, "where")
    places: list[KeyPath] = [("config",), ("split",)]
    for role, names in (files if isinstance(files, dict) else {}).items():
        places += [("files", role, n) for n in range(len(names))] if isinstance(names, list) else [("files", role)]
    places += [("where", n, key) for n in range(len(tests) if isinstance(tests, list) else 0) for key in ("equals", "prefix")]
    for place in places:
        text = check.raw(*path, *place)
        for name in re.findall(r"\{([^{}]*)\}", text) if isinstance(text, str) else ():
            if name not in PLACEHOLDERS:
                check.add(
                    f"'{text}' has a placeholder that no language fills",
                    (*path, *place),
                    expected=", ".join(f"{{{known}}}" for known in PLACEHOLDERS),
                    todo=did_you_mean(name, PLACEHOLDERS),
                )


def _parallel_language(check: _Check, path: KeyPath) -> None:
    """Check `beside`: its language must be known and none of the split's own."""
    lang = check.raw(*path, "beside", "lang")
    if not check.known("language", (*path, "beside", "lang"), list(languages())):
        return
    key = "languages" if path[1] == "test" else "train_languages"
    named = check.raw(key)
    if isinstance(named, list) and lang in named:
        todo = f"leave '{lang}' out of {key}"
        check.add("the rows of a language stand beside themselves", (*path, "beside", "lang"), found=lang, todo=todo)


def _recipe(check: _Check, spec: RecipeSpec) -> None:
    """Hyper-parameter names and values of every block, tasks, type options, and that each provenance names a value."""
    for block in ("defaults", *PHASES, "mixture", "with_masked_lm"):
        check.parse(Training, (block,))
    for key, values in spec.tasks.items():
        check.parse(Training, ("tasks", key), without=("options",))
        head, _, rest = key.partition("/")
        named = rest if head in PHASES and key not in check.tasks else key
        for task in named.split("+"):
            if task not in check.tasks:
                check.add(f"unknown task '{task}'", ("tasks", key), todo=did_you_mean(task, check.tasks))
        if not isinstance(values.get("options", {}), dict):
            check.add("options are a mapping `name: value`", ("tasks", key, "options"), found=repr(values["options"]))
    _task_options(check, spec.task_options)
    for key in spec.provenance:
        value: Any = check.document.values
        for part in key.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        if value is None:
            check.add(f"provenance of '{key}', which this recipe does not set", ("provenance", key))


def _task_options(check: _Check, options: Mapping[str, Mapping[str, Any]]) -> None:
    """Options by task type, as recipes and presets give them."""
    for name in options:
        if name in TASK_TYPES.names():
            check.parse(TASK_TYPES.load(name).Options, ("task_options", name))
        else:
            check.add(f"unknown task type '{name}'", ("task_options", name), todo=did_you_mean(name, TASK_TYPES.names()))


def _preset(check: _Check, spec: PresetSpec) -> None:
    """The adapter, type options, languages and pretraining of a preset."""
    _task_options(check, spec.task_options)
    check.known("adapter", ("adapter",), [*ADAPTERS.names(), "fake"])
    check.known("corpus", ("languages", "corpus"), list(corpora()))
    check.all_known("language", ("languages", "codes"), list(languages()))
    if spec.adapter != "fake" and (spec.hub is None) == (spec.scratch is None) and not check.refused & {"hub", "scratch"}:
        check.add("give exactly one of 'hub' and 'scratch'", ("preset",))
    if spec.scratch is None:
        return
    check.known("task", ("scratch", "tokenizer_task"), check.tasks)
    for number in range(len(spec.scratch.pretraining)):
        check.known("task", ("scratch", "pretraining", number, "task"), check.tasks)
        check.parse(Training, ("scratch", "pretraining", number, "training"))
