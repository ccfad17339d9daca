import itertools
import mailbox
import os
import socket
import ssl
import threading
from asyncio import Server
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from ipaddress import ip_address
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from actors.mail import smtp_transport
from actors.mail.mail_transport import MailDeferred, MailRefused, MailTransport, MemoryTransport, checked_address
from actors.mail.maildir_transport import MaildirTransport
from actors.mail.smtp_transport import SmtpTransport

pytestmark = pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS:UserWarning")

RECIPIENT = "owner@acme.example"
PASSWORD = "Tr0ub4dor-and-3"
Security = Literal["none", "starttls", "tls"]
Received = Callable[[], list[EmailMessage]]


def notice() -> EmailMessage:
    message = EmailMessage(policy=policy.SMTP)
    message["Message-ID"] = "<disabled.4711@hookfuse.example>"
    message["From"] = "Hookfuse <hookfuse@acme.example>"
    message["To"] = RECIPIENT
    message["Subject"] = "Action required: Fix your Pager integration"
    message.set_content(".leading dot\nsecond line\nGrüße\n", cte="quoted-printable")
    return message


class Relay:
    """What the server does: it answers as it is told to, and keeps what it took."""

    def __init__(self, *, drop_at: str = "", **answers: str) -> None:
        self.answers = answers
        self.drop_at = drop_at
        self.commands: list[str] = []
        self.names: list[str] = []
        self.envelopes: list[Any] = []

    def answer(self, command: str, server: Any, accepted: str) -> str:
        self.commands.append(command)
        if command == self.drop_at:
            server.transport.abort()
        return self.answers.get(command, accepted)

    async def handle_EHLO(  # noqa: N802
        self, server: Any, session: Any, envelope: Any, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        self.names.append(hostname)
        return [self.answers["ehlo"]] if "ehlo" in self.answers else responses

    async def handle_HELO(self, server: Any, session: Any, envelope: Any, hostname: str) -> str:  # noqa: N802
        session.host_name = hostname
        self.names.append(hostname)
        return self.answers.get("helo", "250 here")

    async def handle_MAIL(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:  # noqa: N802
        envelope.mail_from = address
        return self.answer("mail", server, "250 OK")

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:  # noqa: N802
        envelope.rcpt_tos.append(address)
        return self.answer("rcpt", server, "250 OK")

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        answer = self.answer("data", server, "250 OK")
        if answer.startswith("2") and self.drop_at != "data":
            self.envelopes.append(envelope)
        return answer

    async def handle_QUIT(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        return self.answer("quit", server, "221 Bye")

    def received(self) -> list[EmailMessage]:
        return [message_from_bytes(each.original_content, policy=policy.SMTP) for each in self.envelopes]


class FreePortController(Controller):
    """A server at a port that the system chose: no other test can have taken it in the meantime."""

    def _trigger_server(self) -> None:
        assert isinstance(self.server, Server)
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()  # type: ignore[no-untyped-call]


@contextmanager
def running(relay: Relay, **options: Any) -> Iterator[int]:
    controller = FreePortController(relay, hostname="127.0.0.1", port=0, **options)
    controller.start()
    try:
        yield controller.port
    finally:
        controller.stop()


def mail_transport_at(port: int, security: Security = "none", **changes: Any) -> SmtpTransport:
    return SmtpTransport("127.0.0.1", port, security, **{"timeout_s": 5.0, **changes})


def authenticator(*arguments: Any) -> AuthResult:
    login = arguments[-1]
    is_known = (login.login, login.password) == (b"hookfuse", PASSWORD.encode())
    return AuthResult(success=is_known, handled=False)


AUTH: dict[str, Any] = {"authenticator": authenticator, "auth_require_tls": False, "auth_required": True}


@pytest.fixture(scope="module")
def certificate_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "relay")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "relay.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + certificate.public_bytes(serialization.Encoding.PEM),
    )
    return path


@pytest.fixture
def server_context(certificate_file: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate_file)
    return context


# Every postbox


@pytest.fixture(params=["memory", "maildir", "smtp"])
def any_mail_transport(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[MailTransport, Received]]:
    if request.param == "memory":
        memory = MemoryTransport()
        yield memory, lambda: [message for message, _ in memory.deliveries]
    elif request.param == "maildir":
        yield MaildirTransport(tmp_path / "mails"), lambda: mails_in(tmp_path / "mails")
    else:
        relay = Relay()
        with running(relay) as port:
            yield mail_transport_at(port), relay.received


def mails_in(path: Path) -> list[EmailMessage]:
    return [message_from_bytes(each.read_bytes(), policy=policy.default) for each in sorted(path.glob("new/*"))]


def test_delivered_mail_arrives_as_it_was(any_mail_transport: tuple[MailTransport, Received]) -> None:
    postbox, received = any_mail_transport

    postbox.deliver(notice(), RECIPIENT)

    (message,) = received()
    assert message["Message-ID"] == "<disabled.4711@hookfuse.example>"
    assert message["Subject"] == "Action required: Fix your Pager integration"
    assert message["To"] == RECIPIENT
    assert message.get_content().splitlines() == [".leading dot", "second line", "Grüße"]


def test_same_message_id_may_be_delivered_twice(any_mail_transport: tuple[MailTransport, Received]) -> None:
    postbox, received = any_mail_transport

    postbox.deliver(notice(), RECIPIENT)
    postbox.deliver(notice(), RECIPIENT)

    assert [each["Message-ID"] for each in received()] == ["<disabled.4711@hookfuse.example>"] * 2


@pytest.mark.parametrize("recipient", ["", "owner", "owner@acme.example\r\nDATA", "a@b,c@d", "-@-", "a" * 65 + "@b.c"])
def test_recipient_that_is_no_address_is_refused(
    any_mail_transport: tuple[MailTransport, Received], recipient: str
) -> None:
    postbox, received = any_mail_transport

    with pytest.raises(MailRefused, match="not a mail address"):
        postbox.deliver(notice(), recipient)

    assert received() == []


# Addresses and the postbox that remembers


def test_domain_of_an_address_is_made_ascii() -> None:
    assert checked_address("owner+ops@münchen.example") == "owner+ops@xn--mnchen-3ya.example"


def test_text_of_a_refused_address_is_one_short_ascii_line() -> None:
    with pytest.raises(MailRefused) as raised:
        checked_address("ö\r\n" * 10_000)

    assert str(raised.value).isascii()
    assert str(raised.value).isprintable()
    assert len(str(raised.value)) < 2_000


def test_memory_postbox_fails_as_scripted_and_then_takes_mails() -> None:
    postbox = MemoryTransport()
    postbox.fail_next(MailDeferred("away"), MailRefused("unknown"))

    with pytest.raises(MailDeferred, match="away"):
        postbox.deliver(notice(), RECIPIENT)
    with pytest.raises(MailRefused, match="unknown"):
        postbox.deliver(notice(), RECIPIENT)
    postbox.deliver(notice(), RECIPIENT)

    assert [recipient for _, recipient in postbox.deliveries] == [RECIPIENT]


# SMTP: answers


def test_relay_gets_the_bare_addresses_in_the_envelope() -> None:
    relay = Relay()
    with running(relay) as port:
        mail_transport_at(port).deliver(notice(), "Owner@MÜNCHEN.example")

    (envelope,) = relay.envelopes
    assert envelope.mail_from == "hookfuse@acme.example"
    assert envelope.rcpt_tos == ["Owner@xn--mnchen-3ya.example"]


@pytest.mark.parametrize("command", ["rcpt", "data"])
@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ("450 mailbox busy", MailDeferred),
        ("421 closing", MailDeferred),
        ("530 authentication required", MailDeferred),
        ("550 no such user", MailRefused),
        ("552 too big", MailRefused),
    ],
)
def test_answer_decides_between_later_and_never(command: str, answer: str, error: type[Exception]) -> None:
    with running(Relay(**{command: answer})) as port, pytest.raises(error, match=answer):
        mail_transport_at(port).deliver(notice(), RECIPIENT)


