"""JSON Schemas of the YAML files, for editors that complete keys and mark mistakes while one types.

    schema = editor_schema("task")
    schema["properties"]["chance"]["description"]         # the string under the field, as docs and `show` have it
    editor_kinds()                                        # ['task', 'group', ..., 'languages']

They are made of the models that read the files, and are no stricter than these: what a schema refuses, `validate` refuses.
What only the whole catalog knows (names of tasks, languages of one's own) is suggested and not required.
"""

import inspect
from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel, BeforeValidator

from harness.api.errors import UserError, did_you_mean
from harness.api.registry import METRICS, READERS, TASK_TYPES, WORLDS
from harness.data.languages import languages
from harness.data.own_languages import CODE
from harness.planning.catalog.kinds import KINDS
from harness.specs.language import LanguageSpec
from harness.specs.model import Spec, field_docs
from harness.specs.recipe import Training

DIALECT = "https://json-schema.org/draft/2020-12/schema"
LANGUAGES = "languages"
"The kind of a table of languages of one's own, which has no name in it."
MADE = ("own_languages", "lm_eval", "stands_in_for")
"Keys of a task that are never written by hand."
INCLUDE = {
    "description": "YAML files whose keys this one takes over: mappings merge deep, lists replace, this file wins.",
    "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}],
}
TEXT = {"type": "string"}
Schema = dict[str, Any]


def editor_kinds() -> list[str]:
    """What there is a schema of."""
    return [*KINDS, LANGUAGES]


def editor_schema(kind: str) -> Schema:
    """The schema of a kind of file; raises UserError for a kind that there is not."""
    if kind == LANGUAGES:
        row = _plain_schema(LanguageSpec)
        return {
            "$schema": DIALECT,
            "type": "object",
            "patternProperties": {f"^{CODE.pattern}$": row},
            "additionalProperties": False,
        }
    if kind not in KINDS:
        raise UserError(f"there is no kind of file '{kind}'", todo=did_you_mean(kind, editor_kinds()))
    schema = {"$schema": DIALECT, "title": f"xlift: {kind}", **_plain_schema(KINDS[kind])}
    schema["properties"]["include"] = INCLUDE
    required = schema.pop("required", [])
    # What is required may stand in a file that is included, with which mappings merge; lists stand for themselves.
    for part in _merged_parts(schema, schema):
        part.pop("required", None)
    schema["allOf"] = [{"if": {"not": {"required": ["include"]}}, "then": {"required": required}}]
    if kind == "task":
        _narrow_task(schema)
    if kind == "recipe":
        _narrow_recipe(schema)
    return schema


def _plain_schema(model: type[BaseModel]) -> Schema:
    """What pydantic makes of a model, with the documentation of its fields and the short forms that validators take."""
    schema = _any_of(model.model_json_schema())
    found = {one.__name__: one for one in _models_in(model)}
    for name, part in [(model.__name__, schema), *schema.get("$defs", {}).items()]:
        if name not in found:
            continue
        docs = field_docs(found[name])
        for field, info in found[name].model_fields.items():
            own = part["properties"][field]
            own.pop("title", None)
            if "default" in own and isinstance(own["default"], dict | list) and not own["default"]:
                del own["default"]
            if _has_short_form(info.annotation, info.metadata):
                own = part["properties"][field] = _with_short_forms(own)
            if field in docs:
                own["description"] = " ".join(docs[field].split())
    return schema


def _merged_parts(part: Any, schema: Schema) -> Iterator[Schema]:
    """The parts of a file that lie in it as mappings within mappings."""
    for value in part.get("properties", {}).values():
        for one in (value, *value.get("anyOf", ())):
            name = one.get("$ref", "").removeprefix("#/$defs/")
            if name:
                yield schema["$defs"][name]
                yield from _merged_parts(schema["$defs"][name], schema)


def _any_of(part: Any) -> Any:
    """A schema in which a value may fit several alternatives: which one is meant, validators decide."""
    if isinstance(part, dict):
        return {"anyOf" if key == "oneOf" else key: _any_of(value) for key, value in part.items()}
    return [_any_of(value) for value in part] if isinstance(part, list) else part


def _models_in(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """A model and those of its fields, theirs included."""
    waiting: list[Any] = [model]
    seen: set[Any] = set()
    while waiting:
        one = waiting.pop()
        if inspect.isclass(one) and issubclass(one, BaseModel):
            if one not in seen:
                seen.add(one)
                yield one
                waiting += [info.annotation for info in one.model_fields.values()]
        else:
            waiting += get_args(one)


def _has_short_form(annotation: Any, metadata: Any = ()) -> bool:
    """Whether a validator of a field, or of what it holds, takes other values than its type says."""
    inner = [*metadata, *getattr(annotation, "__metadata__", ())]
    return any(isinstance(one, BeforeValidator) for one in inner) or any(map(_has_short_form, get_args(annotation)))


def _with_short_forms(own: Schema) -> Schema:
    """A list that may be written as its one item, an item that may be written as its name."""
    if own.get("type") != "array" or "items" not in own:
        return {"anyOf": [own, TEXT]}
    item = {"anyOf": [own["items"], TEXT]}
    return {"anyOf": [{**own, "items": item}, *item["anyOf"]]}


def _narrow_task(schema: Schema) -> None:
    """The names that exist, and the options and fields of each type."""
    properties, parts = schema["properties"], schema["$defs"]
    for name in MADE:
        del properties[name]
    properties["type"]["enum"] = names = [name for name in TASK_TYPES.names() if name != "lm_eval"]
    parts["Source"]["properties"]["reader"]["examples"] = READERS.names()
    parts["Source"]["properties"]["world"]["examples"] = WORLDS.names()
    parts["MetricUse"]["properties"]["metric"]["examples"] = METRICS.names()
    for key in ("languages", "train_languages", "translated_languages"):
        properties[key]["items"] = {"anyOf": [{"enum": list(languages())}, TEXT]}
    for name in names:
        module = TASK_TYPES.load(name)
        parts[f"options of {name}"] = _options(module.Options)
        fields = {
            field.removesuffix("?"): {**properties["fields"]["additionalProperties"], "description": meaning}
            for field, meaning in module.FIELDS.items()
        }
        then = {
            "options": {"$ref": f"#/$defs/options of {name}".replace(" ", "%20")},
            "fields": {"properties": fields, "additionalProperties": False},
        }
        schema["allOf"].append(
            {"if": {"properties": {"type": {"const": name}}, "required": ["type"]}, "then": {"properties": then}}
        )
    parts.pop("LmEvalTask", None)


def _narrow_recipe(schema: Schema) -> None:
    """The hyper-parameters of each phase."""
    parts = schema.setdefault("$defs", {})
    parts["Training"] = {**_options(Training), "description": Training.__doc__}
    own = {**parts["Training"]["properties"], "options": {"type": "object", "description": "Task options."}}
    parts["Training of a task"] = {**parts["Training"], "properties": own}
    for phase in ("defaults", "intermediate", "mixture", "with_masked_lm", "target"):
        told = schema["properties"][phase]["description"]
        schema["properties"][phase] = {"$ref": "#/$defs/Training", "description": told}
    schema["properties"]["tasks"]["additionalProperties"] = {"$ref": "#/$defs/Training%20of%20a%20task"}


def _options(model: type[Spec]) -> Schema:
    """A schema without parts of its own, to stand in another one."""
    schema = _plain_schema(model)
    assert "$defs" not in schema, model
    return schema
