"""When one installation asks to be reviewed, and what waits for the answer."""

from actors.delivery.installation_dependencies import InstallationDependencies
from actors.messages import Ref, ReviewInstallation, tell_if_alive
from eventstore.decisions.review import needs_review
from eventstore.events.catalogue import AttemptEvent, DeliverySucceeded
from eventstore.policies.day_counts import counted_class_of
from eventstore.policies.policy import is_checked_after
from eventstore.policies.recent_outcomes import RecentOutcomes
from eventstore.policies.scope import may_be_disabled
from eventstore.projections.registry import Endpoint
from eventstore.views.evaluation import read_evaluation
from webhook import ErrorClass

__all__ = ["ReviewAsker"]


class ReviewAsker:
    """Owns whether an installation waits for a review, and what was recorded meanwhile.

    It looks before it asks, so that a failure that changes nothing costs no transaction: what is decided is decided by
    the review alone. `is_holding_back`: it looks broken, and is sent nothing until the answer.
    """

    def __init__(self, installation_id: str, dependencies: InstallationDependencies, ref: Ref) -> None:
        self._installation_id = installation_id
        self._dependencies = dependencies
        self._ref = ref
        self._is_asked = False
        self.is_holding_back = False
        # It may be what a decision hangs on: a 410, else a failure, else the first.
        self._unconsidered: tuple[AttemptEvent, int] | None = None

    def make_up(self, endpoint: Endpoint, recent: RecentOutcomes, position: int) -> None:
        """Ask for a review that a crash may have come before; all was read as of `position`."""
        if not recent.has_failed_last or not self._is_reviewable(endpoint):
            return
        if recent.is_gone_last and self._dependencies.policy.gone_disables:
            self._ask(gone_at=position, is_holding_back=True)
        elif is_checked_after(self._dependencies.policy, recent.last_class):
            self._look(endpoint)

    def consider(self, endpoint: Endpoint | None, event: AttemptEvent, position: int) -> None:
        """After an outcome, look whether it is broken, to be warned of, or calm again."""
        is_success = isinstance(event, DeliverySucceeded)
        is_gone = self._dependencies.policy.gone_disables and event.error_class == ErrorClass.GONE
        if not is_success and not is_gone and not is_checked_after(self._dependencies.policy, counted_class_of(event)):
            return
        if self._is_asked:
            self._remember(event, position)
        if endpoint is None or not self._is_reviewable(endpoint):
            return
        if is_gone:
            self._ask(gone_at=position, is_holding_back=True)
        elif not is_success or endpoint.installation.warned_level > 0:
            self._look(endpoint)

    def answered(self, endpoint: Endpoint | None) -> None:
        """Go on after the answer with what was recorded meanwhile."""
        self._is_asked = self.is_holding_back = False
        unconsidered, self._unconsidered = self._unconsidered, None
        if unconsidered is not None:
            self.consider(endpoint, *unconsidered)

    def _remember(self, event: AttemptEvent, position: int) -> None:
        kept = self._unconsidered
        if kept is None or isinstance(kept[0], DeliverySucceeded) or event.error_class == ErrorClass.GONE:
            self._unconsidered = event, position

    def _is_reviewable(self, endpoint: Endpoint) -> bool:
        is_active = endpoint.installation.is_active
        return (
            not self._is_asked and is_active and may_be_disabled(endpoint.app.status, self._dependencies.disable_scope)
        )

    def _look(self, endpoint: Endpoint) -> None:
        dependencies = self._dependencies
        with dependencies.readers.borrow() as connection:
            evaluation = read_evaluation(
                connection, self._installation_id, dependencies.policy, dependencies.clock.now()
            )
        if needs_review(evaluation, endpoint.installation, is_warned=dependencies.is_warned):
            self._ask(is_holding_back=evaluation.is_broken)

    def _ask(self, *, is_holding_back: bool, gone_at: int | None = None) -> None:
        self._is_asked, self.is_holding_back = True, is_holding_back
        # With a supervisor that was stopped the next daemon's first failure asks.
        tell_if_alive(self._dependencies.supervisor, ReviewInstallation(self._installation_id, self._ref, gone_at))
