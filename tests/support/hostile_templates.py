"""Random Jinja2 templates, most of which do too much or make no sense.

text = hostile_template(random.Random("1 7"))
"""

import random

NUMBERS = ("0", "1", "3", "-1", "10**9", "99999", "10**30", "2**400", "1.5", "1e308", "7")
TEXTS = (
    "''", "'a'", "'%s %d'", "'%(a)s'", "'%*d'", "'{} {:>9}'", "'{a.b[0]!r:>{w}}'", "'<b>&'", "'a b\\nc'", "'\\ud800'",
    "text", "name",
)  # fmt: skip
ATOMS = (
    *NUMBERS, *TEXTS, "none", "true", "[]", "{}", "()", "items", "row", "row.a", "row['b']", "items[0]", "items[-1:]",
    "missing",
)  # fmt: skip
FILTERS = (
    "abs", "attr('format')", "batch(3)", "batch(10**9,", "0)", "capitalize", "center", "center(10**9)", "count",
    "default('x')", "dictsort", "e", "escape", "filesizeformat", "first", "float", "forceescape", "format(1,2)",
    "format(a=1)", "groupby(0)", "indent", "indent(10**9)", "int", "items", "join", "join(text)", "last", "length",
    "list", "lower", "map('upper')", "map('center',10**9)", "map(attribute='a')", "max", "min", "pprint", "random",
    "reject", "replace('a','bb')", "replace('',text)", "reverse", "round", "round(10**9)", "safe", "select",
    "selectattr('a')", "slice(3)", "slice(10**9)", "sort", "string", "striptags", "sum", "sum(start=[])", "title",
    "tojson", "tojson(indent=10**9)", "trim", "truncate(5)", "unique", "upper", "urlencode", "urlize", "wordcount",
    "wordwrap(1)", "xmlattr", "nothing",
)  # fmt: skip
METHODS = (
    "upper()", "center(10**9)", "format(1,2,w=10**9)", "format_map(row)", "join(items)", "join(items|map('string'))",
    "split()", "strip()", "zfill(10**9)", "expandtabs(10**9)", "replace('a','b'*99999)", "encode('utf-32')",
    "translate({97:'b'*99999})", "items()", "keys()", "get('a')", "index('a')", "count('a')", "to_bytes(10**9,'big')",
    "bit_length()", "append(1)", "pop()", "__class__", "__init__.__globals__", "a.b.c", "mro()", "fromkeys(items)",
)  # fmt: skip
BINARY = ("+", "-", "*", "/", "//", "%", "**", "~", "==", "<", "in", "and", "or", "is")
TESTS = ("defined", "none", "string", "odd", "divisibleby(0)", "in items", "sameas(1)", "nothing", "iterable")
CALLS = (
    "range({})", "range({}, {})", "lipsum({})", "dict(a={})", "namespace(x={})", "cycler({}, {})", "joiner({})",
    "m({})", "caller()", "loop({})", "self.b()", "super()", "loop.index", "loop.cycle({}, {})", "raise_exception({})",
)  # fmt: skip


def hostile_expression(rng: random.Random, depth: int) -> str:
    """A random expression."""
    pick = rng.random() if depth > 0 else 0.0
    inner = [hostile_expression(rng, depth - 1) for _ in range(2)] if depth > 0 else []
    if pick < 0.2:
        return rng.choice(ATOMS)
    if pick < 0.4:
        return f"({inner[0]} {rng.choice(BINARY)} {inner[1]})"
    if pick < 0.6:
        return f"{inner[0]}|{rng.choice(FILTERS)}"
    if pick < 0.7:
        return f"({inner[0]}).{rng.choice(METHODS)}"
    if pick < 0.8:
        return rng.choice(CALLS).format(*inner)
    if pick < 0.84:
        return f"({inner[0]} if {inner[1]} else {rng.choice(ATOMS)})"
    if pick < 0.88:
        return f"({inner[0]} is {rng.choice(TESTS)})"
    if pick < 0.92:
        return f"({inner[0]})[{inner[1]}]"
    return rng.choice(("[{}, {}]", "({}, {})", "{{'a': {}, 'b': {}}}")).format(*inner)


def hostile_template(rng: random.Random, depth: int = 3) -> str:
    """A random template: a few statements inside each other."""
    parts = []
    for _ in range(rng.randint(1, 3)):
        value = hostile_expression(rng, rng.randint(0, 3))
        body = hostile_template(rng, depth - 1) if depth > 0 and rng.random() < 0.6 else f"{{{{ {value} }}}}"
        parts.append(
            rng.choice(
                (
                    "{{{{ {value} }}}}",
                    "{{{{ {value} }}}}",
                    "text {{{{ {value} }}}} {{a}} ",
                    "{{% for i in {value} %}}{body}{{% endfor %}}",
                    "{{% for i in items recursive %}}{body}{{{{ loop({value}) }}}}{{% endfor %}}",
                    "{{% for i in range(99999) if {value} %}}{body}{{% else %}}-{{% endfor %}}",
                    "{{% if {value} %}}{body}{{% elif text %}}x{{% endif %}}",
                    "{{% set ns = namespace(x={value}) %}}{{% for i in range(40) %}}"
                    "{{% set ns.x = [ns.x, ns.x] %}}{{% endfor %}}{body}",
                    "{{% set text = {value} %}}{body}",
                    "{{% set name %}}{body}{{% endset %}}{{{{ name * 99 }}}}",
                    "{{% macro m(x) %}}{body}{{{{ m(x) }}}}{{% endmacro %}}{{{{ m({value}) }}}}",
                    "{{% block b %}}{body}{{% endblock %}}",
                    "{{% filter {filter} %}}{body}{{% endfilter %}}",
                    "{{% call m({value}) %}}{body}{{% endcall %}}",
                    "{{% with y = {value} %}}{body}{{% endwith %}}",
                    "{{% include {value} %}}",
                    "{{% autoescape true %}}{body}{{% endautoescape %}}",
                    "{{# {value} #}}{{% raw %}}{body}{{% endraw %}}",
                    "{{% for %}}{body}",
                    "{{{{ {value} ",
                )
            ).format(value=value, body=body, filter=rng.choice(FILTERS))
        )
    return "".join(parts)
