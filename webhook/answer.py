"""What was answered, as values."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from webhook.headers import Headers


class AnswerHead(NamedTuple):
    """A status and its headers, in their order; `reason` is as it came."""

    status_code: int
    reason: str
    headers: Headers
