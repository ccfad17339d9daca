"""docs/api.md, made from the docstrings of the face for Python: `python -m tests.api_page` writes it."""

import ast
import dataclasses
import inspect
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import eventstore
from eventstore import errors

__all__ = ["api_page"]

_PAGE = Path(__file__).parent.parent / "docs" / "api.md"
# What of a class is for those who import it; the rest is for the daemon.
_METHODS = {"Producer": ("send", "check", "close"), "Home": ("from_environment",)}
_HEAD = """\
# Python

<!-- Made by `python -m tests.api_page`; a test fails when it is not what the code gives. -->

What `import eventstore` has for producers, in any process on the machine that may open the home.
[Sending](sending.md) shows it at work, and [examples](../examples/README.md) has programs to start from. All other
modules may change at any time.
"""
_ERRORS = """\
## Errors

All of them are `EventStoreError`; their text is one line for a person, and never shows a secret. They stand in
`eventstore.errors`. The same call may be made again after `DatabaseError`, `ShortageError` and `HomeError`, best with
an idempotency key; after `DocumentError`, `RejectedError` and `NotFoundError` it would fail again.
"""


def api_page() -> str:
    """Return docs/api.md: each name of the face with its signature and docstring, and the tree of errors."""
    return "\n".join([_HEAD, *_names(), _ERRORS, f"```text\n{_tree()}\n```\n"])


def _names() -> Iterator[str]:
    for name in eventstore.__all__:
        thing = getattr(eventstore, name)
        if inspect.isclass(thing) and issubclass(thing, Exception):
            continue
        yield f"## `{name}`\n\n```text\n{_signature(name, thing)}\n```\n\n{_told(thing)}\n"
        for method in _METHODS.get(name, ()):
            function = inspect.getattr_static(thing, method)
            function = getattr(function, "__func__", function)
            yield f"### `{name}.{method}`\n\n```text\n{_signature(method, function)}\n```\n\n{_told(function)}\n"


def _told(thing: object) -> str:
    text = inspect.getdoc(thing)
    assert text, f"{thing} has no docstring"
    return text


def _signature(name: str, thing: Callable[..., Any] | type) -> str:
    arguments = list(_fields(thing)) if dataclasses.is_dataclass(thing) else _arguments(thing)
    returned = _returned(thing)
    arguments = [argument.replace("=", " = ").replace("''", '""') for argument in arguments]
    line = f"{name}({', '.join(arguments)}){returned}"
    if len(line) <= 100:
        return line
    return "\n".join([f"{name}(", *(f"    {argument}," for argument in arguments), f"){returned}"])


def _fields(thing: Any) -> Iterator[str]:
    for field in dataclasses.fields(thing):
        text = field.type.__name__ if isinstance(field.type, type) else str(field.type)
        default = "" if field.default is dataclasses.MISSING else f"={field.default!r}"
        yield f"{field.name}: {text}{default}"


def _definition(thing: Callable[..., Any] | type) -> ast.FunctionDef:
    function = thing.__init__ if inspect.isclass(thing) else thing
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(function))).body
    assert isinstance(definition, ast.FunctionDef)
    return definition


def _arguments(thing: Callable[..., Any] | type) -> list[str]:
    text = ast.unparse(_definition(thing).args)
    return [argument for argument in text.split(", ") if argument not in ("self", "cls")]


def _returned(thing: Callable[..., Any] | type) -> str:
    if inspect.isclass(thing):
        return ""
    returns = _definition(thing).returns
    return f" -> {ast.unparse(returns)}".replace("'", "") if returns else ""


def _tree() -> str:
    return _told(errors).partition("\n\n")[2].strip()


if __name__ == "__main__":
    _PAGE.write_text(api_page(), encoding="utf-8")
