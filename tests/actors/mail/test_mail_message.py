import email
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from email import policy
from email.message import EmailMessage
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import actors.mail
from actors.mail.mail_frame import one_line
from actors.mail.mail_message import (
    DisabledNotice,
    FailureLine,
    WarningNotice,
    render_disabled_notice,
    render_warning_notice,
)
from actors.mail.mail_transport import MailDeferred, MailRefused
from eventstore.events.catalogue import DayRecord

_TEMPLATES = Path(actors.mail.__file__).parent / "templates"
NOTICE = DisabledNotice(
    app_name="Pager",
    app_slug="pager",
    organization_name="Acme",
    organization_slug="acme",
    organization_url="https://acme.example/",
    webhook_url="https://pager.example/hooks?team=8",
    installation_id="7c1f0a52-3d0e-4f2c-9a55-0f3f6f2a1b10",
    disabled_at=datetime(2025, 2, 7, 11, 0, 3, tzinfo=timezone(timedelta(hours=1))),
    cause="policy",
    policy="balanced v1",
    rule="No success in 7 days, 3388 failures (limit 100).",
    days=(
        DayRecord("2025-02-06", success=11, server_error=700, client_error=20, timeout=6),
        DayRecord("2025-02-07", server_error=840, rate_limited=2, timeout=7),
    ),
    first_failure=FailureLine("2025-02-01 10:00:03 UTC", 500, "server error", "database is away"),
    last_failure=FailureLine("2025-02-07 10:00:02 UTC", 0, "read timed out", ""),
    reason="",
    remediation="One successful delivery between 2025-02-01 and 2025-02-07 would have prevented it.",
)
WARNING = WarningNotice(
    app_name="Pager",
    app_slug="pager",
    organization_name="Acme",
    organization_slug="acme",
    organization_url="https://acme.example/",
    webhook_url="https://pager.example/hooks?team=8",
    installation_id="7c1f0a52-3d0e-4f2c-9a55-0f3f6f2a1b10",
    warned_at=datetime(2025, 2, 4, 11, 0, 3, tzinfo=timezone(timedelta(hours=1))),
    level=50,
    policy="balanced v1",
    rule="no success within 7 days, 8 failures over 2 days (the limit is 10 over 3)",
    remediation="One successful delivery, before there are 10 failures over 3 days, would stop it.",
    days=(DayRecord("2025-02-03", server_error=3, timeout=1), DayRecord("2025-02-04", server_error=4)),
    first_failure=FailureLine("2025-02-03 10:00:03 UTC", 500, "server_error", "database is away"),
    last_failure=FailureLine("2025-02-04 10:00:02 UTC", 0, "read_timeout", ""),
)
HOSTILE = "<img src=x onerror=alert(1)>\r\nBcc: eve@evil.example\x00\x1b[31m\u202egnp.exe {{ 7*7 }} \"'&" + "A" * 10_000
HEADERS = [
    "Message-ID",
    "Date",
    "From",
    "To",
    "Subject",
    "Auto-Submitted",
    "X-Hookfuse-Kind",
    "MIME-Version",
    "Content-Type",
]


def rendered(notice: DisabledNotice = NOTICE, **changes: Any) -> EmailMessage:
    arguments = {
        "recipient": "owner@acme.example",
        "sender_address": "Hookfuse <hookfuse@acme.example>",
        "message_id": "<disabled.4711@hookfuse.example>",
        "date": datetime(2025, 2, 7, 10, 0, 4, tzinfo=UTC),
    }
    return render_disabled_notice(notice, **{**arguments, **changes})


def warned(notice: WarningNotice = WARNING) -> EmailMessage:
    return render_warning_notice(
        notice,
        recipient="owner@acme.example",
        sender_address="Hookfuse <hookfuse@acme.example>",
        message_id="<warned.4711@hookfuse.example>",
        date=datetime(2025, 2, 4, 10, 0, 4, tzinfo=UTC),
    )


def parsed(message: EmailMessage) -> EmailMessage:
    return email.message_from_bytes(message.as_bytes(), policy=policy.SMTP)


def part(message: EmailMessage, kind: str) -> str:
    body = message.get_body((kind,))
    assert body is not None
    content: str = body.get_content().replace("\r\n", "\n")
    return content


class Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.attributes += attrs


def test_headers_are_those_of_an_automatic_notice() -> None:
    message = parsed(rendered())

    assert message.keys() == HEADERS
    assert message["Subject"] == "Action required: Fix your Pager integration"
    assert message["Message-ID"] == "<disabled.4711@hookfuse.example>"
    assert message["From"] == "Hookfuse <hookfuse@acme.example>"
    assert message["To"] == "owner@acme.example"
    assert message["Date"].datetime == datetime(2025, 2, 7, 10, 0, 4, tzinfo=UTC)
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["X-Hookfuse-Kind"] == "disabled-notice"


