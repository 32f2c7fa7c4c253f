"""From a task file of lm-evaluation-harness to a TaskSpec of the task type `lm_eval`.

    made = convert(read_file(path), name="xnli_de", overrides={})
    made.spec, made.errors, made.remarks           # a spec (None where the file cannot be run), mistakes and what to know

Errors are what lm-eval itself would stop at, or what it would do wrong in silence (an unknown metric), or what is not here; what
it runs over are remarks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from harness.errors import UserError, did_you_mean
from harness.lm_eval.code import code_hash, missing_function
from harness.lm_eval.keys import (
    AGGREGATIONS,
    AGGREGATIONS_ELSEWHERE,
    DEFAULT_METRICS,
    ELSEWHERE,
    FEWSHOT_KEYS,
    FILTERS,
    FILTERS_ELSEWHERE,
    METRIC_KEYS,
    METRIC_RULES,
    REFUSED,
    STRUCTURE,
    TASK_KEYS,
    TOKEN_LIMITS,
)
from harness.lm_eval.reading import FunctionName, Reading
from harness.lm_eval.remarks import remarks_on, remarks_on_shots
from harness.lm_eval.sources import sources_of
from harness.lm_eval.templates import compiled, num_listed
from harness.lm_eval.tongues import language_of
from harness.specs.lm_eval import Filter, LmEvalTask, Scored, Shots, Step, Turns
from harness.specs.loader import Document, KeyPath
from harness.specs.task import Data, MetricUse, TaskSpec

PREFIX = "lm_eval/"
"Of the names of all tasks and groups that come from lm-eval's files."
TEMPLATES = ("doc_to_text", "doc_to_target", "doc_to_choice", "description", "gen_prefix")
TURNS = tuple(Turns.model_fields)


@dataclass(kw_only=True)
class Converted:
    """What came of a file."""

    spec: TaskSpec | None
    errors: list[UserError]
    notes: list[str]
    "What a reader of its scores must know."
    warnings: list[str]
    "What lm-eval runs over, with file and line."

    @property
    def remarks(self) -> list[str]:
        """All of it."""
        return [*self.notes, *self.warnings]


@dataclass(kw_only=True)
class File:
    """The values of a task, where they stand, and what is wrong with them."""

    name: str
    values: Mapping[str, Any]
    document: Document
    errors: list[UserError] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def get(self, key: str, default: Any = None) -> Any:
        """A value; the default where the file has none, or null."""
        value = self.values.get(key)
        return default if value is None else value

    def wrong(self, message: str, path: KeyPath, *, expected: str = "", found: str = "", todo: str = "") -> None:
        """Note a mistake."""
        self.errors.append(UserError(message, where=self.document.where(path), expected=expected, found=found, todo=todo))

    def note(self, message: str, path: KeyPath) -> None:
        """Note what lm-eval runs over."""
        self.remarks.append(f"{self.document.where(path)}: {message}")

    @property
    def folder(self) -> Path:
        """Of the task's file."""
        return self.document.path.parent


def convert(reading: Reading, *, name: str, overrides: Mapping[str, Any]) -> Converted:
    """Make a spec; `overrides` are the keys that a group sets for the task."""
    values = {**reading.document.values, **{key: value for key, value in overrides.items() if key != "task"}}
    file = File(name=name, values=values, document=reading.document, remarks=list(reading.remarks))
    _check_keys(file)
    config = _config(file)
    sources = sources_of(file)
    language = language_of(name=name.rpartition("::")[2], dataset_name=_text(file.get("dataset_name")))
    notes: list[str] = []
    spec = None
    if config and sources and not file.errors:
        notes = remarks_on(file, config, sources, language=language)
        config = config.model_copy(update={"rows": f"{file.get('dataset_path')} {sources.asked_split}"})
        metadata = file.get("metadata", {})
        version = metadata.get("version", "") if isinstance(metadata, Mapping) else ""
        spec = TaskSpec(
            task=PREFIX + name,
            type="lm_eval",
            description=_description(file, config, version),
            homepage=_homepage(file),
            languages=(language,),
            train_languages=(language,),
            data=Data(test=(sources.asked,), train=(sources.shown,) if sources.shown else ()),
            fields={},
            metrics=tuple(MetricUse(metric=name) for name in _metric_names(config)),
            chance=_chance(config),
            selection="none",
            notes=tuple(notes),
            lm_eval=config,
        )
    if spec:
        notes += remarks_on_shots(spec)
    return Converted(spec=spec, errors=file.errors, notes=notes, warnings=file.remarks)


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _description(file: File, config: LmEvalTask, version: Any) -> str:
    """One sentence for `ls`."""
    alias = file.get("task_alias")
    dataset = " ".join(str(file.get(key)) for key in ("dataset_path", "dataset_name") if file.get(key))
    told = f"{config.output_type} on {dataset}" + (f", version {version}" if version != "" else "")
    return f"{alias}: {told}" if alias else told


