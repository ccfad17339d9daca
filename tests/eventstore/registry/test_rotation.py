import base64
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec.structs import replace

from eventstore.common.clock import ManualClock
from eventstore.errors import NotFoundError, RejectedError
from eventstore.events.catalogue import AppChanged
from eventstore.log.change_signal import change_version
from eventstore.log.event_log import last_position, read_events
from eventstore.projections.app_secrets import AppSecrets, read_secrets, signing_secrets
from eventstore.projections.audit import AuditEntry, read_audit
from eventstore.projections.registry import find_app
from eventstore.registry.apply import Change
from eventstore.registry.rotation import (
    LONGEST_OVERLAP,
    SecretRotation,
    SigningKey,
    ensure_signing_key,
    public_key_text,
    remove_signing_key,
    rotate_secret,
)
from eventstore.unit_of_work import Store
from tests.eventstore.documents import HEADER_VALUE, SECRET, WHOLE, WITH_SECRETS, apply_text

DAY = timedelta(days=1)
BY = "person:ann"

# RFC 8032, section 7.1, test 1.
SEED = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
PUBLIC = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")


@pytest.fixture(autouse=True)
def _registered(store: Store, tmp_path: Path) -> None:
    apply_text(store, tmp_path, WITH_SECRETS)


def rotate(store: Store, overlap: timedelta = DAY, new_secret: str | None = None) -> SecretRotation:
    with store.transaction() as transaction:
        return rotate_secret(transaction, 42, overlap=overlap, new_secret=new_secret, by=BY)


def make_key(store: Store, *, is_rotated: bool = False) -> SigningKey:
    with store.transaction() as transaction:
        return ensure_signing_key(transaction, 42, by=BY, is_rotated=is_rotated)


def remove_key(store: Store) -> bool:
    with store.transaction() as transaction:
        return remove_signing_key(transaction, 42, by=BY)


def kept(store: Store) -> AppSecrets:
    found = read_secrets(store.connection, 42)
    assert found is not None
    return found


def signing(store: Store) -> tuple[str, ...]:
    return signing_secrets(kept(store), store.clock.now())


def changes(store: Store) -> list[AppChanged]:
    return [stored.event for stored in read_events(store.connection) if isinstance(stored.event, AppChanged)]


def newest_audit(store: Store) -> AuditEntry:
    return read_audit(store.connection)[0]


# --- the client secret ---


def test_a_rotation_makes_a_random_secret_and_keeps_the_old_one_for_the_overlap(
    store: Store, clock: ManualClock
) -> None:
    done = rotate(store)
    old, new = signing(store)

    assert done == SecretRotation(secret_version=2, overlap_until="2025-02-04T12:00:00.000000Z")
    assert old == SECRET
    assert len(bytes.fromhex(new)) == 32
    clock.advance(days=1)
    assert signing(store) == (new,)


def test_headers_and_signing_key_outlast_a_rotation(store: Store) -> None:
    make_key(store)
    key = kept(store).signing_key
    rotate(store)

    assert kept(store).headers == (("X-Token", HEADER_VALUE),)
    assert key is not None
    assert kept(store).signing_key == key


def test_a_rotation_is_an_event_an_audit_entry_and_a_call_for_attention(store: Store) -> None:
    before = change_version(store.connection)
    rotate(store)

    (event,) = changes(store)
    assert (event.changed, event.secret_version, event.headers_version) == (("secret",), 2, 1)
    assert find_app(store.connection, 42).secret_version == 2
    entry = newest_audit(store)
    assert (entry.event, entry.actor, entry.target) == ("sentry-app.rotate-secret", BY, "organization:17")
    assert entry.data == {"name": "Pager"}
    assert change_version(store.connection) > before


def test_a_rotation_leaves_the_rest_of_the_app_as_it_was(store: Store) -> None:
    before = find_app(store.connection, 42)
    rotate(store)
    after = find_app(store.connection, 42)

    assert before != after
    assert replace(before, secret_version=after.secret_version) == after


def test_a_secret_that_is_handed_in_is_taken_as_it_is(store: Store) -> None:
    rotate(store, new_secret="chosen by the receiver")

    assert signing(store) == (SECRET, "chosen by the receiver")


def test_without_an_overlap_the_old_secret_ends_at_once(store: Store) -> None:
    done = rotate(store, timedelta(), "next")

    assert done.overlap_until is None
    assert signing(store) == ("next",)


