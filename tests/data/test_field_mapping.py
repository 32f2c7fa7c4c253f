"""Fields are paths, templates, lists of both, or a template for each item; what cannot be computed is an error."""

import pytest
from small_mirrors import nli_task

from harness.api.errors import UserError
from harness.data.field_mapping import compile_fields
from harness.specs.task import TaskSpec, Template


def test_fields_are_paths_into_structures_and_lists_of_structures():
    mapped = compile_fields({"texts": "answers.text", "starts": "spans.start", "dotted": "a.b"})
    row = {"answers": {"text": ["x"]}, "spans": [{"start": 1}, {"start": 2}], "a.b": "whole name first", "a": {"b": "no"}}
    assert mapped(row) == {"texts": ["x"], "starts": [1, 2], "dotted": "whole name first"}
    assert compile_fields({"t": "answers.text"})({"answers": None}) == {"t": None}


def test_fields_are_templates():
    fields = {"source": Template(template="{{ s | trim }}"), "both": Template(template="{{ s }}<{{ a.text[0] }}>\n")}
    assert compile_fields(fields)({"s": " x\n", "a": {"text": ["&"]}}) == {"source": "x", "both": " x\n<&>\n"}


def test_fields_are_lists_of_columns_and_templates_or_a_template_for_each_item():
    fields = {"several": ("a", Template(template="{{ a }}!"), "c.d"), "each": Template(template="{{ a }} {{ item }}", each="c.e")}
    assert compile_fields(fields)({"a": "x", "c": {"d": "y", "e": ["1", "2"]}}) == {
        "several": ["x", "x!", "y"],
        "each": ["x 1", "x 2"],
    }
    task = nli_task(fields={"text": ["a", {"template": "{{ b }}"}], "label": {"template": "{{ item }}", "each": "c"}})
    assert task.fields == {"text": ("a", Template(template="{{ b }}")), "label": Template(template="{{ item }}", each="c")}
    assert TaskSpec.model_validate(task.model_dump(mode="json", exclude_defaults=True)) == task


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (("premise", "premis"), "did you mean 'premise'"),
        (Template(template="{{ item }}", each="premise"), "'premise' is no list"),
        (Template(template="{{ item }}", each="premis"), "did you mean 'premise'"),
        ("premis", "did you mean 'premise'"),
        ("premise.text", "goes into a value that has no parts"),
        (Template(template="{{ premis }}"), "'premis' is undefined"),
        (Template(template="{{ premise.__class__.__mro__ }}"), "unsafe|undefined"),
        (Template(template="{{ premise + 1 }}"), "TypeError"),
        (Template(template="{{ premise "), "is not Jinja2"),
    ],
)
def test_fields_that_cannot_be_computed_are_errors(value, message):
    with pytest.raises(UserError, match=f"(?s)field 'text'.*({message})"):
        compile_fields({"text": value})({"premise": "p"})