@pytest.mark.parametrize("answer", ["451 later", "550 who are you"])
def test_refused_sender_is_deferred_as_it_is_no_fault_of_the_recipient(answer: str) -> None:
    with running(Relay(mail=answer)) as port, pytest.raises(MailDeferred, match=answer):
        mail_transport_at(port).deliver(notice(), RECIPIENT)


@pytest.mark.parametrize("command", ["mail", "rcpt", "data"])
def test_dropped_connection_defers_the_mail(command: str) -> None:
    with running(Relay(drop_at=command)) as port, pytest.raises(MailDeferred):
        mail_transport_at(port).deliver(notice(), RECIPIENT)


@pytest.mark.parametrize("relay", [Relay(quit="500 what"), Relay(drop_at="quit")], ids=["answer", "drop"])
def test_error_after_the_mail_was_accepted_is_no_failure(relay: Relay) -> None:
    with running(relay) as port:
        mail_transport_at(port).deliver(notice(), RECIPIENT)

    assert relay.commands == ["mail", "rcpt", "data", "quit"]
    assert len(relay.envelopes) == 1


def test_server_that_is_away_defers_the_mail() -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))  # taken, but nobody listens

        with pytest.raises(MailDeferred, match="refused"):
            mail_transport_at(reserved.getsockname()[1]).deliver(notice(), RECIPIENT)


