"""Templates of tasks can neither hang nor fill the memory, and give what plain Jinja2 gives where they do neither."""

import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from jinja2 import StrictUndefined
from jinja2.sandbox import ImmutableSandboxedEnvironment

from harness.api.errors import UserError
from harness.api.registry import ROOT
from harness.data.field_mapping import compile_fields
from harness.data.templates import matching_process, regular_expressions
from harness.data.templates.compiled import LM_EVAL, OWN, Dialect, compile_template, nulls_written
from harness.data.templates.limits import MAX_CHARACTERS, LimitExceeded
from harness.data.templates.matching_process import MatchingProcess
from harness.data.templates.regular_expressions import find_all, substitute
from harness.specs.task import Template

BIG = "{% set a = ['x' * 1000] * 1000 %}{% set b = [a] * 1000 %}{% set c = [b] * 1000 %}"
NS = "{%% set ns = namespace(x=%s) %%}{%% for i in range(99) %%}{%% set ns.x = %s %%}{%% endfor %%}"
TOO_MUCH = [
    "{{ 'a' * 10**10 }}",
    "{{ 10**10 * 'a' }}",
    "{{ [0] * 10**9 }}",
    "{{ 10**(10**9) }}",
    "{{ '%1000000000d' % 1 }}",
    "{{ '%.1000000000f' % 1.5 }}",
    "{{ '%*d' % (10**9, 1) }}",
    "{{ '%(x)s' * 1000 % {'x': 'a' * 10**6} }}",
    "{{ '%1000000000d' | format(1) }}",
    "{{ '{:1000000000}'.format(1) }}",
    "{{ '{:{w}}'.format(1, w=10**9) }}",
    "{{ '{x:>1000000000}'.format_map({'x': 1}) }}",
    "{{ ''.format(1) ~ '{0!r:>1000000000}'.format(1) }}",
    "{{ 'a'.center(10**10) }}",
    "{{ 'a'['ljust'](10**10) }}",
    "{{ ('a' | attr('rjust'))(10**10) }}",
    "{{ '1'.zfill(10**10) }}",
    "{{ '\t'.expandtabs(10**10) }}",
    "{{ (1).to_bytes(10**10, 'big') }}",
    "{{ ('a' * 10**6).translate({97: 'b' * 10**6}) }}",
    "{{ ('a' * 10**6).replace('a', 'b' * 10**6) }}",
    "{{ ('a' * 10**6) | replace('', 'b' * 10**6) }}",
    "{{ ('a' * 10**5).join(['b'] * 10**5) }}",
    "{{ (['b'] * 10**5) | join('a' * 10**5) }}",
    "{{ range(99999) | map('string') | join('x' * 1000) }}",
    "{{ ('a' * 10**5).join(range(99999) | map('string')) }}",
    "{{ 'a' | center(10**10) }}",
    "{{ ['a'] | map('center', 10**10) | list }}",
    "{% filter center(10**10) %}a{% endfilter %}",
    "{{ 'a\nb' | indent(10**9) }}",
    "{{ ('a\n' * 1000) | indent('b' * 10**5) }}",
    "{{ [1] | batch(10**9, 0) | list }}",
    "{{ [1] | slice(10**9) | list }}",
    "{{ 1.5 | round(10**9) }}",
    "{{ {'a': [1]} | tojson(indent=10**9) }}",
    "{{ ('x y' * 1000) | wordwrap(1, wrapstring='a' * 10**6) }}",
    "{{ ('<' * 10**5) | striptags }}",
    "{{ ('a@' * 10**5) | urlize }}",
    "{{ ([[1] * 1000] * 1000) | sum(start=[]) | length }}",
    "{% for i in range(10**9) %}a{% endfor %}",
    "{% for i in range(10**30) %}a{% endfor %}",
    "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    "{% for a in range(99999) %}{% for b in range(99999) if false %}{% endfor %}{% endfor %}",
    "{% for a in range(99999) %}{{ 'a' * 99999 }}{% endfor %}",
    "{% set x %}{% for i in range(99999) %}{{ 'abc' * 1000 }}{% endfor %}{% endset %}{{ x | length }}",
    "{% for i in range(99999) %}{{ ('a' * 10**6)[0:999999] | length }}{% endfor %}",
    "{% for i in range(99999) %}{{ ('a' * 10**6) | upper | length }}{% endfor %}",
    "{% for i in range(99999) %}{% if 'a' * 10**5 == 'a' * i %}{% endif %}{% endfor %}",
    "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(35) }}",
    "{% block a %}{{ self.a() }}{% endblock %}",
    "{% for x in [[1]] recursive %}{{ loop([[1]]) }}{% endfor %}",
    BIG + "{{ c }}",
    BIG + "{{ c | tojson }}",
    BIG + "{{ c ~ '' }}",
    BIG + "{{ '%s' % [c] }}",
    BIG + "{{ '{}'.format(c) }}",
    BIG + "{% if c == [c] %}{% endif %}",
    NS % ("'a' * 1000", "ns.x + ns.x"),
    NS % ("'a' * 1000", "ns.x ~ ns.x"),
    NS % ("[1]", "[ns.x, ns.x]") + "{{ ns.x }}",
    NS % ("(1,)", "(ns.x, ns.x)") + "{{ {ns.x: 1} }}",
    NS % ("3", "ns.x * ns.x"),
]


