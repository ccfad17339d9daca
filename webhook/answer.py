"""What was answered, as values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from webhook.headers import Headers


class AnswerHead(NamedTuple):
    """A status and its headers, in their order; `reason` is as it came."""

    status_code: int
    reason: str
    headers: Headers


@dataclass(frozen=True, slots=True)
class Answer:
    """A final answer: its body up to the cap, and in `broken_by` what kept us from reading on.

    `after_ms`: how long the endpoint took to begin it.
    """

    status_code: int
    headers: Mapping[str, str]
    body: bytes
    after_ms: float | None = None
    broken_by: Exception | None = None
