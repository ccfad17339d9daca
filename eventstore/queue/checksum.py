"""A checksum for each delivery that waits: what a disk has changed is never signed and sent.

CRC-32 finds every change of up to 32 bits in a row, and takes a microsecond. It is not a defence against somebody who
can write to the database. https://www.zlib.net/manual.html#Checksum
"""

from zlib import crc32

__all__ = ["payload_checksum"]


def payload_checksum(
    *,
    delivery_id: str,
    installation_id: str,
    event_name: str,
    ordering_key: str,
    enqueued_at: str,
    actor: str | None,
    data: str,
    is_probe: bool = False,
) -> int:
    """Return the checksum of what is sent, to whom, in which order, by which rule, and since when it waits.

    What each attempt changes (how many there were, the last error, when the next one is due) is not in it.
    """
    kind = "probe" if is_probe else ""
    head = f"{delivery_id}\n{installation_id}\n{event_name}\n{ordering_key}\n{enqueued_at}\n{kind}\n{actor or ''}\n"
    return crc32(f"{head}{data}".encode())