def test_a_second_rotation_within_the_overlap_is_refused_and_changes_nothing(store: Store) -> None:
    rotate(store)
    before = kept(store), last_position(store.connection)

    with pytest.raises(RejectedError, match=r"sign until 2025-02-04T12:00:00.000000Z already"):
        rotate(store)
    assert (kept(store), last_position(store.connection)) == before


def test_a_leak_within_the_overlap_ends_both_secrets_at_once(store: Store) -> None:
    rotate(store)
    rotate(store, timedelta(), "third")

    assert signing(store) == ("third",)


def test_after_the_overlap_a_secret_can_be_rotated_again(store: Store, clock: ManualClock) -> None:
    rotate(store, new_secret="second")
    clock.advance(days=1)
    rotate(store, new_secret="third")

    assert signing(store) == ("second", "third")


@pytest.mark.parametrize("overlap", [-timedelta(seconds=1), LONGEST_OVERLAP + timedelta(seconds=1)])
def test_an_overlap_has_its_bounds(store: Store, overlap: timedelta) -> None:
    with pytest.raises(RejectedError, match="0 to 90 days"):
        rotate(store, overlap)


@pytest.mark.parametrize(("secret", "fault"), [("", "blank"), (" ", "blank"), (SECRET, "has this secret already")])
def test_a_blank_secret_and_the_present_one_are_refused_without_showing_them(
    store: Store, secret: str, fault: str
) -> None:
    with pytest.raises(RejectedError, match=fault) as refused:
        rotate(store, new_secret=secret)

    assert SECRET not in str(refused.value)
    assert changes(store) == []


def test_an_app_that_is_not_known_is_not_found(store: Store) -> None:
    with store.transaction() as transaction, pytest.raises(NotFoundError, match="app 43 is not known"):
        rotate_secret(transaction, 43, overlap=DAY, by=BY)


def test_an_app_without_a_secret_gets_its_first_and_nothing_overlaps(store: Store, tmp_path: Path) -> None:
    apply_text(store, tmp_path, WHOLE)
    store.connection.execute("DELETE FROM secrets")

    assert rotate(store, new_secret="the one of before") == SecretRotation(2, None, is_first=True)
    assert signing(store) == ("the one of before",)
    assert changes(store)[-1].changed == ("secret",)
    assert newest_audit(store).event == "sentry-app.rotate-secret"


def test_an_app_without_the_values_of_its_headers_gets_them_with_its_secret_or_neither(store: Store) -> None:
    store.connection.execute("DELETE FROM secrets")

    with pytest.raises(RejectedError, match=r"custom headers .*X-.*: hookfuse apply REGISTRY.toml gives it both"):
        rotate(store)
    assert read_secrets(store.connection, 42) is None


def test_an_app_without_a_secret_is_told_how_to_get_one(store: Store) -> None:
    store.connection.execute("DELETE FROM secrets")

    with pytest.raises(NotFoundError, match="app 42 has no secret here: give it one with hookfuse apply"):
        make_key(store)


@pytest.mark.parametrize("secret", ["", "  "])
def test_a_first_secret_is_not_blank(store: Store, tmp_path: Path, secret: str) -> None:
    apply_text(store, tmp_path, WHOLE)
    store.connection.execute("DELETE FROM secrets")

    with pytest.raises(RejectedError, match="is blank"):
        rotate(store, new_secret=secret)


