"""Chat templates of model folders, rendered as transformers renders them and under the limits of all templates.

    write = chat_template(source, special_tokens={"bos_token": "<s>"}, where="models/small-chat")
    write([{"role": "user", "content": "Hi"}], add_generation_prompt=True)            # UserError for whatever goes wrong

Same options, filters, functions and tags as `apply_chat_template`; tests hold the texts of both against each other.  A chat
template is code that comes with a model: it may loop, or refuse a conversation.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

from jinja2 import nodes
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.utils import Namespace

from harness.api.errors import UserError
from harness.data.templates.compiled import CompiledTemplate, Dialect, compile_template
from harness.data.templates.environment import LimitedEnvironment
from harness.data.templates.filters import limited_filters

Messages = Sequence[Mapping[str, Any]]


class ChatRefused(UserError):
    """The template does not take this conversation (`raise_exception`); the message is its own."""


class _AnswerBlocks(Extension):
    """`{% generation %}` marks what the model writes, which is only asked for where masks are made."""

    tags = {"generation"}

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.CallBlock(self.call_method("_written"), [], [], body).set_lineno(line)

    def _written(self, caller: Callable[[], str]) -> str:
        return caller()


class _Dict:
    """`dict` without what hangs on the class."""

    def __call__(self, *args: Any, **kwargs: Any) -> dict[Any, Any]:
        return dict(*args, **kwargs)

    def fromkeys(self, *args: Any, **kwargs: Any) -> dict[Any, Any]:
        """dict.fromkeys."""
        return dict.fromkeys(*args, **kwargs)


class _PlainNamespace(Namespace):
    """`namespace`, without names that begin with an underscore."""

    def __init__(*args: Any, **kwargs: Any) -> None:
        self, rest = args[0], args[1:]
        values = dict(*rest, **kwargs)
        for name in values:
            _check_name(name)
        Namespace.__init__(self, values)

    def __setitem__(self, name: str, value: Any) -> None:
        _check_name(name)
        Namespace.__setitem__(self, name, value)


def _check_name(name: Any) -> None:
    if isinstance(name, str) and name.startswith("_"):
        raise SecurityError(f"a namespace holds no {name!r}")


def _raise_exception(message: str) -> None:
    raise ChatRefused(str(message)[:300])


def _tojson(value: Any, ensure_ascii: bool = False, indent: Any = None, separators: Any = None, sort_keys: bool = False) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def _environment() -> LimitedEnvironment:
    made = LimitedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[_AnswerBlocks, loopcontrols])
    made.filters |= {"tojson": limited_filters({"tojson": _tojson})["tojson"]}
    made.globals |= {
        "raise_exception": _raise_exception,
        "strftime_now": lambda text: datetime.now().strftime(text),
        "dict": _Dict(),
        "namespace": _PlainNamespace,
    }
    return made


@lru_cache(maxsize=1)
def _dialect() -> Dialect:
    made = _environment()
    return Dialect(plain=made, counting=made)


def chat_template(source: str, *, special_tokens: Mapping[str, Any], where: str) -> Callable[..., str]:
    """A function from messages, and what else the template may ask for, to its text; raises UserError for what is no Jinja2."""
    try:
        template: CompiledTemplate = compile_template(source, _dialect())
    except UserError as error:
        raise UserError("the chat template is not Jinja2", where=where, found=error.found, todo=error.todo) from None

    def write(messages: Messages, **more: Any) -> str:
        values = {**special_tokens, **more, "messages": [dict(message) for message in messages]}
        values = {"tools": None, "documents": None, "add_generation_prompt": False, **values}
        try:
            return template.render(values, what="the chat template")
        except ChatRefused:
            raise
        except UserError as error:
            raise error.at(where) from None

    return write
