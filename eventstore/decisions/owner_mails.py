"""The mails to an organization's owners that follow from a decision."""

from eventstore.common.identifiers import new_id
from eventstore.events.catalogue import MailRequested
from eventstore.projections.registry import Installation, find_organization
from eventstore.unit_of_work import Transaction

__all__ = ["mails_about"]


def mails_about(
    transaction: Transaction, installation: Installation, position: int, *, kind: str, mail_domain: str
) -> list[MailRequested]:
    """Return one mail for each owner about the event at `position`; to be appended in the same transaction as that."""
    # An address that stands there twice is one owner.
    owners = tuple(dict.fromkeys(find_organization(transaction.connection, installation.organization_id).owners))
    mail_ids = [new_id() for _ in owners]
    return [
        MailRequested(
            mail_id=mail_id,
            message_id=f"<{mail_id}@{mail_domain}>",
            recipient=owner,
            kind=kind,
            about_position=position,
        )
        for mail_id, owner in zip(mail_ids, owners, strict=True)
    ]
