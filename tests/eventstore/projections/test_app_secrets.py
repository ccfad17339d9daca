from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from eventstore.common.clock import time_text
from eventstore.projections.app_secrets import AppSecrets, read_secrets, signing_secrets, write_secrets
from eventstore.unit_of_work import Store

UNTIL = datetime(2025, 2, 4, 12, tzinfo=UTC)
ALL = AppSecrets("new", (("X-Token", "t"),), "old", time_text(UNTIL), b"k" * 32)


def test_all_that_is_kept_is_read_again(store: Store) -> None:
    with store.transaction() as transaction:
        write_secrets(transaction.connection, 42, ALL)

    assert read_secrets(store.connection, 42) == ALL


def test_an_app_without_secrets_has_none(store: Store) -> None:
    assert read_secrets(store.connection, 42) is None


def test_writing_takes_the_place_of_all_that_was_there(store: Store) -> None:
    with store.transaction() as transaction:
        write_secrets(transaction.connection, 42, ALL)
        write_secrets(transaction.connection, 42, AppSecrets("other"))

    assert read_secrets(store.connection, 42) == AppSecrets("other")


def test_nothing_is_in_the_repr() -> None:
    assert repr(ALL) == "AppSecrets()"


def test_a_secret_that_was_never_rotated_signs_alone() -> None:
    assert signing_secrets(AppSecrets("only"), UNTIL) == ("only",)


def test_both_sign_during_the_overlap_and_the_previous_one_comes_first() -> None:
    assert signing_secrets(ALL, UNTIL - timedelta(microseconds=1)) == ("old", "new")


def test_the_overlap_ends_at_its_moment() -> None:
    assert signing_secrets(ALL, UNTIL) == ("new",)


@given(offset=st.timedeltas(timedelta(days=-3650), timedelta(days=3650)))
def test_the_present_secret_signs_at_any_moment(offset: timedelta) -> None:
    names = signing_secrets(ALL, UNTIL + offset)

    assert names[-1] == "new"
    assert ("old" in names) is (offset < timedelta())
