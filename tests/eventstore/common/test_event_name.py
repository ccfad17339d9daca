"""The name of an event: what is one, and that the sender asks the same parser."""

import pytest

from eventstore.common.event_name import EVENT_NAME_CHARACTERS, parse_event_name
from eventstore.errors import EventNameInvalidError
from webhook import EventNameError, split_event


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("metric_alert.critical", ("metric_alert", "critical")),
        ("a.b", ("a", "b")),
        ("a." + "b" * (EVENT_NAME_CHARACTERS - 2), ("a", "b" * (EVENT_NAME_CHARACTERS - 2))),
    ],
)
def test_a_name_is_a_resource_and_an_action(name: str, parts: tuple[str, str]) -> None:
    assert parse_event_name(name) == parts
    assert split_event(name) == parts


@pytest.mark.parametrize(
    "name",
    [
        *("", "a", "a.", ".a", "a.b.c", "A.b", "a.B", "1a.b", "a b.c", "a.b\n", "a.b\r\nX: y", "\u00e9.b"),
        "a." + "b" * (EVENT_NAME_CHARACTERS - 1),
    ],
)
def test_what_is_no_name_is_refused_where_it_comes_in_and_where_it_would_go_out(name: str) -> None:
    with pytest.raises(EventNameInvalidError, match=r"is not an event name such as issue\.created"):
        parse_event_name(name)
    with pytest.raises(EventNameError, match=r"is not an event name such as issue\.created"):
        split_event(name)
