"""One installation as it was, and as it would have been by another policy."""

from dataclasses import replace
from datetime import date, datetime, timedelta

from eventstore.common.clock import parse_time
from eventstore.policies.day_counts import COUNTED_CLASSES, DayCounts
from replay.reading.raw_events import AttemptFacts
from replay.timeline.episode import Ending, Episode, InstallationOutcome, Notice
from replay.what_if.review_skip import UNLIMITED, Past, ReviewSkip

__all__ = ["SimulatedInstallation"]


class SimulatedInstallation:
    """What is known of one installation at a moment of its history.

    `is_on`: by the policy it would be sent to. `failures_left` and `successes_left`: so many outcomes of `day` are
    sure to change nothing; below 0 a review is due. `is_checked_last`: the policy has it checked after an outcome such
    as the latest one. `past` is None until it is asked for.
    """

    __slots__ = (
        "_attempts_saved",
        "_avoided",
        "_delivered",
        "_episode",
        "_episodes",
        "_missed",
        "_off_at",
        "app_id",
        "day",
        "days",
        "failures_left",
        "installation_id",
        "is_begun",
        "is_checked_last",
        "is_exempt",
        "is_on",
        "past",
        "real_state",
        "real_warned_level",
        "successes_left",
        "today",
        "warned_level",
    )

    def __init__(self, installation_id: str) -> None:
        self.installation_id = installation_id
        self.app_id = 0
        self.is_begun = False
        self.is_checked_last = False
        self.is_exempt = True
        self.is_on = False
        self.real_state = "removed"
        self.real_warned_level = self.warned_level = 0
        self.day = ""
        self.days: dict[str, list[int]] = {}
        self.today = [0] * len(COUNTED_CLASSES)
        self.past: Past | None = None
        self.failures_left = self.successes_left = UNLIMITED
        self._off_at: datetime | None = None
        self._episode: Episode | None = None
        self._episodes: list[Episode] = []
        self._missed = self._delivered = self._attempts_saved = self._avoided = 0

    @property
    def is_reviewed(self) -> bool:
        """Return whether the policy is asked about it at all."""
        return self.is_on and self.is_begun and not self.is_exempt

    def make_due(self) -> None:
        """Require a review of the next outcome, whatever was known before."""
        is_reviewed = self.is_on and self.is_begun and not self.is_exempt  # not by the property: this is asked often
        self.failures_left = self.successes_left = -1 if is_reviewed else UNLIMITED

    def allow(self, margin: ReviewSkip) -> None:
        """Allow so many outcomes of the day without a review."""
        self.failures_left, self.successes_left = max(0, margin.failures), max(0, margin.successes)

    def turn_to(self, day: str, window_days: int) -> None:
        """Go to another day. Those of two windows are kept, as a clock may step back."""
        self.day = day
        today = self.days.get(day)
        if today is None:
            today = self.days[day] = [0] * len(COUNTED_CLASSES)
            if len(self.days) > 3 * window_days:
                oldest = (date.fromisoformat(day) - timedelta(days=2 * window_days)).isoformat()
                self.days = {one: tally for one, tally in self.days.items() if one >= oldest}
        self.today = today
        self.past = None
        self.make_due()

    def day_counts(self) -> list[DayCounts]:
        """Return the counts as they are evaluated."""
        return [DayCounts(day, *tally) for day, tally in self.days.items()]

    # --- what actually happened ---

    def begin(self, at: str, position: int) -> None:
        """Start again, on, with an empty buffer: it was created, or enabled."""
        self._close()
        self._episode = Episode(at, position)
        self.real_state, self.real_warned_level = "active", 0
        self.is_on, self.warned_level, self._off_at = True, 0, None
        self.day, self.days = "", {}
        self.is_checked_last = False
        self.make_due()

    def begin_to_suppose(self, at: str, position: int) -> None:
        """From here on the policy is asked, and begins with things as they are."""
        self.is_begun = True
        self._episodes.clear()
        if self._episode is not None:
            self._episode = Episode(at, position)
        self._missed = self._delivered = self._attempts_saved = self._avoided = 0
        self.is_on, self.warned_level = self.real_state == "active", self.real_warned_level
        self.make_due()

    def remove(self) -> None:
        """It was removed: nothing more happens to it."""
        self._close()
        self.real_state, self.is_on = "removed", False
        self.make_due()

    def disable_really(self, ending: Ending) -> None:
        """It was disabled; what a person decides stands in both worlds."""
        self.real_state, self.real_warned_level = "disabled", 0
        if self._episode is not None:
            self._episode = replace(self._episode, actually_disabled=ending)
        if ending.cause == "person" or not self.is_begun:
            self.is_on = False
            self.make_due()

    def warn_really(self, notice: Notice) -> None:
        """Its owners were warned."""
        self.real_warned_level = notice.level
        if self._episode is not None and self.is_begun:
            self._episode = replace(self._episode, actually_warned=(*self._episode.actually_warned, notice))

    # --- what would have happened ---

    def disable(self, ending: Ending) -> None:
        """It would have been disabled."""
        assert self._episode is not None  # noqa: S101 - only what is on is reviewed
        self._episode = replace(self._episode, disabled=ending)
        self.is_on, self.warned_level, self._off_at = False, 0, parse_time(ending.at)
        self.make_due()

    def warn(self, notice: Notice) -> None:
        """Its owners would have been warned."""
        assert self._episode is not None  # noqa: S101 - as above
        self._episode = replace(self._episode, warned=(*self._episode.warned, notice))
        self.warned_level = notice.level

    def save_attempt(self, facts: AttemptFacts, recorded_at: str, *, is_success: bool) -> None:
        """Count an attempt that would not have been made; one that was under way at the disabling would."""
        if self._off_at is None or self.real_state != "active":
            return
        if parse_time(recorded_at) - timedelta(milliseconds=facts.duration_ms) < self._off_at:
            return
        self._attempts_saved += 1
        self._missed += facts.attempt == 1
        self._delivered += is_success

    def spare(self) -> None:
        """Count a delivery that was actually missed, and would have been sent."""
        if self.is_on and self.real_state == "disabled":
            self._avoided += 1

    def outcome(self) -> InstallationOutcome:
        """Return all of it."""
        self._close()
        return InstallationOutcome(self.installation_id, self.app_id, tuple(self._episodes))

    def _close(self) -> None:
        if self._episode is not None:
            self._episodes.append(
                replace(
                    self._episode,
                    missed=self._missed,
                    delivered=self._delivered,
                    attempts_saved=self._attempts_saved,
                    avoided=self._avoided,
                )
            )
        self._episode = None
        self._missed = self._delivered = self._attempts_saved = self._avoided = 0
