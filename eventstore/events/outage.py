"""Events of the outage rule: disabling is frozen while many fail at once."""

from typing import ClassVar

from eventstore.events.event import Event


class DisablingFrozen(Event, frozen=True):
    """So many installations have begun to fail at once that nothing is disabled, or held against one, for now."""

    type_name: ClassVar[str] = "disabling.frozen"
    active: int
    failing: int
    newly_failing: int
    organizations: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()


class DisablingThawed(Event, frozen=True):
    """No more than the usual share fails: what fails counts again."""

    type_name: ClassVar[str] = "disabling.thawed"
    active: int
    failing: int
