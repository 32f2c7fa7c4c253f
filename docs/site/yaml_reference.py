"""The reference of YAML files: keys of each kind, of task types and readers, of --model_args and --prompt_args.

page = yaml_page("task", TaskSpec)
"""

import inspect
import json
from collections.abc import Iterable
from typing import Any

from markdown_parts import WRITTEN, code, docstring, joined, prose, table
from pydantic import BaseModel
from pydantic_core import PydanticUndefined, to_jsonable_python

from harness.api.registry import READERS, TASK_TYPES
from harness.planning.catalog.editor_schemas import MADE
from harness.specs.model import Spec, field_docs
from harness.specs.model_args import ModelArgs
from harness.specs.prompt import PromptArgs

FILES = {
    "task": "A dataset in all its languages.",
    "group": "A named list of tasks.",
    "recipe": "Hyper-parameters.",
    "preset": "A backbone by name.",
    "study": "A ladder of backbones with its hypotheses.",
    "device": "What plans are reckoned for.",
}


def yaml_page(kind: str, model: type[BaseModel]) -> str:
    """The keys of a kind of file."""
    return file_page(f"{kind}: NAME", FILES[kind], _parts_of(model))


def file_page(title: str, what: str, models: Iterable[type[BaseModel]]) -> str:
    """The keys of a file and of the parts of it."""
    first, *rest = models
    schema = "`run_eval.py schema` writes the same as JSON Schema, for editors."
    include = "Every file may begin with `include: [base.yaml]`: mappings merge deep, lists replace, the file itself wins."
    parts = [f"# {title}", WRITTEN, what, schema, include, docstring(first.__doc__ or ""), keys(first)]
    for one in rest:
        parts += [f"## {one.__name__}", docstring(one.__doc__ or ""), keys(one)]
    return joined(parts)


def _parts_of(model: type[BaseModel]) -> list[type[BaseModel]]:
    """A model and those that its fields hold, in the order of the fields."""
    found = [model]
    for one in found:
        for info in one.model_fields.values():
            inner = dict.fromkeys(_models_in(info.annotation))
            found += [each for each in inner if each not in found and each.__name__ != "LmEvalTask"]
    return found


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        return [annotation]
    return [each for part in getattr(annotation, "__args__", ()) for each in _models_in(part)]


def keys(model: type[BaseModel]) -> str:
    """A row for each key: its type, its default, its meaning."""
    docs = field_docs(model) if issubclass(model, Spec) else {}
    rows = []
    for name, info in model.model_fields.items():
        if name in MADE:
            continue
        if info.default is PydanticUndefined:
            default = "needed"
        elif isinstance(info.default, BaseModel) or info.default in (None, (), {}, ""):
            default = ""
        else:
            default = code(as_yaml(info.default))
        rows.append([code(name), prose(_type(info.annotation)), default, prose(docs.get(name, ""))])
    return table(["key", "type", "default", "meaning"], rows)


def as_yaml(value: Any) -> str:
    """A default as it is written in YAML."""
    return json.dumps(to_jsonable_python(value), ensure_ascii=False)


def _type(annotation: Any) -> str:
    """A type in the words of YAML."""
    inner = [each for each in getattr(annotation, "__args__", ()) if each is not type(None) and each is not Ellipsis]
    origin = getattr(annotation, "__origin__", None)
    names = {str: "text", int: "whole number", float: "number", bool: "true or false", dict: "mapping", Any: "anything"}
    if annotation in names:
        return names[annotation]
    if str(annotation).startswith("typing.Literal"):
        return " or ".join(as_yaml(each) for each in annotation.__args__)
    if origin is dict:
        return f"mapping of {_type(inner[1])}"
    if origin is tuple:
        return f"list of {_type(inner[0])}"
    if hasattr(annotation, "__metadata__"):
        return _type(annotation.__origin__)
    if inner:
        return " or ".join(dict.fromkeys(_type(each) for each in inner))
    return getattr(annotation, "__name__", str(annotation))


def task_types_page() -> str:
    """Types with their fields and options, readers with theirs."""
    parts = [
        "# Task types and readers",
        WRITTEN,
        "`type:` of a task names one of these; `fields:` and `options:` take its names.",
    ]
    for name in TASK_TYPES.names():
        module = TASK_TYPES.load(name)
        fields = [
            [code(field.removesuffix("?")), "" if field.endswith("?") else "yes", prose(text)]
            for field, text in module.FIELDS.items()
        ]
        parts += [f"## {name}", docstring(module.__doc__ or ""), f"Routes: {', '.join(module.ROUTES)}."]
        parts += [table(["field", "needed", "meaning"], fields)] if fields else []
        parts += ["Options:", keys(module.Options)] if module.Options.model_fields else []
    parts += ["# Readers", "`reader:` of a source names one of these."]
    for name in READERS.names():
        module = READERS.load(name)
        parts += [f"## {name}", docstring(module.__doc__ or ""), f"Files: {', '.join(map(code, module.ROLES))}."]
        parts += [keys(module.Options)] if module.Options.model_fields else []
    return joined(parts)


def arguments_page() -> str:
    """What --model_args and --prompt_args may say."""
    intro = "Keys of `--model_args K=V,...` and `--prompt_args K=V,...`; a list has `|` between its items."
    return joined(["# Arguments", WRITTEN, intro, "## --model_args", keys(ModelArgs), "## --prompt_args", keys(PromptArgs)])
