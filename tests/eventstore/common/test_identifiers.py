import uuid
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventstore.common.identifiers import (
    app_stream,
    installation_of,
    installation_stream,
    made_at,
    new_id,
    organization_stream,
    parse_uuid,
    parse_uuid_beginning,
)
from eventstore.errors import RejectedError


def test_new_id_is_a_uuid_of_version_7() -> None:
    made = uuid.UUID(new_id())

    assert (made.version, made.variant) == (7, uuid.RFC_4122)


def test_new_ids_differ() -> None:
    assert len({new_id() for _ in range(1000)}) == 1000


def test_id_made_in_a_later_millisecond_sorts_later(monkeypatch: pytest.MonkeyPatch) -> None:
    moments = iter(range(0, 2_000_000_000_000_000_000, 400_000_000_000_000_000))
    monkeypatch.setattr("time.time_ns", lambda: next(moments))
    made = [new_id() for _ in range(5)]

    assert made == sorted(made)


def test_a_new_id_says_when_it_was_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time_ns", lambda: 1_738_584_000_123_456_789)

    assert made_at(new_id()) == datetime(2025, 2, 3, 12, 0, 0, 123_000, UTC)


@pytest.mark.parametrize("other", ["7c1f0a52-3d0e-4f2c-9a55-0f3f6f2a1b10", "ffffffff-ffff-7fff-bfff-ffffffffffff"])
def test_another_id_does_not_say_when_it_was_made(other: str) -> None:
    assert made_at(other) is None


def test_uuid_is_given_in_canonical_spelling() -> None:
    assert parse_uuid("{7C1F0A523D0E4F2C9A550F3F6F2A1B10}") == "7c1f0a52-3d0e-4f2c-9a55-0f3f6f2a1b10"


def test_what_is_no_uuid_is_refused_in_short() -> None:
    with pytest.raises(RejectedError) as caught:
        parse_uuid("x" * 500)

    assert len(str(caught.value)) < 100


def test_streams_are_named_by_what_they_tell_of() -> None:
    assert (installation_stream("i"), app_stream(42), organization_stream(17)) == (
        "installation-i",
        "app-42",
        "organization-17",
    )


def test_installation_is_named_by_its_stream_and_by_no_other() -> None:
    assert installation_of(installation_stream("i")) == "i"
    assert installation_of("app-42") == ""


@given(st.uuids(), st.integers(6, 36))
def test_each_beginning_of_a_uuid_from_six_characters_on_is_one(identifier: uuid.UUID, length: int) -> None:
    assert parse_uuid_beginning(str(identifier)[:length].upper()) == str(identifier)[:length]


@pytest.mark.parametrize("text", ["", "12345", "2025-13-45", "1234567-", "%%%%%%", "12345g", "٣٣٣٣٣٣", "0" * 37])
def test_what_no_uuid_begins_with_is_refused(text: str) -> None:
    with pytest.raises(RejectedError, match="is neither a UUID nor its first 6"):
        parse_uuid_beginning(text)
