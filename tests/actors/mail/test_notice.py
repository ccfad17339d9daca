from dataclasses import replace

import pytest

from actors.mail.mail_message import DisabledNotice, render_disabled_notice
from actors.mail.notice import disabled_notice, warning_notice
from eventstore.common.identifiers import installation_stream
from eventstore.decisions.disable import DisableRequest, disable
from eventstore.decisions.review import ReviewRequest, review
from eventstore.errors import NotFoundError
from eventstore.events.catalogue import DayRecord, DeliveryFailed, DeliveryTimedOut
from eventstore.log.event_log import last_position
from eventstore.policies.policy import BALANCED
from eventstore.projections.outbox import PendingMail, read_pending_mails
from tests.actors.stage import EVENT_NAME, ONE, URL, Stage


def notice_of(stage: Stage, cause: str, *, reason: str = "") -> DisabledNotice:
    with stage.store.transaction() as transaction:
        if cause == "person":
            disable(transaction, DisableRequest(ONE, "person:ada", reason, BALANCED))
        else:
            gone_at = last_position(transaction.connection) if cause == "receiver" else None
            review(transaction, ReviewRequest(ONE, BALANCED, gone_at=gone_at))
    mail, *_ = read_pending_mails(stage.store.connection, due_at="~")
    return disabled_notice(stage.store.connection, mail)


def test_the_notice_names_the_integration_and_its_organization(stage: Stage) -> None:
    stage.register(ONE)
    notice = notice_of(stage, "person")

    assert (notice.app_name, notice.app_slug, notice.webhook_url) == ("Pager", "pager", URL)
    assert (notice.organization_name, notice.organization_slug) == ("Acme", "acme")
    assert (notice.organization_url, notice.installation_id) == ("https://acme.example", ONE)
    assert notice.disabled_at == stage.clock.now()


def test_a_policy_s_notice_has_its_rule_its_days_and_its_failures(stage: Stage) -> None:
    stage.register(ONE)
    stage.wear_out()
    notice = notice_of(stage, "policy")

    assert notice.policy == "balanced v1"
    assert notice.rule == "no success within 7 days, 12 failures over 3 days (the limit is 10 over 3)"
    assert notice.remediation == "One successful delivery between 2025-01-30 and 2025-02-05 would have prevented it."
    assert notice.days == tuple(DayRecord(f"2025-02-0{day}", server_error=4) for day in (3, 4, 5))
    assert notice.first_failure is not None
    assert notice.last_failure is not None
    assert notice.first_failure.at == "2025-02-03 12:00:00 UTC"
    assert notice.first_failure.at < notice.last_failure.at
    assert (notice.last_failure.code, notice.last_failure.error_class) == (500, "server_error")
    assert notice.last_failure.excerpt == "boom"


def test_a_person_s_notice_has_the_person_s_reason_and_no_rule(stage: Stage) -> None:
    stage.register(ONE)
    notice = notice_of(stage, "person", reason="they asked for it")

    assert (notice.cause, notice.reason, notice.policy, notice.rule) == ("person", "they asked for it", "", "")
    assert notice.remediation == ""


def test_a_receiver_s_notice_has_neither_rule_nor_reason_of_a_person(stage: Stage) -> None:
    stage.register(ONE)
    notice = notice_of(stage, "receiver", reason="the endpoint answered 410 Gone")

    assert (notice.cause, notice.reason, notice.policy, notice.rule) == ("receiver", "", "", "")
    assert notice.remediation == "Any answer other than 410 Gone would have prevented it."


def test_a_disabling_without_failures_has_none_to_show(stage: Stage) -> None:
    stage.register(ONE)
    notice = notice_of(stage, "person")

    assert (notice.days, notice.first_failure, notice.last_failure) == ((), None, None)


def test_a_day_is_counted_by_class(stage: Stage) -> None:
    stage.register(ONE)
    failures = [
        DeliveryFailed("d", EVENT_NAME, 1111, 1111, 1, URL, status_code=code, error_class=error_class)
        for code, error_class in ((500, "server_error"), (404, "client_error"), (429, "rate_limited"))
    ]
    timed_out = DeliveryTimedOut("d", EVENT_NAME, 1111, 1111, 1, URL, error_class="dns")
    stage.append(installation_stream(ONE), *failures, timed_out)

    expected = DayRecord("2025-02-03", client_error=1, rate_limited=1, server_error=1, timeout=1)
    assert notice_of(stage, "person").days == (expected,)


@pytest.mark.parametrize("position", [1, 9999])
def test_a_mail_about_no_disabling_has_no_notice(stage: Stage, position: int) -> None:
    stage.register(ONE)
    stage.decide(ONE)
    mail, *_ = read_pending_mails(stage.store.connection, due_at="~")

    with pytest.raises(NotFoundError):
        disabled_notice(stage.store.connection, replace(mail, about_position=position))


def warn(stage: Stage) -> PendingMail:
    stage.register(ONE)
    stage.wear_out(days=2)
    with stage.store.transaction() as transaction:
        review(transaction, ReviewRequest(ONE, BALANCED, "internal", "hookfuse.example"))
    mail, *_ = read_pending_mails(stage.store.connection, due_at="~")
    return mail


def test_a_warning_has_its_level_its_rule_its_days_and_what_would_stop_it(stage: Stage) -> None:
    mail = warn(stage)
    notice = warning_notice(stage.store.connection, mail)

    assert mail.kind == "integration-warned"
    assert (notice.app_name, notice.webhook_url, notice.organization_name) == ("Pager", URL, "Acme")
    assert (notice.level, notice.policy, notice.warned_at) == (50, "balanced v1", stage.clock.now())
    assert notice.rule == "no success within 7 days, 8 failures over 2 days (the limit is 10 over 3)"
    assert notice.remediation == "One successful delivery, before there are 10 failures over 3 days, would stop it."
    assert notice.days == tuple(DayRecord(f"2025-02-0{day}", server_error=4) for day in (3, 4))
    assert notice.first_failure is not None
    assert (notice.first_failure.code, notice.first_failure.at) == (500, "2025-02-03 12:00:00 UTC")
    assert notice.last_failure is not None
    assert notice.last_failure.at == "2025-02-04 12:00:00 UTC"


@pytest.mark.parametrize("position", [1, 9999])
def test_a_mail_about_no_warning_has_no_notice(stage: Stage, position: int) -> None:
    mail = warn(stage)

    with pytest.raises(NotFoundError):
        warning_notice(stage.store.connection, replace(mail, about_position=position))


@pytest.mark.parametrize("fault", ["no_answer", "reset", "bad_status_line"])
def test_connections_that_end_before_an_answer_are_in_the_table_of_the_mail(stage: Stage, fault: str) -> None:
    stage.register(ONE)
    stage.wear_out(error_class="protocol", status_code=0, fault=fault)
    notice = notice_of(stage, "policy")
    mail = render_disabled_notice(
        notice,
        recipient="ada@acme.example",
        sender_address="hookfuse@hookfuse.example",
        message_id="<m@hookfuse.example>",
        date=stage.clock.now(),
    )

    assert notice.days == tuple(DayRecord(f"2025-02-0{day}", protocol=4) for day in (3, 4, 5))
    for kind in ("plain", "html"):
        body = mail.get_body((kind,))
        assert body is not None
        assert "Garbled" in body.get_content()
