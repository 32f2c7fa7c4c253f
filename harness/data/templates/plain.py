"""Templates that only write columns one after the other, which need no Jinja2 to be filled in.

plain_parts("{{ a | trim }}: {{ b }}", OWN)       # [WrittenName('a', trimmed=True), ': ', WrittenName('b', trimmed=False)]
plain_parts("{{ a.b }} {{ c | upper }}", OWN)     # None
"""

from typing import NamedTuple

from jinja2 import nodes

from harness.data.templates.compiled import Dialect, parse_template


class WrittenName(NamedTuple):
    """A column that a template writes."""

    name: str
    trimmed: bool
    "Without the white space around it."


def plain_parts(source: str, dialect: Dialect) -> list[str | WrittenName] | None:
    """What a template writes, in order; None for one that does anything else.  Raises UserError for what is no Jinja2."""
    tree = parse_template(source, dialect)
    parts: list[str | WrittenName] = []
    for output in tree.body:
        if not isinstance(output, nodes.Output):
            return None
        for node in output.nodes:
            part = node.data if isinstance(node, nodes.TemplateData) else _written_name(node)
            if part is None or (isinstance(part, WrittenName) and part.name in dialect.plain.globals):
                return None
            parts.append(part)
    return parts or None


def _written_name(node: nodes.Expr) -> WrittenName | None:
    is_trimmed = (
        isinstance(node, nodes.Filter)
        and node.name == "trim"
        and not (node.args or node.kwargs or node.dyn_args or node.dyn_kwargs)
    )
    inner = node.node if is_trimmed and isinstance(node, nodes.Filter) else node
    return WrittenName(inner.name, is_trimmed) if isinstance(inner, nodes.Name) else None
