"""What the daemon says at its start."""

from pathlib import Path

import pytest
import structlog

from eventstore.home.folder import Home
from eventstore.unit_of_work import Store
from runner import _warn_of_certificates
from tests.eventstore.facts import register
from tests.webhook.certificates import PrivateCa


@pytest.mark.parametrize(
    ("days", "said"),
    [
        (60, []),
        (20, [("client_certificate_expires_soon", "used until then")]),
        (-1, [("client_certificate_unusable", "what needs it waits")]),
    ],
)
def test_a_client_certificate_that_ends_soon_is_told_apart_from_one_that_has_ended(
    days: int, said: list[tuple[str, str]], tmp_path: Path
) -> None:
    home = Home(tmp_path / "home")
    home.prepare()
    certificate, key = PrivateCa(tmp_path).issue("hookfuse", days=days)
    with Store(home.database) as store:
        register(store)
        store.connection.execute("UPDATE apps SET client_certificate = ?, client_key = ?", (str(certificate), str(key)))

    with structlog.testing.capture_logs() as lines:
        _warn_of_certificates(home)

    assert [(line["event"], line["done"]) for line in lines] == said