def test_long_message_id_is_kept_as_given() -> None:
    message_id = f"<{'a' * 150}@hookfuse.example>"

    assert f"Message-ID: {message_id}\r\n".encode() in rendered(message_id=message_id).as_bytes()


def test_plain_text_comes_before_html_so_that_html_is_preferred() -> None:
    kinds = [each.get_content_type() for each in parsed(rendered()).walk()]

    assert kinds == ["multipart/alternative", "text/plain", "text/html"]


@pytest.mark.parametrize("kind", ["plain", "html"])
def test_both_parts_say_what_happened_and_why(kind: str) -> None:
    content = " ".join(part(parsed(rendered()), kind).split())

    for expected in (
        "https://pager.example/hooks?team=8",
        "have failed",
        "has been unsubscribed",
        "kept for a while as missed",
        "One successful delivery between 2025-02-01 and 2025-02-07 would have prevented it.",
        "Enable the webhook again",
        "balanced v1",
        "No success in 7 days, 3388 failures (limit 100).",
        "2025-02-07 10:00:03 UTC",
        "HTTP 500",
        "server error",
        "database is away",
        "no answer",
        "read timed out",
        "https://acme.example/settings/acme/developer-settings/pager/?referrer=disabled-sentry-app",
        "https://acme.example/settings/acme/developer-settings/pager/dashboard/?referrer=disabled-sentry-app",
    ):
        assert expected in content


def test_counts_stand_in_columns_by_class() -> None:
    lines = part(parsed(rendered()), "plain").splitlines()
    header = lines.index("Day (UTC)   Success      4xx      429      5xx  Timeout")

    assert lines[header + 1 : header + 4] == [
        "2025-02-06       11       20        0      700        6",
        "2025-02-07        0        0        2      840        7",
        "(Timeout: no answer in time, or no connection.)",
    ]


def test_classes_that_did_not_occur_have_no_column() -> None:
    lines = part(rendered(replace(NOTICE, days=(DayRecord("2025-02-07", redirect=3),))), "plain").splitlines()

    assert "Day (UTC)   Success      3xx" in lines
    assert not any(line.startswith("(Timeout") for line in lines)


def test_a_table_of_all_classes_is_still_narrow() -> None:
    day = DayRecord("2025-02-07", 1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000)
    lines = part(rendered(replace(NOTICE, days=(day,))), "plain").splitlines()

    assert max(len(line) for line in lines if "1000" in line or "Day (UTC)" in line) <= 82


@pytest.mark.parametrize("kind", ["plain", "html"])
def test_owners_are_given_no_command_of_the_platform(kind: str) -> None:
    assert "hookfuse enable" not in part(rendered(), kind)


@pytest.mark.parametrize("kind", ["plain", "html"])
def test_person_is_named_as_the_cause_with_the_reason(kind: str) -> None:
    notice = replace(NOTICE, cause="person", policy="", rule="", reason="Moved to the new endpoint.", days=())
    content = part(rendered(replace(notice, first_failure=None, last_failure=None)), kind)

    assert "disabled manually" in content
    assert "Moved to the new endpoint." in content
    assert "have failed" not in content
    assert "failure" not in content
    assert "Day (UTC)" not in content


@pytest.mark.parametrize("kind", ["plain", "html"])
def test_receiver_is_named_as_the_cause(kind: str) -> None:
    content = part(rendered(replace(NOTICE, cause="receiver", policy="", rule="It answered 410 Gone.")), kind)

    assert "The endpoint itself asked to be sent nothing more." in content
    assert "It answered 410 Gone." in content


@pytest.mark.parametrize(
    "template", [*_TEMPLATES.glob("digest.*"), *_TEMPLATES.glob("disabled_notice.*")], ids=lambda path: path.name
)
def test_what_was_missed_is_promised_with_recovery_alone(template: Path) -> None:
    text = " ".join(template.read_text().split())

    assert "What was missed" in text
    assert "when the webhook is enabled with recovery" in text
    assert "Enabling alone does not send it." in text


def test_slugs_are_percent_encoded_in_links() -> None:
    content = part(rendered(replace(NOTICE, organization_slug="ö rg", app_slug="a/../b?x#y")), "plain")

    assert "/settings/%C3%B6%20rg/developer-settings/a%2F..%2Fb%3Fx%23y/?referrer=disabled-sentry-app" in content