def _homepage(file: File) -> str:
    path = str(file.get("dataset_path", ""))
    return f"https://huggingface.co/datasets/{path}" if path.count("/") == 1 and path[0].isalnum() else ""


def _metric_names(config: LmEvalTask) -> list[str]:
    """The metrics of this project that make the task's numbers: each of its metrics under each of its filters."""
    from harness.lm_eval.results import value_name

    names = [
        f"{AGGREGATIONS[scored.aggregation]}:{value_name(scored.metric, filter_.name).replace('.', '_')}"
        for scored in config.metrics
        for filter_ in config.filters
    ]
    return list(dict.fromkeys(names))


def _chance(config: LmEvalTask) -> float:
    """The score of guessing, where the number of choices stands in the file."""
    choices = config.doc_to_choice
    if config.output_type != "multiple_choice" or config.process_results is not None:
        return 0.0
    number = len(choices) if isinstance(choices, list | dict) else num_listed(choices) if isinstance(choices, str) else None
    return 100 / number if number else 0.0


def _check_keys(file: File) -> None:
    """Keys that lm-eval does not know, and those that ask for what is not here."""
    for key, value in file.values.items():
        if key in REFUSED and value not in (None, False):
            file.wrong(f"'{key}' is not supported: {REFUSED[key]}", (key,))
        elif key not in TASK_KEYS and key not in STRUCTURE:
            file.wrong(f"unknown key '{key}'", (key,), todo=did_you_mean(str(key), TASK_KEYS))
    kind = file.get("output_type", "generate_until")
    if kind not in DEFAULT_METRICS:
        todo = "" if kind == "loglikelihood_rolling" else did_you_mean(str(kind), DEFAULT_METRICS)
        file.wrong(f"output_type '{kind}' is not supported", ("output_type",), expected=", ".join(DEFAULT_METRICS), todo=todo)
    if kind == "multiple_choice" and file.get("doc_to_choice") is None:
        file.wrong("multiple_choice without doc_to_choice", ("output_type",))
    for key in ("doc_to_text", "doc_to_target"):
        if file.get(key) is None:
            file.wrong(f"'{key}' is missing", ())


def value_of(file: File, value: Any, path: KeyPath) -> Any:
    """A value as the spec holds it: functions with their hash, templates checked."""
    if isinstance(value, FunctionName):
        error = missing_function(value.reference, value.folder)
        if error:
            file.wrong(error.message, path, expected=error.expected, found=error.found, todo=error.todo)
        folder = Path(_relative(value.folder, file.folder))
        return {"function": value.reference, "folder": folder.as_posix(), "code": code_hash(value.reference, value.folder)}
    if isinstance(value, Mapping):
        return {str(key): value_of(file, inner, (*path, key)) for key, inner in value.items()}
    if isinstance(value, list):
        return [value_of(file, inner, (*path, number)) for number, inner in enumerate(value)]
    return value


def _relative(folder: Path, to: Path) -> str:
    import os

    return os.path.relpath(folder.resolve(), to.resolve())


def _turns(file: File, values: Mapping[str, Any], path: KeyPath, inherited: Mapping[str, Any]) -> dict[str, Any]:
    """How rows are told, with what is inherited where the file says nothing; templates are checked."""
    found = dict(inherited)
    for key in TURNS:
        if key in values and (values[key] is not None or not inherited):
            found[key] = value_of(file, values[key], (*path, key))
        if isinstance(values.get(key), str) and not isinstance(values[key], FunctionName) and key in TEMPLATES:
            _check_template(file, values[key], (*path, key))
    return {key: value for key, value in found.items() if value is not None}


def _check_template(file: File, text: str, path: KeyPath) -> None:
    try:
        compiled(text)
    except UserError as error:
        file.wrong(f"the template of '{path[-1]}' is broken", path, found=error.found)


