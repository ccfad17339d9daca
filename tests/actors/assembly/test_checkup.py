"""Check-ups of mail server and endpoints, with real mail servers and a resolver that answers as it is told to."""

import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from actors.assembly.checkup import check_endpoints, check_mail
from actors.mail.mail_transport import MailTransport
from actors.mail.maildir_transport import MaildirTransport
from eventstore.common.diagnostic import Diagnostic
from eventstore.projections.registry import read_urls_in_use
from tests.actors.mail.test_mail_transport import AUTH, PASSWORD, RECIPIENT, Relay, mail_transport_at, running
from tests.actors.stage import ONE, TWO, Stage
from webhook import AddressGuard

pytestmark = pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS:UserWarning")

PUBLIC = "93.184.216.34"


def mail(postbox: MailTransport, mail_to: str | None = None) -> list[Diagnostic]:
    now = datetime(2026, 3, 1, tzinfo=UTC)
    return list(check_mail(postbox, sender_address="Hookfuse <hookfuse@acme.example>", mail_to=mail_to, now=now))


def test_a_mail_server_that_lets_us_in_is_good_and_gets_no_mail() -> None:
    relay = Relay()
    with running(relay, **AUTH) as port:
        found = mail(mail_transport_at(port, username="hookfuse", password=PASSWORD))

    assert [one.level for one in found] == ["good"]
    assert "the login works" in found[0].text
    assert relay.received() == []


def test_a_wrong_password_is_a_fault_that_does_not_say_it() -> None:
    with running(Relay(), **AUTH) as port:
        (found,) = mail(mail_transport_at(port, username="hookfuse", password="not-the-password"))

    assert found.level == "fault"
    assert "refused the login with 535" in found.text
    assert "not-the-password" not in repr(found)


def test_a_mail_server_that_is_away_is_a_fault() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        (found,) = mail(mail_transport_at(unused.getsockname()[1]))

    assert found.level == "fault"
    assert "ConnectionRefusedError" in found.text


def test_a_server_without_starttls_is_a_fault() -> None:
    with running(Relay()) as port:
        (found,) = mail(mail_transport_at(port, "starttls"))

    assert found.level == "fault"


def test_a_test_mail_goes_all_the_way() -> None:
    relay = Relay()
    with running(relay) as port:
        found = mail(mail_transport_at(port), RECIPIENT)

    assert [one.level for one in found] == ["good", "good"]
    (received,) = relay.received()
    assert (received["Subject"], received["To"]) == ("hookfuse: a test mail", RECIPIENT)


def test_a_test_mail_that_is_refused_is_a_fault() -> None:
    with running(Relay(rcpt="550 no such user")) as port:
        found = mail(mail_transport_at(port), RECIPIENT)

    assert [one.level for one in found] == ["good", "fault"]


@pytest.mark.parametrize("place", ["outbox", "outbox/new", "outbox/tmp"])
def test_a_file_where_the_folder_of_mails_is_to_be_is_a_fault(tmp_path: Path, place: str) -> None:
    (tmp_path / place).parent.mkdir(exist_ok=True)
    (tmp_path / place).touch()
    (found,) = mail(MaildirTransport(tmp_path / "outbox"))

    assert (found.level, found.text) == (
        "fault",
        f"{tmp_path / place} is not a folder: move it away, and one will be created",
    )


def test_without_a_mail_server_the_folder_is_named(tmp_path: Path) -> None:
    (found,) = mail(MaildirTransport(tmp_path / "outbox"))

    assert (found.level, str(tmp_path / "outbox") in found.text) == ("good", True)


def endpoints(stage: Stage, answers: dict[str, object]) -> list[Diagnostic]:
    def resolve(host: str) -> list[str]:
        answer = answers[host]
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, threading.Event):
            answer.wait()
        return [str(answer)]

    return list(check_endpoints(read_urls_in_use(stage.store.connection), AddressGuard(), resolve, lookup_s=0.2))


def test_endpoints_that_are_found_and_public_are_good(stage: Stage) -> None:
    stage.register(ONE)

    (found,) = endpoints(stage, {"pager.example": PUBLIC})

    assert found == Diagnostic.good("endpoints", "hosts: 1, found, and may be sent to")


def test_a_host_that_can_not_be_found_is_a_fault(stage: Stage) -> None:
    stage.register(ONE)

    (found,) = endpoints(stage, {"pager.example": socket.gaierror(-2, "Name or service not known")})

    assert found.level == "fault"
    assert "pager.example (Name or service not known)" in found.text


def test_a_host_at_a_private_address_is_a_fault(stage: Stage) -> None:
    stage.register(ONE)

    (found,) = endpoints(stage, {"pager.example": "10.1.2.3"})

    assert found.level == "fault"
    assert found.text.startswith("10.1.2.3 of pager.example is private")


@pytest.fixture
def never() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


def test_a_resolver_that_hangs_is_a_fault_and_holds_nothing_up(stage: Stage, never: threading.Event) -> None:
    stage.register(ONE)

    (found,) = endpoints(stage, {"pager.example": never})

    assert "pager.example (no answer within 0.2 s)" in found.text


def test_plain_http_that_is_not_allowed_is_a_fault_that_names_the_app(stage: Stage) -> None:
    stage.register(ONE)
    stage.store.connection.execute("UPDATE apps SET webhook_url = 'http://pager.example/hook'")

    found = endpoints(stage, {"pager.example": PUBLIC})

    assert [one.level for one in found] == ["fault"]
    assert found[0].text.startswith("app pager: the URL's scheme is http")


def test_what_is_disabled_is_not_looked_up(stage: Stage) -> None:
    stage.register(ONE, TWO)
    stage.decide(ONE)
    stage.decide(TWO)

    assert endpoints(stage, {}) == [Diagnostic.good("endpoints", "none yet")]