@pytest.mark.parametrize("url", ["javascript:alert(1)", "acme.example", "data:text/html,x"])
def test_links_are_web_links_whatever_the_organization_url(url: str) -> None:
    tags = Tags(part(rendered(replace(NOTICE, organization_url=url)), "html"))

    links = [value for name, value in tags.attributes if name == "href"]
    assert len(links) == 2
    assert all(link is not None and link.startswith(f"https://{url[:4]}") for link in links)


def notice_of(text: str) -> DisabledNotice:
    failure = FailureLine(text, 500, text, text)
    return replace(
        NOTICE,
        app_name=text,
        app_slug=text,
        organization_name=text,
        organization_slug=text,
        organization_url=f"https://acme.example/{text}",
        webhook_url=text,
        installation_id=text,
        policy=text,
        rule=text,
        reason=text,
        remediation=text,
        first_failure=failure,
        last_failure=failure,
    )


def test_hostile_texts_add_no_header() -> None:
    assert parsed(rendered(notice_of(HOSTILE))).keys() == HEADERS


def test_hostile_texts_add_no_tag_and_no_attribute() -> None:
    hostile = Tags(part(rendered(notice_of(HOSTILE)), "html"))
    harmless = Tags(part(rendered(notice_of("x")), "html"))

    assert set(hostile.names) == set(harmless.names)
    assert {name for name, _ in hostile.attributes} == {name for name, _ in harmless.attributes}


def test_html_needs_nothing_from_outside() -> None:
    content = part(rendered(), "html")

    assert not {"img", "script", "link", "iframe", "style"} & set(Tags(content).names)
    assert "url(" not in content


@pytest.mark.parametrize("kind", ["plain", "html"])
def test_hostile_texts_are_cut_and_cleaned(kind: str) -> None:
    content = part(rendered(notice_of(HOSTILE)), kind)

    assert not set(content) & set("\x00\x1b\u202e\r")
    assert "\nBcc" not in content
    assert "{{ 7*7 }}" in content
    assert len(content) < 20_000


def test_name_that_looks_like_an_encoded_word_stays_what_it_is() -> None:
    message = parsed(rendered(replace(NOTICE, app_name="=?utf-8?q?x=0ABcc:_eve@evil.example?=")))

    assert message.keys() == HEADERS
    assert message["Subject"] == "Action required: Fix your =?utf-8?q?x=0ABcc:_eve@evil.example?= integration"


@pytest.mark.parametrize(
    "recipient",
    [
        "",
        "owner",
        "a@b@c",
        "a b@c.example",
        "a@c.example\r\nBcc: x@y.example",
        "Name <a@c.example>",
        "ö@c.example",
    ],
)
def test_recipient_that_is_no_address_is_refused(recipient: str) -> None:
    with pytest.raises(MailRefused, match="not a mail address"):
        rendered(recipient=recipient)


def test_sender_that_is_no_address_defers_the_mail() -> None:
    with pytest.raises(MailDeferred, match="sender"):
        rendered(sender_address="nobody")


def test_sender_without_a_name_is_taken() -> None:
    assert parsed(rendered(sender_address="hookfuse@acme.example"))["From"] == "hookfuse@acme.example"


def test_text_is_cut_with_an_ellipsis_at_its_limit() -> None:
    assert one_line("abc def", 7) == "abc def"
    assert one_line("abc defg", 5) == "abc…"


def test_short_subject_is_readable_in_the_raw_mail() -> None:
    assert b"Subject: Action required: Fix your Pager integration\r\n" in rendered().as_bytes()


@given(st.text(alphabet=st.characters(exclude_categories=())))
@example("=?utf-8?q?x=0AEvil:1?=")
@example("=?utf-8?b?4piD?= é")
@example("\ud800")
@example("é" * 10_000)
def test_any_app_name_gives_one_subject_line_and_survives_the_wire(app_name: str) -> None:
    message = rendered(replace(NOTICE, app_name=app_name))
    received = parsed(message)

    assert received.keys() == HEADERS
    assert received["Subject"] == one_line(f"Action required: Fix your {one_line(app_name, 100)} integration")
    assert len(received["Subject"].splitlines()) == 1
    for kind in ("plain", "html"):
        assert part(received, kind) == part(message, kind)
    assert one_line(app_name) in part(received, "plain")


@given(st.text(alphabet=st.sampled_from("=?utf-8qb_ é\n\t\"'<>@,;:()\\.\u00a0\u200d😀0A")))
def test_any_sign_with_a_meaning_in_headers_survives_the_wire(app_name: str) -> None:
    received = parsed(rendered(replace(NOTICE, app_name=app_name)))

    assert received["Subject"] == one_line(f"Action required: Fix your {one_line(app_name, 100)} integration")
    assert received.keys() == HEADERS