def _config(file: File) -> LmEvalTask | None:
    """The part of a task that decides its results; None where it does not come out right."""
    told = _turns(file, file.values, (), {})
    description = file.get("description", "")
    if isinstance(description, str):
        _check_template(file, description, ("description",))
    until, longest = _generation(file)
    try:
        shots = Shots(**_shots(file, told))
        return LmEvalTask(
            **told,
            output_type=file.get("output_type", "generate_until"),
            process_docs=value_of(file, file.get("process_docs"), ("process_docs",)),
            process_results=value_of(file, file.get("process_results"), ("process_results",)),
            description=description,
            shots=shots,
            num_fewshot=file.get("num_fewshot"),
            until=until,
            max_gen_toks=longest,
            repeats=file.get("repeats", 1),
            filters=_filters(file),
            metrics=_metrics(file),
        )
    except ValidationError as error:
        for detail in error.errors():
            key = str(detail["loc"][0]) if detail["loc"] else ""
            if not any(f" {key}" in known.where for known in file.errors):
                file.wrong(detail["msg"], (key,), found=repr(detail.get("input"))[:80])
        return None


def _shots(file: File, told: Mapping[str, Any]) -> dict[str, Any]:
    """Where solved examples come from and how they are told."""
    own = file.get("fewshot_config", {})
    if not isinstance(own, Mapping):
        file.wrong("fewshot_config is a mapping", ("fewshot_config",), found=repr(own)[:80])
        own = {}
    for key in own:
        if key not in FEWSHOT_KEYS:
            file.wrong(f"unknown key '{key}'", ("fewshot_config", key), todo=did_you_mean(str(key), FEWSHOT_KEYS))
    if own.get("fewshot_indices") is not None:
        file.note(
            "lm-eval reads fewshot_indices and does not use them; neither are they used here",
            ("fewshot_config", "fewshot_indices"),
        )
    sampler = own.get("sampler", "default")
    if sampler not in ("default", "first_n"):
        expected = "default or first_n"
        file.wrong("this sampler is not supported", ("fewshot_config", "sampler"), expected=expected, found=str(sampler))
        sampler = "default"
    defaults = {name: field_.default for name, field_ in Turns.model_fields.items()}
    turns = _turns(file, own, ("fewshot_config",), {**defaults, **told})
    prepared = own.get("process_docs", file.get("process_docs"))
    split = own.get("split", file.get("fewshot_split"))
    return {
        **turns,
        "sampler": sampler,
        "process_docs": value_of(
            file, prepared, ("fewshot_config", "process_docs") if "process_docs" in own else ("process_docs",)
        ),
        "samples": value_of(file, own.get("samples"), ("fewshot_config", "samples")) if split is None else None,
        "same_rows": split == file.get("test_split"),
    }


def _generation(file: File) -> tuple[tuple[str, ...], int]:
    """Texts that end an answer, and its longest length; notes what would not be greedy."""
    own = file.get("generation_kwargs", {})
    delimiter = file.get("fewshot_delimiter", "\n\n")
    if not isinstance(own, Mapping):
        file.wrong("generation_kwargs is a mapping", ("generation_kwargs",), found=repr(own)[:80])
        return (delimiter,), 256
    path = ("generation_kwargs",)
    until = own.get("until", [delimiter])
    until = [until] if isinstance(until, str) else until if isinstance(until, list) else []
    limits = [own[key] for key in TOKEN_LIMITS if own.get(key) is not None]
    if own.get("do_sample") or (own.get("do_sample") is None and float(own.get("temperature") or 0) > 0):
        file.wrong("answers that are drawn at random are not supported", path, expected="do_sample: false", found=str(dict(own)))
    if (own.get("num_beams") or 1) != 1:
        file.wrong("beam search is not supported", (*path, "num_beams"), expected="1", found=str(own["num_beams"]))
    for key in own:
        if key not in ("until", "do_sample", "temperature", "num_beams", "top_p", "top_k", *TOKEN_LIMITS):
            file.note(f"'{key}' does nothing here", (*path, key))
    return tuple(str(text) for text in until if text != ""), int(limits[0]) if limits else 256