@pytest.mark.parametrize("security", ["none", "tls"])
def test_silent_server_defers_the_mail_within_the_time_out(security: Security) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(MailDeferred, match="timed out"):
        mail_transport_at(silent.getsockname()[1], security, timeout_s=0.05).deliver(notice(), RECIPIENT)


@contextmanager
def _saying(said: Callable[[], bytes]) -> Iterator[int]:
    """Run a server that says something again and again, whatever it hears, until the client is gone."""

    def talk() -> None:
        client, _ = listener.accept()
        with client, suppress(OSError):
            while True:
                client.sendall(said())

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=talk)
        server.start()
        try:
            yield listener.getsockname()[1]
        finally:
            server.join()


@pytest.mark.parametrize("line", [b"220-welcome\r\n", b"220-" + b"a" * 400 + b"\r\n"])
def test_server_whose_greeting_does_not_end_defers_the_mail(line: bytes) -> None:
    with _saying(lambda: line * 100) as port, pytest.raises(MailDeferred, match="says more than 65536 bytes"):
        mail_transport_at(port, timeout_s=60.0).deliver(notice(), RECIPIENT)


def test_server_that_drips_its_greeting_defers_the_mail_when_five_steps_are_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = SimpleNamespace(now_s=0.0)
    monkeypatch.setattr(smtp_transport, "time", SimpleNamespace(monotonic=lambda: clock.now_s))
    drops = itertools.count(1)

    def drip() -> bytes:
        clock.now_s = 50.0 * next(drops)  # less than a step of 60 s, for each
        return b"2"

    with _saying(drip) as port, pytest.raises(MailDeferred, match="the conversation timed out"):
        mail_transport_at(port, timeout_s=60.0).deliver(notice(), RECIPIENT)


def test_answer_of_the_server_is_one_short_line_in_the_error() -> None:
    with (
        running(Relay(rcpt="550-" + "A" * 400 + "\r\n550 \x1b[31mred")) as port,
        pytest.raises(MailRefused) as raised,
    ):
        mail_transport_at(port).deliver(notice(), RECIPIENT)

    assert str(raised.value).isprintable()
    assert len(str(raised.value)) < 300


def test_sender_that_is_no_address_defers_the_mail() -> None:
    message = notice()
    message.replace_header("From", "nobody")

    with pytest.raises(MailDeferred, match="sender"):
        mail_transport_at(1).deliver(message, RECIPIENT)


# SMTP: TLS


def test_starttls_is_spoken_before_the_mail(server_context: ssl.SSLContext, certificate_file: Path) -> None:
    relay = Relay()
    with running(relay, tls_context=server_context, require_starttls=True) as port:
        mail_transport_at(port, "starttls", ca_file=certificate_file).deliver(notice(), RECIPIENT)

    assert len(relay.envelopes) == 1


def test_starttls_that_is_not_offered_never_falls_back_to_plain_text() -> None:
    relay = Relay()
    with running(relay, **AUTH) as port, pytest.raises(MailDeferred, match="STARTTLS"):
        mail_transport_at(port, "starttls", username="hookfuse", password=PASSWORD).deliver(notice(), RECIPIENT)

    assert relay.commands == []


def test_implicit_tls_is_spoken_from_the_start(server_context: ssl.SSLContext, certificate_file: Path) -> None:
    relay = Relay()
    with running(relay, ssl_context=server_context) as port:
        mail_transport_at(port, "tls", ca_file=certificate_file).deliver(notice(), RECIPIENT)

    assert len(relay.envelopes) == 1


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_certificate_that_nobody_vouches_for_defers_the_mail(
    security: Security, server_context: ssl.SSLContext
) -> None:
    relay = Relay()
    options = {"tls_context" if security == "starttls" else "ssl_context": server_context}
    with running(relay, **options) as port, pytest.raises(MailDeferred, match="CERTIFICATE_VERIFY_FAILED"):
        mail_transport_at(port, security).deliver(notice(), RECIPIENT)

    assert relay.commands == []


def test_certificate_for_another_host_defers_the_mail(server_context: ssl.SSLContext, certificate_file: Path) -> None:
    with running(Relay(), ssl_context=server_context) as port:
        postbox = SmtpTransport("localhost", port, "tls", timeout_s=5.0, ca_file=certificate_file)

        with pytest.raises(MailDeferred, match="CERTIFICATE_VERIFY_FAILED"):
            postbox.deliver(notice(), RECIPIENT)


