from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhook import (
    SYSTEM_ACTOR,
    EventNameError,
    WebhookError,
    build_body,
    split_event,
)


def test_body_is_compact_json_with_its_keys_in_the_order_of_the_flow() -> None:
    body = build_body(action="critical", installation_id="7c1f", data_json=b'{"b":1,"a":[]}', actor_json=SYSTEM_ACTOR)

    assert body == (
        b'{"action":"critical","installation":{"uuid":"7c1f"},"data":{"b":1,"a":[]},'
        b'"actor":{"type":"application","id":"sentry","name":"Sentry"}}'
    )


@given(st.text(), st.text())
def test_any_text_survives_in_the_body(name: str, action: str) -> None:
    actor_json = json.dumps({"type": "user", "id": 7, "name": name}).encode()
    body = build_body(action=action, installation_id=name, data_json=b"{}", actor_json=actor_json)

    parsed = json.loads(body)
    assert parsed["action"] == action
    assert parsed["installation"] == {"uuid": name}
    assert parsed["actor"] == {"type": "user", "id": 7, "name": name}


def test_an_event_name_that_is_none_is_an_error_of_this_room() -> None:
    with pytest.raises(EventNameError) as caught:
        split_event("nonsense")

    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, WebhookError)
