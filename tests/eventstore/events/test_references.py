from collections.abc import Iterator
from typing import get_args

from msgspec import Struct
from msgspec.structs import fields

from eventstore.events.catalogue import (
    EVENT_CLASSES,
    DisableEvidence,
    FailureRecord,
    InstallationDisabled,
    InstallationWarned,
    MailRequested,
)
from eventstore.events.references import is_same_event, referred_positions, with_positions
from tests.eventstore.facts import succeeded

FIRST, LAST = FailureRecord(3, "at", 500, "gone"), FailureRecord(5, "at", 500, "gone")
EVIDENCE = DisableEvidence("p", 1, "r", "e", (), 9, FIRST, LAST)
WARNED = InstallationWarned("i", 1, 17, "https://x", 50, 0.5, EVIDENCE)
DISABLED = InstallationDisabled("i", 1, 17, "https://x", "policy", "system", "why", EVIDENCE)
MAIL = MailRequested("m", "<m@x>", "ada@x", "integration-disabled", 7)


def number_fields(struct: type[Struct]) -> Iterator[str]:
    """Return the whole numbers within a value, those of values within it too."""
    for field in fields(struct):
        if field.type is int:
            yield field.name
        for part in (field.type, *get_args(field.type)):
            if isinstance(part, type) and issubclass(part, Struct):
                yield from number_fields(part)


def test_all_that_names_a_position_is_translated() -> None:
    named = {
        name: {field for field in number_fields(event_class) if "position" in field}
        for name, event_class in EVENT_CLASSES.items()
    }

    assert {name: found for name, found in named.items() if found} == {
        "installation.disabled": {"up_to_position", "position"},
        "installation.warned": {"up_to_position", "position"},
        "mail.requested": {"about_position"},
    }


def test_positions_are_given_and_translated_and_the_rest_stays() -> None:
    assert [referred_positions(event) for event in (WARNED, DISABLED, MAIL)] == [(9, 3, 5), (9, 3, 5), (7,)]
    for event in (WARNED, DISABLED, MAIL):
        moved = with_positions(event, lambda position: position + 100)

        assert referred_positions(moved) == tuple(position + 100 for position in referred_positions(event))
        assert with_positions(moved, lambda position: position - 100) == event


def test_an_event_that_names_none_is_given_as_it_is() -> None:
    by_hand = InstallationDisabled("i", 1, 17, "https://x", "person", "person:ada", "why")

    for event in (succeeded(), by_hand):
        assert referred_positions(event) == ()
        assert with_positions(event, lambda position: position + 1) is event


def test_a_position_that_is_not_known_on_one_side_is_no_difference_and_another_position_is_one() -> None:
    unknown = with_positions(DISABLED, lambda position: 0 if position == 3 else position)
    other = with_positions(DISABLED, lambda position: 4 if position == 3 else position)

    assert is_same_event(DISABLED, unknown)
    assert is_same_event(unknown, DISABLED)
    assert not is_same_event(DISABLED, other)
    assert not is_same_event(DISABLED, WARNED)
    assert not is_same_event(MAIL, MailRequested("m", "<m@x>", "bob@x", "integration-disabled", 7))