@pytest.mark.parametrize("source", TOO_MUCH)
@pytest.mark.parametrize("dialect", [OWN, LM_EVAL], ids=["own", "lm_eval"])
def test_a_template_that_would_fill_the_memory_or_hang_is_a_mistake(source: str, dialect: Dialect) -> None:
    with pytest.raises(UserError, match="the template does more than a template may") as error:
        compile_template(source, dialect).render({}, what="the template")
    assert "more memory" not in error.value.found  # it is counted, before the memory is asked for
    assert "seconds" not in error.value.found


@pytest.mark.parametrize(
    "source",
    [
        "{% include 'x' %}",
        "{% import 'x' as y %}",
        "{% extends 'x' %}",
        "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
        "{% for i in [1] %}" * 30 + "{% endfor %}" * 30,
        "a" * 300_000,
        "{{ x | random }}",
        "{{ x | no_filter }}",
        "{{ x is no_test }}",
        "{% for %}",
    ],
    ids=range(10),
)
def test_what_is_no_template_is_a_mistake(source: str) -> None:
    with pytest.raises(UserError, match="not a Jinja2 template"):
        compile_template(source, OWN)


@pytest.mark.parametrize(
    "source",
    [
        "{{ 1 / 0 }}",
        "{{ ().__class__ }}",
        "{{ lipsum() }}",
        "{{ x.y }}",
        "{{ (10**5000) | string }}",
        "{{ [1] | first() | join }}",
    ],
)
def test_whatever_a_template_raises_is_a_mistake_that_names_it(source: str) -> None:
    with pytest.raises(UserError, match="the template of field 'text'"):
        compile_fields({"text": Template(template=source)})({})


def test_an_output_has_at_most_a_million_characters() -> None:
    template = compile_template("{{ text }}", OWN)
    assert len(template.render({"text": "a" * MAX_CHARACTERS}, what="it")) == MAX_CHARACTERS
    with pytest.raises(UserError, match="it does more than a template may"):
        template.render({"text": "a" * (MAX_CHARACTERS + 1)}, what="it")


def test_a_count_does_not_depend_on_what_was_rendered_before() -> None:
    template = compile_template("{% for i in range(90000) %}{{ i % 7 }}{% endfor %}", OWN)
    assert len({template.render({}, what="it") for _ in range(5)}) == 1


