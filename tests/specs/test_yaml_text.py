"""Whatever a YAML text says, it becomes plain values or an error with its line."""

import contextlib
import random
import time

import pytest
import yaml
from hostile_values import yaml_bomb

from harness.api.errors import UserError
from harness.specs import yaml_text
from harness.specs.loader import read_document
from harness.specs.yaml_text import SAFE_LOADER, plain_values


def refused(folder, text):
    (folder / "t.yaml").write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(UserError) as error:
        read_document(folder / "t.yaml")
    return str(error.value)


@pytest.mark.parametrize(
    "value",
    [
        "!!int x", "!!int ''", "!!int [1]", "!!float x", "!!float ''", "!!bool maybe", "!!timestamp x", "!!timestamp 2020-13-45",
        "!!binary '%%%'", "!!binary aGVsbG8=", "!!set {a, b}", "!!omap [a: 1]", "!!str [a]", "!!python/tuple [1]", "!unknown x",
        "2020-01-31", "2020-13-45", ".nan", ".inf", "1.0e+400", "9" * 5000, "-" + "9" * 5000, "0x" + "f" * 5000,
        "9223372036854775808", '"\\ud800"', '"a\\0b"', "=",
    ],
)  # fmt: skip
def test_a_value_that_is_not_what_it_says_is_told_with_its_line(tmp_path, value):
    message = refused(tmp_path, f"a: 1\nb:\n  c: {value}\n")
    assert "t.yaml:3" in message
    assert len(message) < 500


@pytest.mark.parametrize("key", ["1", "no", "null", "1.5", "[a]", "2020-01-31", ".nan"])
def test_a_key_that_is_no_text_is_told_with_its_line(tmp_path, key):
    (tmp_path / "t.yaml").write_text(f"a: 1\n{key}: x\n")
    try:
        errors = read_document(tmp_path / "t.yaml").errors
    except UserError as error:
        errors = (error,)
    assert [str(error).split(":")[1].split()[0] for error in errors] == ["2"]


@pytest.mark.parametrize("deep", ["[" * 200_000, "- " * 30_000 + "x", "? " * 30_000, "{a: " * 1500 + "1" + "}" * 1500])
def test_nesting_without_an_end_does_not_end_the_process(tmp_path, deep):
    assert "t.yaml:2" in refused(tmp_path, f"a: 1\nb: {deep}" if deep[0] in "[{" else f"a: 1\n{deep}")


def test_a_few_lines_that_say_billions_of_values_are_refused_at_once(tmp_path):
    began = time.monotonic()
    assert "100,000 values" in refused(tmp_path, f"a: {yaml_bomb()}\n")
    assert time.monotonic() - began < 10


def test_fifty_levels_are_read(tmp_path):
    (tmp_path / "t.yaml").write_text("a: " + "[" * 49 + "]" * 49)
    assert read_document(tmp_path / "t.yaml").values["a"] != []
    assert "nested too deep" in refused(tmp_path, "a: " + "[" * 52 + "]" * 52)


BLOCKS = [
    "- ",
    "? ",
    "\n- ",
    "\r- ",
    "\r - ",
    "\u2028   - ",
    "\x85     - ",
    "\u2029       - ",
    "\ufeff- ",
    "a:\n- ",
    "a:\n  ",
    "\n  - ",
]
BLOCKS += ["&x ", "!t ", " "]
FLOWS = [("[", "]"), ("[a: ", "]"), ("{a: ", "}"), ("[[", "]]")]


def nested(rng):
    """A text with some lists and mappings within each other, if it is YAML at all."""
    flows = [rng.choice(FLOWS) for _ in range(rng.randint(0, 4))]
    opened = [rng.choice(BLOCKS) for _ in range(rng.randint(0, 6))] + [begin for begin, _ in flows]
    return "".join([*opened, "b", *(end for _, end in reversed(flows))])


def depth_of(text):
    """Lists and mappings within each other, at most."""
    depth = deepest = 0
    for event in yaml.parse(text, Loader=SAFE_LOADER):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        deepest = max(deepest, depth)
    return deepest


def test_what_is_nested_too_deep_is_refused_before_there_are_nodes_however_it_is_written(monkeypatch):
    composed = []

    class Loader(SAFE_LOADER):
        def get_single_node(self):
            composed.append(self)
            return super().get_single_node()

    monkeypatch.setattr(yaml_text, "DEEPEST", 4)
    monkeypatch.setattr(yaml_text, "SAFE_LOADER", Loader)
    found = {True: 0, False: 0}
    ends = ("\n", "\r", "\r\n", "\x85", "\u2028", "\u2029")
    stairs = [end.join(["a:", *(f"{' ' * level}- " for level in range(8))]) + "b" for end in ends]
    for text in (*stairs, *(nested(random.Random(seed)) for seed in range(15_000))):
        try:
            deep = depth_of(text) > 5
        except yaml.YAMLError:
            continue
        found[deep] += 1
        composed.clear()
        with contextlib.suppress(UserError):
            plain_values(text, file="t.yaml")
        assert len(composed) == (not deep), text
    assert found[True] > 20
    assert found[False] > 1000


def test_a_text_that_cannot_be_deep_is_parsed_once(monkeypatch):
    parse, parsed = yaml.parse, []
    monkeypatch.setattr(yaml, "parse", lambda text, **options: parsed.append(text) or parse(text, **options))
    text = "task: t\ndata:\n  test:\n  - hub: x\n    names: [a, {b: c}]\n    to: '{{a}} [{{b}}]'\n"
    assert plain_values(text, file="t.yaml")["data"]["test"][0]["names"] == ["a", {"b": "c"}]
    assert parsed == []
    plain_values(f"{text}more: {'[' * 20}{']' * 20}\n", file="t.yaml")
    assert len(parsed) == 1


def test_of_two_mistakes_that_of_the_syntax_is_told_first():
    with pytest.raises(UserError, match=r"t\.yaml:3: not valid YAML"):
        plain_values("a: *nothing\nb: [1\n", file="t.yaml")
    with pytest.raises(UserError, match=r"t\.yaml:1: not valid YAML: found undefined alias"):
        plain_values("a: *nothing\nb: [1]\n", file="t.yaml")


def test_texts_of_others_keep_dates_as_texts_and_the_last_of_two_keys():
    text = "d: 2020-01-31\nt: 2001-12-14t21:59:43.10-05:00\nk: 1\nk: 2\n1: x\nm: {<<: {a: 1, b: 2}, b: 3}\n"
    assert plain_values(text, file="README.md") == {
        "d": "2020-01-31", "t": "2001-12-14t21:59:43.10-05:00", "k": 2, 1: "x", "m": {"a": 1, "b": 3},
    }  # fmt: skip
    assert plain_values("", file="README.md") is None
    with pytest.raises(UserError, match=r"README\.md:1: values are nested too deep, or an alias contains itself"):
        plain_values("a: &a {<<: *a}", file="README.md")
