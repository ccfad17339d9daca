from collections.abc import Iterator
from typing import get_args

import pytest
from msgspec import Struct
from msgspec.structs import fields

from eventstore.common.endpoint_url import URL_BYTES
from eventstore.common.identifiers import import_stream
from eventstore.events.catalogue import (
    EVENT_CLASSES,
    Event,
    InstallationCountsImported,
    MailFailed,
    MailSent,
    OrganizationRegistered,
)
from eventstore.transfer import event_check
from eventstore.transfer.event_check import LARGEST_COUNT, event_fault
from tests.eventstore.facts import INSTALLATION_ID
from tests.eventstore.histories import KINDS, event_of, registration

MOMENT = "2025-02-03T12:00:00.000000Z"
ACME = "https://acme.example/"


def organization(path: str) -> OrganizationRegistered:
    return OrganizationRegistered(17, "acme", "Acme", ACME + path, ())


def text_fields(struct: type[Struct]) -> Iterator[str]:
    for field in fields(struct):
        if field.type in (str, str | None):
            yield field.name
        for part in (field.type, *get_args(field.type)):
            if isinstance(part, type) and issubclass(part, Struct):
                yield from text_fields(part)


def test_all_texts_that_hold_a_moment_are_looked_at() -> None:
    names = {name for event_class in EVENT_CLASSES.values() for name in text_fields(event_class)}

    assert {name for name in names if name == "at" or name.endswith(("_at", "until"))} == event_check._MOMENTS


@pytest.mark.parametrize("kind", sorted(set(KINDS)))
def test_what_can_have_happened_has_no_fault(kind: str) -> None:
    stream, event = event_of((kind, 1, "gone", 0.0, 3), 5, 9)

    assert event_fault(stream, event, MOMENT) == ""


def test_a_registration_has_no_fault() -> None:
    assert [event_fault(new.stream, new.event, MOMENT) for new in registration()] == [""] * 7


@pytest.mark.parametrize(
    ("stream", "event", "fault"),
    [
        (import_stream(INSTALLATION_ID), MailFailed("m", 1, "given up"), ""),
        (
            import_stream("one"),
            MailFailed("m", 1, "given up"),
            "mail.failed belongs in the stream of an installation",
        ),
        ("mail", MailSent("m", 1), ""),
        ("fleet", MailSent("m", 1), "mail.sent belongs in the stream of an installation"),
        (
            f"installation-{INSTALLATION_ID}",
            InstallationCountsImported(INSTALLATION_ID, "2025-02-30", "file", "person:ada"),
            "day is not a day such as 2025-02-01: '2025-02-30'",
        ),
        ("organization-17", organization("é" * ((URL_BYTES - len(ACME)) // 2)), ""),
        # In characters it is short enough; parse_url would refuse it too.
        ("organization-17", organization("é" * (URL_BYTES // 2)), "url is not an http or https URL"),
        (
            f"installation-{INSTALLATION_ID}",
            InstallationCountsImported(INSTALLATION_ID, "2025-02-01", "file", "person:ada", fatal=LARGEST_COUNT + 1),
            "a count is above 1,000,000,000,000",
        ),
    ],
)
def test_an_event_is_looked_at_in_its_stream(stream: str, event: Event, fault: str) -> None:
    found = event_fault(stream, event, MOMENT)

    assert found.startswith(fault)
    assert bool(found) == bool(fault)
