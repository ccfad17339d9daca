"""Loggers that are made when something is logged: structlog takes 0.1 s to import, and most commands log nothing."""

from collections.abc import Callable
from typing import Any

__all__ = ["LazyLog", "configure_later", "configure_now"]

_configure: list[Callable[[], None]] = []


class LazyLog:
    """Stands for `structlog.get_logger(name)`."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, method: str) -> Any:
        import structlog  # noqa: PLC0415

        configure_now()
        return getattr(structlog.get_logger(self._name), method)


def configure_later(configure: Callable[[], None]) -> None:
    """Configure logging before the first line is logged by a LazyLog, and not sooner."""
    _configure[:] = [configure]


def configure_now() -> None:
    """Do what is to be done before the first line, if that is still to come: for who loads structlog in any case."""
    while _configure:
        _configure.pop()()
