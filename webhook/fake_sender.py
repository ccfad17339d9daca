"""A sender for tests: it answers what it was told to and remembers what it was asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eventstore.errors import ShortageError
from webhook.outcome import Outcome, OutcomeKind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from webhook.sender import WebhookRequest

_SUCCESS = Outcome(OutcomeKind.SUCCESS, None, 200, 1.0, "answered 200", "0" * 32)


class FakeSender:
    """Answers with `outcomes` in their order, then with a 200 for ever; `requests` are those it was sent.

    A ShortageError among the outcomes is raised, as a sender does that could not make the attempt.
    """

    def __init__(self, outcomes: Iterable[Outcome | ShortageError] = ()) -> None:
        self._outcomes = iter(outcomes)
        self.requests: list[WebhookRequest] = []
        self.is_closed = False

    def send(self, request: WebhookRequest) -> Outcome:
        """Return the next scripted outcome."""
        self.requests.append(request)
        outcome = next(self._outcomes, _SUCCESS)
        if isinstance(outcome, ShortageError):
            raise outcome
        return outcome

    def close_idle(self) -> None:
        """Keep nothing, and so close nothing."""

    def close(self) -> None:
        """Note that it was closed."""
        self.is_closed = True