def test_secrets_and_keys_are_nowhere_but_in_their_table(store: Store) -> None:
    made = rotate(store), make_key(store), make_key(store, is_rotated=True)
    secrets = kept(store)
    assert secrets.signing_key is not None
    seed = secrets.signing_key
    hidden = [SECRET, secrets.client_secret, repr(seed)[2:-1], seed.hex(), base64.b64encode(seed).decode()]
    tables = [row[0] for row in store.connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    dump = {table: repr(store.connection.execute(f"SELECT * FROM {table}").fetchall()) for table in tables}
    shown = repr((made, list(read_events(store.connection)), secrets))

    assert {table for table, rows in dump.items() if any(one in rows for one in hidden)} == {"secrets"}
    assert not [one for one in hidden if one in shown]


# --- a registry file after a rotation ---


def test_a_file_without_a_secret_keeps_the_rotated_one_and_the_overlap(store: Store, tmp_path: Path) -> None:
    rotate(store)
    make_key(store)
    before = kept(store)
    without = WITH_SECRETS.replace(f'secret = "{SECRET}"\n', "")

    assert apply_text(store, tmp_path, without) == []
    assert kept(store) == before
    assert apply_text(store, tmp_path, without.replace("/hook", "/new")) == [
        Change("changed", "app 42 (pager)", ("webhook_url",))
    ]
    assert kept(store) == before


def test_headers_that_change_leave_the_overlap_and_the_key_alone(store: Store, tmp_path: Path) -> None:
    rotate(store)
    make_key(store)
    before = kept(store)
    apply_text(store, tmp_path, WHOLE)

    assert kept(store) == AppSecrets(
        before.client_secret, (), before.previous_secret, before.previous_until, before.signing_key
    )


def test_a_file_that_has_the_rotated_secret_changes_nothing(store: Store, tmp_path: Path) -> None:
    rotate(store, new_secret="second")
    before = kept(store)

    assert apply_text(store, tmp_path, WITH_SECRETS.replace(SECRET, "second")) == []
    assert kept(store) == before


@pytest.mark.parametrize("overlap", [timedelta(), DAY])
@pytest.mark.parametrize("days_later", [0, 400])
def test_a_file_that_has_the_old_secret_still_is_refused_and_changes_nothing(
    store: Store, tmp_path: Path, clock: ManualClock, overlap: timedelta, days_later: int
) -> None:
    rotate(store, overlap)
    clock.advance(days=days_later)
    before = kept(store), last_position(store.connection)

    with pytest.raises(RejectedError, match="the one from before it was rotated") as refused:
        apply_text(store, tmp_path, WITH_SECRETS.replace('name = "Acme"', 'name = "Acme Inc"'))
    assert SECRET not in str(refused.value)
    assert (kept(store), last_position(store.connection)) == before


def test_a_person_may_go_back_to_the_old_secret_by_rotating(store: Store, tmp_path: Path) -> None:
    rotate(store)
    rotate(store, timedelta(), SECRET)

    assert signing(store) == (SECRET,)
    assert apply_text(store, tmp_path, WITH_SECRETS) == []


def test_a_third_secret_in_a_file_counts_at_once_and_ends_the_overlap(store: Store, tmp_path: Path) -> None:
    make_key(store)
    key = kept(store).signing_key
    rotate(store)

    assert apply_text(store, tmp_path, WITH_SECRETS.replace(SECRET, "third")) == [
        Change("changed", "app 42 (pager)", ("secret",))
    ]
    assert kept(store) == AppSecrets("third", (("X-Token", HEADER_VALUE),), signing_key=key)


# --- the signing key ---


def test_the_public_key_of_the_rfc_s_seed_is_the_rfc_s() -> None:
    assert public_key_text(SEED) == "whpk_" + base64.b64encode(PUBLIC).decode()


def test_a_signing_key_is_made_once(store: Store) -> None:
    first = make_key(store)
    before = last_position(store.connection)
    again = make_key(store)

    assert (first.is_new, again) == (True, SigningKey(first.public_key, is_new=False))
    assert last_position(store.connection) == before
    seed = kept(store).signing_key
    assert seed is not None
    public = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
    assert first.public_key == "whpk_" + base64.b64encode(public).decode()


def test_a_rotated_signing_key_is_another_one(store: Store) -> None:
    first, second = make_key(store), make_key(store, is_rotated=True)

    assert second.is_new
    assert first.public_key != second.public_key
    assert public_key_text(kept(store).signing_key or b"") == second.public_key


def test_a_signing_key_that_is_removed_is_gone(store: Store) -> None:
    make_key(store)

    assert remove_key(store)
    assert kept(store) == AppSecrets(SECRET, (("X-Token", HEADER_VALUE),))
    assert not remove_key(store)


def test_each_change_of_a_signing_key_is_an_event_and_an_audit_entry(store: Store) -> None:
    make_key(store)
    make_key(store, is_rotated=True)
    remove_key(store)
    remove_key(store)

    assert [(event.changed, event.secret_version) for event in changes(store)] == [(("signing_key",), 1)] * 3
    audits = read_audit(store.connection)
    assert [entry.event for entry in audits] == [
        "sentry-app.remove-signing-key",
        "sentry-app.rotate-signing-key",
        "sentry-app.add-signing-key",
    ]
    assert {(entry.actor, entry.target, entry.data["name"]) for entry in audits} == {(BY, "organization:17", "Pager")}
