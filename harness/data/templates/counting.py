"""Puts counters into the syntax tree of a template, and tells which templates need none.

can_only_write(tree)                     # no loop, call, product or list: its cost is that of what it writes
with_counters(tree, counts=True)         # in place, before Python code is made of it
"""

from collections.abc import Iterator

from jinja2 import nodes

SHORT = 16
"Characters of a text that may be put between others, or in place of others, uncounted."
_PLAIN_FILTERS = (
    "abs capitalize count d default e escape first float int items last length list lower string title trim truncate "
    "upper wordcount"
)
PLAIN_FILTERS = frozenset(_PLAIN_FILTERS.split())
_PLAIN_METHODS = (
    "capitalize endswith get index items keys lower lstrip removeprefix removesuffix rstrip split splitlines startswith "
    "strip title upper values"
)
PLAIN_METHODS = frozenset(_PLAIN_METHODS.split())
_PLAIN = (
    nodes.Template,
    nodes.Output,
    nodes.TemplateData,
    nodes.Name,
    nodes.Const,
    nodes.Getattr,
    nodes.Slice,
    nodes.If,
    nodes.CondExpr,
    nodes.Compare,
    nodes.Operand,
    nodes.Not,
    nodes.And,
    nodes.Or,
    nodes.Test,
    nodes.Add,
    nodes.Sub,
    nodes.Neg,
    nodes.Pos,
    nodes.Concat,
    nodes.Getitem,
    nodes.List,
    nodes.Tuple,
    nodes.Dict,
    nodes.Pair,
    nodes.Assign,
)


def can_only_write(tree: nodes.Template) -> bool:
    """Whether a template does each of its few steps once, and none of them gives more than it gets."""
    found = list(_all(tree))
    if any(isinstance(node, nodes.Assign) for node in found) and any(_grows(node) for node in found):
        return False  # each step could double what the one before it has put together
    return all(_is_plain(node) for node in found)


def _grows(node: nodes.Node) -> bool:
    """Whether a step may give more than each of its parts."""
    if isinstance(node, nodes.List | nodes.Tuple | nodes.Dict):
        return any(not isinstance(part, nodes.Const | nodes.Pair) for part in _all(node) if part is not node)
    return isinstance(node, nodes.Add | nodes.Concat) or (isinstance(node, nodes.Filter) and node.name in ("join", "replace"))


def _all(node: nodes.Node) -> Iterator[nodes.Node]:
    """A node and all nodes below it."""
    stack = [node]
    while stack:
        one = stack.pop()
        yield one
        stack.extend(one.iter_child_nodes())


def _is_plain(node: nodes.Node) -> bool:
    if isinstance(node, nodes.Filter):
        if node.dyn_args is not None or node.dyn_kwargs is not None:
            return False
        if node.name in ("join", "replace"):
            return not node.kwargs and all(_is_short(arg) for arg in node.args)
        return node.name in PLAIN_FILTERS
    if isinstance(node, nodes.Call):
        is_method = isinstance(node.node, nodes.Getattr) and node.node.attr in PLAIN_METHODS
        return is_method and not node.kwargs and node.dyn_args is None and node.dyn_kwargs is None
    return type(node) in _PLAIN


def _is_short(node: nodes.Expr) -> bool:
    return isinstance(node, nodes.Const) and isinstance(node.value, str) and len(node.value) <= SHORT


def with_counters(tree: nodes.Template, *, counts: bool) -> None:
    """Change a tree so that texts are joined by the environment, and what is repeated or compared is paid for."""
    for node in list(_all(tree)):
        if counts and isinstance(node, nodes.For):
            node.iter = _filtered(node.iter, "_counted", nodes.Const(_size(node)))  # type: ignore[arg-type]
        if counts and isinstance(node, nodes.Macro | nodes.CallBlock | nodes.Block | nodes.For) and _may_recur(node):
            node.body.insert(0, nodes.ExprStmt(nodes.Const(_size(node)), lineno=node.lineno))
        if counts and isinstance(node, nodes.Compare):
            node.expr = _weighed(node.expr)
            for operand in node.ops:
                operand.expr = _weighed(operand.expr)
        elif counts and isinstance(node, nodes.Getitem):
            if isinstance(node.arg, nodes.Slice):
                node.node = _weighed(node.node)
            else:
                node.arg = _weighed(node.arg)
        elif counts and isinstance(node, nodes.Pair):
            node.key = _weighed(node.key)
    _join(tree)


def _join(node: nodes.Node) -> None:
    """Put `a ~ b` into the environment's hands, from the leaves upwards."""
    for name, value in node.iter_fields():
        if isinstance(value, list):
            value[:] = [_joined(one) if isinstance(one, nodes.Node) else one for one in value]
        elif isinstance(value, nodes.Node):
            setattr(node, name, _joined(value))


def _joined(node: nodes.Node) -> nodes.Node:
    _join(node)
    if not isinstance(node, nodes.Concat):
        return node
    parts: nodes.Expr = nodes.Tuple(node.nodes, "load", lineno=node.lineno)
    return _filtered(parts, "_joined")


def _may_recur(node: nodes.Node) -> bool:
    """Whether a body may be called by itself; a loop, where it says so, for what is inside of its items."""
    return not isinstance(node, nodes.For) or bool(node.recursive)


def _size(node: nodes.Node) -> int:
    """What one turn of a body costs: a unit for some nodes."""
    return 1 + sum(1 for _ in _all(node)) // 8


def _weighed(node: nodes.Expr) -> nodes.Expr:
    return node if isinstance(node, nodes.Const) else _filtered(node, "_weighed")


def _filtered(node: nodes.Expr, name: str, *args: nodes.Expr) -> nodes.Filter:
    return nodes.Filter(node, name, list(args), [], None, None, lineno=node.lineno)
