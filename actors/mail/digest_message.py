"""What a digest says: many notices to one owner, an entry each."""

from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from typing import Literal

from actors.mail.mail_frame import add_parts, cleaned, headed_message, page_links, time_text
from actors.mail.mail_message import DisabledNotice, WarningNotice

__all__ = ["DigestEntry", "render_digest"]


@dataclass(frozen=True, slots=True)
class DigestEntry:
    """One integration of a digest. `at` is for people, `because` one sentence; texts may be hostile."""

    kind: Literal["disabled", "warned"]
    app_name: str
    organization_name: str
    webhook_url: str
    installation_id: str
    at: str
    because: str
    settings_url: str

    @classmethod
    def of(cls, notice: DisabledNotice | WarningNotice) -> "DigestEntry":
        """Return the short form of a notice."""
        is_disabled = isinstance(notice, DisabledNotice)
        settings_url, dashboard_url = page_links(
            notice.organization_url,
            notice.organization_slug,
            notice.app_slug,
            referrer="disabled-sentry-app" if is_disabled else "integration-warning",
        )
        return cls(
            kind="disabled" if is_disabled else "warned",
            app_name=notice.app_name,
            organization_name=notice.organization_name,
            webhook_url=notice.webhook_url,
            installation_id=notice.installation_id,
            at=time_text(notice.disabled_at if isinstance(notice, DisabledNotice) else notice.warned_at),
            because=_because(notice),
            settings_url=settings_url if is_disabled else dashboard_url,
        )


def render_digest(
    entries: tuple[DigestEntry, ...],
    *,
    recipient: str,
    sender_address: str,
    message_id: str,
    date: datetime,
) -> EmailMessage:
    """Return the mail that stands for many notices to one owner; all is as in `render_disabled_notice`."""
    disabled = tuple(cleaned(entry) for entry in entries if entry.kind == "disabled")
    warned = tuple(cleaned(entry) for entry in entries if entry.kind == "warned")
    if disabled:
        subject = f"Action required: Fix your integrations ({len(disabled)} disabled)"
    else:
        subject = f"Your integrations: {len(warned)} close to being disabled"
    message = headed_message(
        kind="digest",
        subject=subject,
        recipient=recipient,
        sender_address=sender_address,
        message_id=message_id,
        date=date,
    )
    add_parts(message, "digest", disabled=disabled, warned=warned)
    return message


def _because(notice: DisabledNotice | WarningNotice) -> str:
    if isinstance(notice, WarningNotice):
        return f"{notice.level}% of the way to being disabled: {notice.rule}"
    if notice.cause == "receiver":
        return "the receiver itself asked for no more requests (410 Gone)"
    return notice.rule or f"a person disabled it: {notice.reason}"
