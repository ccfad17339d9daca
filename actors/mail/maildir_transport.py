"""Mails handed to a folder on disk, in the Maildir layout: for sites without SMTP, and for a look."""

import mailbox
import os
from dataclasses import dataclass
from email import policy
from email.message import EmailMessage
from pathlib import Path
from typing import Final

from actors.mail.mail_transport import MailDeferred, checked_address

_FOLDERS: Final = ("tmp", "new", "cur")


@dataclass(frozen=True, slots=True)
class MaildirTransport:
    """A Maildir at `path`, made on first use. Folders are for their owner only (0700), mails too (0600)."""

    path: Path

    def deliver(self, message: EmailMessage, recipient: str) -> None:
        """Return once the mail is on disk, fsynced, in `new`; see `MailTransport.deliver` for the errors."""
        delivered_to = f"Delivered-To: {checked_address(recipient)}\n".encode("ascii")
        # Mail readers expect the host's line ends in a Maildir, not those of the wire.
        octets = delivered_to + message.as_bytes(policy=policy.default.clone(cte_type="7bit"))
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            for name in _FOLDERS:
                (self.path / name).mkdir(mode=0o700, exist_ok=True)
            key = mailbox.Maildir(self.path).add(octets)
            (self.path / "new" / key).chmod(0o600)
            # The mail is an entry in `new`, and on the first use `new` is an entry in `path`, and so on.
            for folder in (self.path / "new", self.path, self.path.parent):
                _sync_folder(folder)
        except (OSError, mailbox.Error) as error:
            raise MailDeferred(f"{self.path}: {error}") from error

    def check(self) -> None:
        """Raise MailDeferred where a folder can't be made or written to; nothing is changed."""
        for folder in (self.path, *(self.path / name for name in _FOLDERS)):
            if os.path.lexists(folder) and not folder.is_dir():
                raise MailDeferred(f"{folder} is not a folder: move it away, and one will be created")
            if folder.is_dir() and not os.access(folder, os.W_OK | os.X_OK):
                raise MailDeferred(f"{folder} cannot be written to: check its owner and permissions")


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
