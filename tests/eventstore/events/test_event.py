import importlib
import json
import pkgutil
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import ValidationError

import eventstore.events as room
from eventstore.errors import UnknownEventError
from eventstore.events import catalogue, codec
from eventstore.events.catalogue import (
    EVENT_CLASSES,
    AttemptEvent,
    DisableEvidence,
    Event,
    InstallationWarned,
    MailSent,
)
from eventstore.events.codec import decode_event, encode_event

NAMES_OF_THE_DESIGN = {
    *("organization.registered", "app.registered", "app.changed", "installation.created", "installation.removed"),
    *("delivery.succeeded", "delivery.failed", "delivery.timed_out", "delivery.blocked", "delivery.missed"),
    *("delivery.exhausted", "installation.disabled", "installation.enabled", "audit.recorded"),
    *("mail.requested", "mail.sent", "mail.failed"),
}
LATER_NAMES = {
    "installation.counts_imported",
    *("organization.changed", "delivery.requeued", "delivery.dropped", "delivery.expired"),
    *("recovery.started", "recovery.completed", "probe.succeeded", "probe.failed"),
    *("installation.warned", "installation.warning_lifted", "breaker.opened", "breaker.closed", "endpoint.changed"),
    *("disabling.frozen", "disabling.thawed", "mail.digested"),
}

st.register_type_strategy(str, st.text(st.characters(exclude_categories=["Cs"]), max_size=8))
st.register_type_strategy(int, st.integers(-(2**63), 2**63 - 1))
st.register_type_strategy(float, st.floats(allow_nan=False, allow_infinity=False))


def classes_of(module: Any) -> set[type[Event]]:
    found = {value for value in vars(module).values() if isinstance(value, type) and issubclass(value, Event)}
    return found - {Event, AttemptEvent}


@pytest.mark.parametrize("event_class", EVENT_CLASSES.values(), ids=list(EVENT_CLASSES))
@given(data=st.data())
@settings(max_examples=15)
def test_every_event_comes_back_as_it_was_stored(event_class: type[Event], data: st.DataObject) -> None:
    event = data.draw(st.from_type(event_class))
    back = decode_event(event.type_name, event.schema, encode_event(event))

    assert back == event
    assert type(back) is event_class


def test_every_event_of_every_file_is_known_by_the_name_of_its_type() -> None:
    for module in pkgutil.iter_modules(room.__path__, f"{room.__name__}."):
        assert classes_of(importlib.import_module(module.name)) <= classes_of(catalogue), module.name

    assert set(EVENT_CLASSES.values()) == classes_of(catalogue)
    assert all(name == event_class.type_name for name, event_class in EVENT_CLASSES.items())


def test_a_type_name_is_given_once() -> None:
    with pytest.raises(TypeError, match=r"Other: MailSent is 'mail\.sent' already"):
        type("Other", (Event,), {"type_name": "mail.sent"})

    assert EVENT_CLASSES["mail.sent"] is MailSent


def test_events_are_those_of_the_design() -> None:
    assert set(EVENT_CLASSES) == NAMES_OF_THE_DESIGN | LATER_NAMES


@pytest.mark.parametrize("event_class", EVENT_CLASSES.values(), ids=list(EVENT_CLASSES))
def test_event_is_frozen(event_class: type[Event]) -> None:
    assert event_class.__struct_config__.frozen


def test_unknown_type_is_refused() -> None:
    with pytest.raises(UnknownEventError, match=r"'mail\.eaten' is not known to this version"):
        decode_event("mail.eaten", 1, "{}")


@pytest.mark.parametrize("schema", [0, 2, 99])
def test_unknown_schema_is_refused(schema: int) -> None:
    with pytest.raises(UnknownEventError, match=rf"mail\.sent with schema {schema} is not known"):
        decode_event("mail.sent", schema, '{"mail_id":"m","attempt":1}')


@pytest.mark.parametrize("schema", [0, 1])
@pytest.mark.parametrize("data", ["", "{", "[]", '{"mail_id":"m"}', '{"mail_id":1,"attempt":1}'])
def test_data_that_does_not_fit_is_refused(schema: int, data: str) -> None:
    with pytest.raises(UnknownEventError):
        decode_event("mail.sent", schema, data)


def test_field_of_a_later_version_is_passed_over() -> None:
    assert decode_event("mail.sent", 1, '{"mail_id":"m","attempt":1,"server":"x"}') == MailSent("m", 1)


def test_old_forms_are_upcast_step_by_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MailSent, "schema", 3)
    upcasters = {
        ("mail.sent", 1): lambda form: {"mail_id": form["id"]},
        ("mail.sent", 2): lambda form: form | {"attempt": 7},
    }
    monkeypatch.setattr(codec, "UPCASTERS", upcasters)

    assert decode_event("mail.sent", 1, '{"id":"m"}') == MailSent("m", 7)
    assert decode_event("mail.sent", 2, '{"mail_id":"m"}') == MailSent("m", 7)


def test_a_warning_of_before_says_its_progress() -> None:
    evidence = DisableEvidence("balanced", 1, "no-success", "no success", (), 7)
    warned = InstallationWarned("i", 1, 2, "https://a.example", 50, 0.5, evidence)
    of_before = encode_event(warned).replace('"progress"', '"nearness"')

    assert decode_event("installation.warned", 1, of_before) == warned


def test_missing_step_between_old_and_new_form_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MailSent, "schema", 3)
    monkeypatch.setattr(codec, "UPCASTERS", {("mail.sent", 1): lambda form: form})

    with pytest.raises(UnknownEventError, match=r"it has 3"):
        decode_event("mail.sent", 1, '{"mail_id":"m","attempt":1}')


def test_stored_form_is_compact_and_leaves_defaults_out() -> None:
    assert encode_event(MailSent("m", 1)) == '{"mail_id":"m","attempt":1}'
    assert json.loads(encode_event(catalogue.InstallationRemoved("i"))) == {"installation_id": "i"}


def test_event_cannot_be_changed() -> None:
    with pytest.raises((AttributeError, ValidationError)):
        MailSent("m", 1).attempt = 2  # type: ignore[misc]