def test_threads_do_not_spend_each_others_operations() -> None:
    template, found = compile_template("{% for i in range(90000) %}{{ i % 7 }}{% endfor %}", OWN), []
    threads = [threading.Thread(target=lambda: found.append(template.render({}, what="it"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len(set(found)) == 1


ROW: dict[str, Any] = {
    "premise": "Der Mann geht nach Hause , weil er müde ist .",
    "hypothesis": " Er ist <wach>. ",
    "choices": {"text": ["a", "b", "c", "d"], "label": ["A", "B", "C", "D"]},
    "answer": "C",
    "tokens": ["Er", "ist", "wach"],
    "label": 1,
    "score": 2.5,
    "deep": [{"a": [1, {"b": "x"}]}, {"a": []}],
    "many": list(range(300)),
}
ORDINARY = [
    "{{ premise }}, richtig? {{ hypothesis }}",
    "{{ premise | trim }} {{ hypothesis | lower | trim | upper | title | capitalize }}",
    "{{ choices.label.index(answer) }} {{ premise.split(' , ')[0] }} {{ hypothesis.strip() }}",
    "{{ '{} {:>8}'.format(label, answer) }}",
    "{{ premise[:3] | lower }}{{ premise[3:] }} {{ tokens[0] }} {{ tokens[-1] }} {{ tokens[1:] }}",
    "{{ choices['text'][label] }}",
    "{{ tokens | join(' ') }} {{ tokens | join(label | string) }} {{ deep | map(attribute='a') | list }} {{ many | sum }}",
    "{% if label == 1 %}{{ premise }}{% elif 'x' in premise %}b{% else %}{{ hypothesis }}{% endif %}",
    "{{ [premise + ', Ja, ' + hypothesis, premise ~ ', ' ~ label] }} {{ (1, 'a') }} {{ {'a': label} }}",
    "{{ {'a': 1}['a'] }}",
    "{% for t in tokens %}{{ loop.index }}/{{ loop.length }} {{ t }}{{ '' if loop.last else ', ' }}{% else %}none{% endfor %}",
    "{% for k, v in choices.items() %}{{ k }}: {{ v | join('|') }};{% endfor %}",
    "{% for i in range(5) if i % 2 %}{{ i }}{% endfor %}",
    "{% for x in deep recursive %}{{ x.a if x is mapping else x }}{{ loop([1, 2]) if x is mapping }}{% endfor %}",
    "{% macro m(x, n=2) %}{{ x * n }}{% if n %}{{ m(x, n - 1) }}{% endif %}{% endmacro %}{{ m('ab') }} {{ m(3, n=1) }}",
    "{% set names = {'1': 'eins', '2': 'zwei'} %}{{ names[label | string] }} {% set x %}[{{ premise }}]{% endset "
    "%}{{ x | length }}",
    "{{ premise | replace(' ,', ',') }} {{ premise.replace('e', '') }} {{ hypothesis | e }} {{ deep | tojson }}",
    "{{ score | round(1) }}",
    "{{ label * 2 }} {{ label ** 3 }} {{ label / 2 }} {{ label // 2 }} {{ label - 3 }} {{ -label }}",
    "{{ '%s: %05.2f' % (answer, score) }}",
    "{{ 'a' * 3 }} {{ [1] * 2 }} {{ tokens + ['x'] }} {{ many | batch(100) | list | length }}",
    "{{ many | slice(7) | list }}",
    "{{ premise | wordcount }} {{ premise | truncate(20) }} {{ premise | center(60) }} {{ premise | indent(2) }}",
    "{{ premise | wordwrap(9) }}",
    "{{ 'b' in 'abc' }} {{ label in [1, 2] }} {{ label is odd }} {{ label is in [1] }} {{ 1 < label <= 3 }}",
    "{{ tokens == ['Er'] }}",
    "{% set ns = namespace(n=0) %}{% for t in tokens %}{% set ns.n = ns.n + 1 %}{% endfor %}{{ ns.n }}",
    "{{ cycler('a', 'b').next() }}",
    "{% macro n() %}{{ caller('a') }}{% endmacro %}{% call(x) n() %}{{ x }}{% endcall %}",
    "{% with y = 3 %}{{ y }}{% endwith %}{% filter upper %}{{ premise }}{% endfilter %}",
    "{{ many | select('odd') | map('string') | list | unique | sort | reverse | list }}",
    "{{ deep | selectattr('a') | list }}",
    "{{ choices.text | groupby('0') | list }} {{ tokens | first }} {{ tokens | last }}",
    "{{ missing | default('none') }} {{ '' | d('x', true) }}",
    "{% raw %}{{ x }}{% endraw %} {# nothing #} {{- premise -}} x {% block b %}{{ premise }}{% endblock %}{{ self.b() }}",
    "{{ hypothesis | striptags }} {{ 'www.a.de' | urlize }} {{ {'a': 1} | xmlattr }} {{ 'x y' | urlencode }}",
    "{{ 5000000 | filesizeformat }}",
]


@pytest.mark.parametrize("source", ORDINARY)
def test_an_ordinary_template_gives_what_plain_jinja_gives(source: str) -> None:
    plain = ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=False, keep_trailing_newline=True)
    wanted = plain.from_string(source).render(ROW)
    assert compile_template(source, OWN).render(ROW, what="it") == wanted
    assert compile_template(source, LM_EVAL).render(ROW, what="it") == wanted


NULLS = [
    "{{ pair }}",
    "{{ pair | trim }}",
    "{{ text ~ ', ' ~ pair }}",
    "{{ pair | upper }}",
    "{{ [text, pair] | join(' ') }}",
    "{% for i in [1] %}{{ pair }}{% endfor %}",
    "{% if text %}{{ pair | string }}{% endif %}",
    "{{ deep.a }}",
]


@pytest.mark.parametrize("source", NULLS)
def test_a_null_is_an_error_in_our_templates_and_counted_in_those_of_lm_eval(source: str) -> None:
    row = {"text": "a", "pair": None, "deep": {"a": None}}
    with pytest.raises(UserError, match="it writes a value that is null"):
        compile_template(source, OWN).render(row, what="it")
    before = nulls_written()
    assert "none" in compile_template(source, LM_EVAL).render(row, what="it").lower()
    assert nulls_written() == before + 1


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{{ pair or '' }}", ""),
        ("{{ pair | default('-', true) }}", "-"),
        ("{% if pair is none %}no{% endif %}", "no"),
        ("{{ text if pair == none }}", "a"),
        ("{{ [pair] | length }}", "1"),
    ],
)
def test_a_template_may_ask_whether_a_value_is_null(source: str, text: str) -> None:
    before = nulls_written()
    for dialect in (OWN, LM_EVAL):
        assert compile_template(source, dialect).render({"text": "a", "pair": None}, what="it") == text
    assert nulls_written() == before


def test_nulls_are_those_of_a_thread() -> None:
    before, template = nulls_written(), compile_template("{{ pair }}", LM_EVAL)

    def written() -> int:
        begin = nulls_written()
        template.render({"pair": None}, what="it")
        return nulls_written() - begin

    assert in_a_thread(written) == 1
    assert nulls_written() == before


CATASTROPHIC = re.compile("(a+)+b")


def test_a_regular_expression_that_would_not_end_is_a_mistake() -> None:
    with pytest.raises(UserError, match="takes longer than"):
        find_all(CATASTROPHIC, "a" * 60, seconds=0.2)
    with pytest.raises(UserError, match="takes longer than"):
        substitute(CATASTROPHIC.pattern, "", "a" * 60, seconds=0.2)
    assert find_all(CATASTROPHIC, "xaab") == CATASTROPHIC.findall("xaab")


def in_a_thread(function: Callable[[], Any]) -> Any:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function).result()