def _filters(file: File) -> tuple[Filter, ...]:
    """The filters of the file, or the one that takes the first answer."""
    found: list[Filter] = []
    given = file.get("filter_list", [])
    for number, entry in enumerate(given if isinstance(given, list) else [given]):
        path: KeyPath = ("filter_list", number)
        if not isinstance(entry, Mapping) or "name" not in entry or not isinstance(entry.get("filter"), list):
            file.wrong("a filter has a name and a list of steps", path, expected="{name: ..., filter: [{function: ...}]}")
            continue
        steps = [_step(file, step, (*path, "filter", at)) for at, step in enumerate(entry["filter"])]
        found.append(Filter(name=str(entry["name"]), steps=tuple(step for step in steps if step)))
    return tuple(found) or (Filter(),)


def _step(file: File, step: Any, path: KeyPath) -> Step | None:
    function = step.get("function") if isinstance(step, Mapping) else None
    if function not in FILTERS:
        known = (
            "lm-eval has it, but it is not supported here"
            if function in FILTERS_ELSEWHERE
            else did_you_mean(str(function), FILTERS)
        )
        file.wrong(f"unknown filter '{function}'", (*path, "function"), todo=known)
        return None
    options = {key: value for key, value in step.items() if key != "function"}
    for key in options:
        if key not in FILTERS[function]:
            file.wrong(f"filter '{function}' has no '{key}'", (*path, key), todo=did_you_mean(str(key), FILTERS[function]))
    return Step(function=function, options=value_of(file, options, path))


def _metrics(file: File) -> tuple[Scored, ...]:
    """The metrics of the file, or those of its output type."""
    kind = file.get("output_type", "generate_until")
    given = file.get("metric_list")
    if given is None:
        entries: Sequence[Any] = [{"metric": name} for name in DEFAULT_METRICS.get(kind, ())]
    else:
        entries = given if isinstance(given, list) else [given]
    found = [_scored(file, entry, ("metric_list", n) if given is not None else (), kind) for n, entry in enumerate(entries)]
    made = tuple(one for one in found if one)
    if not made and not file.errors:
        expected = ", ".join(name for name, rule in METRIC_RULES.items() if kind in rule.output_types)
        file.wrong("none of its metrics can be computed here", ("metric_list",), expected=expected)
    return made


def _scored(file: File, entry: Any, path: KeyPath, kind: str) -> Scored | None:
    """One entry of metric_list; None, with a mistake or a remark, for one that cannot be computed."""
    name = entry.get("metric") if isinstance(entry, Mapping) else None
    if isinstance(name, FunctionName) or not isinstance(name, str):
        message = "metrics that are functions are not supported" if name else "'metric' is missing"
        file.wrong(message, (*path, "metric"), todo="process_results may compute them" if name else "")
        return None
    own = file.get("process_results") is not None
    rule = METRIC_RULES.get(name)
    if not own and (rule is None or kind not in rule.output_types):
        if name in ELSEWHERE or rule:
            file.note(f"metric '{name}' of {kind} is not computed here", (*path, "metric"))
        else:
            known = [known for known, other in METRIC_RULES.items() if kind in other.output_types]
            file.wrong(f"unknown metric '{name}'", (*path, "metric"), todo=did_you_mean(name, known))
        return None
    aggregation = entry.get("aggregation", rule.aggregation if rule else "mean")
    if aggregation not in AGGREGATIONS:
        if isinstance(aggregation, FunctionName) or aggregation in AGGREGATIONS_ELSEWHERE:
            file.note(f"metric '{name}' is not computed here: its aggregation is {aggregation}", (*path, "aggregation"))
        else:
            todo = did_you_mean(str(aggregation), [*AGGREGATIONS, *AGGREGATIONS_ELSEWHERE])
            file.wrong(f"unknown aggregation '{aggregation}'", (*path, "aggregation"), todo=todo)
        return None
    options = {key: value for key, value in entry.items() if key not in METRIC_KEYS}
    known = rule.options if rule and not own else ()
    for key in options:
        if key not in known:
            near = did_you_mean(str(key), [*METRIC_KEYS, *known])
            file.note(f"metric '{name}' has no option '{key}', which lm-eval runs over ({near})", (*path, key))
    if entry.get("hf_evaluate"):
        file.note(f"metric '{name}' is lm-eval's, not that of the package evaluate", (*path, "hf_evaluate"))
    kept = {key: value for key, value in options.items() if key in known}
    return Scored(metric=name, aggregation=aggregation, options=value_of(file, kept, path))