# --- the warning ---


def test_the_warning_s_headers_are_those_of_an_automatic_notice() -> None:
    message = parsed(warned())

    assert message.keys() == HEADERS
    assert message["Subject"] == "Pager integration: 50% of the way to being disabled"
    assert message["X-Hookfuse-Kind"] == "warning-notice"
    assert message["Message-ID"] == "<warned.4711@hookfuse.example>"
    assert [each.get_content_type() for each in message.walk()] == ["multipart/alternative", "text/plain", "text/html"]


@pytest.mark.parametrize("kind", ["plain", "html"])
def test_the_warning_says_what_fails_since_when_and_what_would_stop_it(kind: str) -> None:
    content = " ".join(part(parsed(warned()), kind).split())

    for expected in (
        "are failing",
        "50% of the way to being disabled",
        "https://pager.example/hooks?team=8",
        "2025-02-04 10:00:03 UTC",
        "2025-02-03 10:00:03 UTC",
        "One successful delivery, before there are 10 failures over 3 days, would stop it.",
        "no success within 7 days, 8 failures over 2 days (the limit is 10 over 3)",
        "balanced v1",
        "HTTP 500",
        "server error",
        "database is away",
        "no answer",
        "read timeout",
        "The webhook is disabled: nothing more is sent to it, and you are told.",
        "kept for a while, and can be sent after the webhook is enabled again",
        "The next warning is at 90%.",
        "https://acme.example/settings/acme/developer-settings/pager/dashboard/?referrer=integration-warning",
    ):
        assert expected in content


@pytest.mark.parametrize("kind", ["plain", "html"])
def test_the_last_warning_announces_no_other(kind: str) -> None:
    content = " ".join(part(warned(replace(WARNING, level=90)), kind).split())

    assert "90% of the way" in content
    assert "This is the last warning." in content


def test_the_warning_s_counts_stand_in_columns_by_class() -> None:
    lines = part(parsed(warned()), "plain").splitlines()
    header = lines.index("Day (UTC)   Success      5xx  Timeout")

    assert lines[header + 1 : header + 3] == [
        "2025-02-03        0        3        1",
        "2025-02-04        0        4        0",
    ]


@pytest.mark.parametrize("kind", ["plain", "html"])
def test_a_warning_without_what_would_stop_it_is_whole(kind: str) -> None:
    content = part(warned(replace(WARNING, remediation="", first_failure=None, last_failure=None, days=())), kind)

    assert "What would stop it".lower() in content.lower()
    assert "Failing since" not in content
    assert "Day (UTC)" not in content


def hostile_warning(text: str) -> WarningNotice:
    names = ("app_name", "app_slug", "organization_name", "organization_slug", "webhook_url", "installation_id")
    texts: dict[str, Any] = dict.fromkeys((*names, "policy", "rule", "remediation"), text)
    failure = FailureLine(text, 500, text, text)
    url = f"https://acme.example/{text}"
    changes: dict[str, Any] = {"organization_url": url, "first_failure": failure, "last_failure": failure}
    return replace(WARNING, **texts, **changes)


def test_hostile_texts_add_neither_header_nor_tag_nor_line_to_a_warning() -> None:
    message = warned(hostile_warning(HOSTILE))
    hostile, harmless = (Tags(part(warned(hostile_warning(text)), "html")) for text in (HOSTILE, "x"))

    assert parsed(message).keys() == HEADERS
    assert len(parsed(message)["Subject"].splitlines()) == 1
    assert set(hostile.names) == set(harmless.names)
    assert {name for name, _ in hostile.attributes} == {name for name, _ in harmless.attributes}
    for kind in ("plain", "html"):
        content = part(message, kind)
        assert not set(content) & set("\x00\x1b\u202e\r")
        assert "\nBcc" not in content
        assert len(content) < 20_000


@given(st.text(alphabet=st.characters(exclude_categories=())))
@example("=?utf-8?q?=0AEvil:1?=")
@example("\ud800")
def test_any_app_name_gives_a_warning_one_subject_line(app_name: str) -> None:
    received = parsed(warned(replace(WARNING, app_name=app_name)))

    assert received.keys() == HEADERS
    assert received["Subject"] == one_line(f"{one_line(app_name, 100)} integration: 50% of the way to being disabled")


@pytest.mark.parametrize("kind", ["plain", "html"])
def test_the_mail_says_that_enabling_alone_does_not_send_what_was_missed(kind: str) -> None:
    text = " ".join(part(rendered(), kind).split())

    assert "when the webhook is enabled with recovery: ask for that. Enabling alone does not send it." in text
    assert "is then sent" not in text