def test_a_regular_expression_ends_in_other_threads_as_well() -> None:
    with pytest.raises(UserError, match="takes longer than"):
        in_a_thread(lambda: find_all(CATASTROPHIC, "a" * 60, seconds=0.3))
    assert in_a_thread(lambda: find_all(CATASTROPHIC, "xaab")) == ["aa"]
    with pytest.raises(LimitExceeded):
        in_a_thread(lambda: substitute("", "b" * 1000, "a" * 1000, most=10_000))
    with pytest.raises(IndexError, match="unknown group name"):
        in_a_thread(lambda: substitute("a", r"\g<no>", "a", most=10_000))


def test_one_process_matches_for_all_threads_and_another_where_it_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[Any] = []
    start = matching_process._started

    def noted() -> Any:
        started.append(start())
        return started[-1]

    monkeypatch.setattr(matching_process, "_started", noted)
    matching = MatchingProcess()
    monkeypatch.setattr(regular_expressions, "MATCHING", matching)
    for number in range(20):
        assert in_a_thread(partial(find_all, re.compile("[0-9]+"), f"a{number}b")) == [str(number)]
    assert len(started) == 1
    started[0].kill()
    started[0].wait()
    assert in_a_thread(lambda: find_all(re.compile("x"), "axb")) == ["x"]
    with pytest.raises(UserError):
        in_a_thread(lambda: find_all(CATASTROPHIC, "a" * 60, seconds=0.1))
    assert in_a_thread(lambda: find_all(re.compile("y"), "ayb")) == ["y"]
    assert len(started) == 3
    assert [process.poll() is None for process in started] == [False, False, True]
    started[2].stdin.close()
    assert started[2].wait(10) == 0, "it ends when nobody is there to ask"
    matching.end()