def test_missing_ca_file_defers_the_mail(tmp_path: Path) -> None:
    with pytest.raises(MailDeferred, match="No such file"):
        mail_transport_at(1, "tls", ca_file=tmp_path / "missing.pem").deliver(notice(), RECIPIENT)


# SMTP: login


def test_right_password_opens_the_relay() -> None:
    relay = Relay()
    with running(relay, **AUTH) as port:
        mail_transport_at(port, username="hookfuse", password=PASSWORD).deliver(notice(), RECIPIENT)

    assert len(relay.envelopes) == 1


@pytest.mark.parametrize(
    ("password", "error"), [("wrong-Horse7", "refused the login with 535"), ("Pässwörd-77", "not ASCII")]
)
def test_failed_login_defers_the_mail_and_does_not_tell_the_password(password: str, error: str) -> None:
    with running(Relay(), **AUTH) as port, pytest.raises(MailDeferred, match=error) as raised:
        mail_transport_at(port, username="hookfuse", password=password).deliver(notice(), RECIPIENT)

    assert password[-4:] not in str(raised.value)
    assert "ä" not in str(raised.value)
    assert raised.value.__cause__ is None
    assert raised.value.__context__ is None


def test_login_that_is_not_offered_defers_the_mail() -> None:
    with running(Relay()) as port, pytest.raises(MailDeferred, match="AUTH"):
        mail_transport_at(port, username="hookfuse", password=PASSWORD).deliver(notice(), RECIPIENT)


def test_relay_that_wants_a_login_defers_the_mail_when_none_is_configured() -> None:
    with running(Relay(), **AUTH) as port, pytest.raises(MailDeferred, match="530"):
        mail_transport_at(port).deliver(notice(), RECIPIENT)


def test_password_is_not_in_the_representation() -> None:
    assert PASSWORD not in repr(mail_transport_at(25, username="hookfuse", password=PASSWORD))


# Maildir


def test_maildir_is_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "mails"

    MaildirTransport(path).deliver(notice(), RECIPIENT)

    folders = [path, path / "tmp", path / "new", path / "cur"]
    (mail,) = (path / "new").iterdir()
    assert [each.stat().st_mode & 0o777 for each in folders] == [0o700] * 4
    assert mail.stat().st_mode & 0o777 == 0o600


def test_maildir_can_be_read_by_other_programs(tmp_path: Path) -> None:
    MaildirTransport(tmp_path / "mails").deliver(notice(), RECIPIENT)

    (mail,) = mailbox.Maildir(tmp_path / "mails", create=False)
    assert mail["Delivered-To"] == RECIPIENT
    assert b"\r" not in mail.as_bytes()


def test_failed_write_defers_the_mail_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_draft: str, _mail: str) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "link", refuse)
        with pytest.raises(MailDeferred, match="No space left"):
            MaildirTransport(tmp_path / "mails").deliver(notice(), RECIPIENT)

    assert [each for each in (tmp_path / "mails").rglob("*") if each.is_file()] == []


def test_path_that_is_no_folder_defers_the_mail(tmp_path: Path) -> None:
    (tmp_path / "mails").write_text("a file")

    with pytest.raises(MailDeferred, match="mails"):
        MaildirTransport(tmp_path / "mails").deliver(notice(), RECIPIENT)


def test_mail_and_its_folder_are_synced_before_delivery_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    fsync = os.fsync

    def remember(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink().parent.name)
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", remember)
    MaildirTransport(tmp_path / "mails").deliver(notice(), RECIPIENT)

    assert synced[0] == "tmp"
    assert synced[2:4] == ["mails", "new"]


@pytest.mark.parametrize("security", ["none", "starttls"])
def test_the_name_of_this_machine_is_the_one_that_is_configured(
    security: Security, server_context: ssl.SSLContext, certificate_file: Path
) -> None:
    relay = Relay()
    with running(relay, tls_context=server_context) as port:
        postbox = mail_transport_at(port, security, helo="hooks.acme.example", ca_file=certificate_file)
        postbox.check()
        postbox.deliver(notice(), RECIPIENT)

    assert set(relay.names) == {"hooks.acme.example"}
    assert len(relay.envelopes) == 1


def test_a_check_is_told_that_the_server_does_not_take_the_name_and_so_is_a_mail() -> None:
    relay = Relay(ehlo="550 your name is not known", helo="550 your name is not known")
    with running(relay) as port:
        postbox = mail_transport_at(port, helo="localhost")
        with pytest.raises(MailDeferred, match=r"to our name \(EHLO; \[smtp\] helo .*: 550 your name is not known"):
            postbox.check()
        with pytest.raises(MailDeferred, match=r"to our name .*: 550 your name is not known"):
            postbox.deliver(notice(), RECIPIENT)