def test_an_answer_that_was_not_taken_is_not_that_of_the_next_call(monkeypatch: pytest.MonkeyPatch) -> None:
    matching = MatchingProcess()
    monkeypatch.setattr(regular_expressions, "MATCHING", matching)
    assert in_a_thread(lambda: find_all(re.compile("d"), "dd")) == ["d", "d"]
    with monkeypatch.context() as patch:
        patch.setattr(matching_process, "_received", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            in_a_thread(lambda: find_all(re.compile("d"), "ddd"))
    assert in_a_thread(lambda: find_all(re.compile("e"), "eee")) == ["e"] * 3
    matching.end()


def test_a_process_that_cannot_start_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(regular_expressions, "MATCHING", MatchingProcess())
    monkeypatch.setattr(matching_process, "_SERVES", "import sys; sys.exit(3)")
    with pytest.raises(RuntimeError, match="the process that matches regular expressions ended with code 3"):
        in_a_thread(lambda: find_all(re.compile("d"), "dd"))


ENDS_WITHIN = """
import os, re, threading, time
from harness.data.templates import regular_expressions
from harness.data.templates.matching_process import MATCHING
search = regular_expressions.find_all
threading.Thread(target=lambda: search(re.compile("(a+)+b"), "a" * 60, seconds=1.0), daemon=True).start()
while MATCHING._process is None:
    time.sleep(0.01)
time.sleep(0.3)
print(MATCHING._process.pid, flush=True)
os._exit(0)
"""


@pytest.mark.slow
def test_a_process_that_searches_ends_though_nobody_is_there_to_end_it() -> None:
    ended = subprocess.run([sys.executable, "-c", ENDS_WITHIN], capture_output=True, text=True, timeout=60, cwd=ROOT, check=True)
    process = Path("/proc") / ended.stdout.strip() / "stat"
    assert process.exists()
    for _ in range(200):
        if not process.exists() or process.read_text().split()[2] == "Z":
            return
        time.sleep(0.1)
    raise AssertionError("it searches for ever")


def test_what_replaces_a_match_has_a_limit() -> None:
    for pattern, replacement, text in [("", "b" * 1000, "a" * 1000), ("(?=(.*))", r"\1\1", "a" * 1000)]:
        with pytest.raises(LimitExceeded):
            substitute(pattern, replacement, text, most=10_000)
    for pattern, replacement, text in [
        (r"(\w+) (\w+)", r"\2-\g<1>\n", "ab cd ef gh"),
        ("a|(b)", r"[\1]", "ab"),
        ("a", "b", "aa"),
    ]:
        assert substitute(pattern, replacement, text, most=10_000) == re.sub(pattern, replacement, text)
        assert substitute(pattern, replacement, text, count=1, most=10_000) == re.sub(pattern, replacement, text, count=1)


def test_the_filter_of_lm_eval_has_both_limits() -> None:
    template = compile_template("{{ text | regex_replace(pattern, new) }}", LM_EVAL)
    assert template.render({"text": "a-b", "pattern": "[-]", "new": "+"}, what="it") == "a+b"
    with pytest.raises(UserError, match="it does more than a template may"):
        template.render({"text": "a" * 2000, "pattern": "", "new": "b" * 1000}, what="it")
