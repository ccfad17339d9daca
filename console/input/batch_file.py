"""The file of `hookfuse send --batch`: JSON lines, checked whole before anything is queued."""

from codecs import BOM_UTF8
from collections.abc import Callable, Iterator
from typing import BinaryIO

import msgspec

from eventstore.common.identifiers import parse_uuid
from eventstore.common.json_lines import BLANK_LINES_MAX
from eventstore.deliveries.producer import Producer
from eventstore.errors import DocumentError, EventStoreError, RejectedError
from eventstore.projections.registry import require_installations
from eventstore.queue.delivery import NewDelivery

__all__ = ["MAX_BYTES", "MAX_LINES", "read_batch"]

# A batch is one transaction and is held in memory until then.
MAX_LINES = 100_000
MAX_BYTES = 256 * 1024 * 1024

# What stands around the data in a line: keys, ids, names, each with its own limit.
_AROUND_DATA_BYTES = 8_192


# As without one: the platform is behind it.
_NOBODY = b"null"


class BatchLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One line; `data` and `actor` are kept as they are written."""

    installation: str
    event: str
    data: msgspec.Raw
    idempotency_key: str | None = None
    ordering_key: str = ""
    actor: msgspec.Raw = msgspec.Raw(_NOBODY)


_decoder = msgspec.json.Decoder(BatchLine)


def read_batch(
    stream: BinaryIO, name: str, producer: Producer, limit_bytes: int, on_line: Callable[[int], None]
) -> list[NewDelivery]:
    """Read and check every line; `on_line` is told the size of each in bytes.

    Raises DocumentError, RejectedError and NotFoundError that name file and line.
    """
    most_bytes = limit_bytes + _AROUND_DATA_BYTES
    deliveries: list[NewDelivery] = []
    known: set[str] = set()
    total_bytes = blank_count = 0
    for number, line in enumerate(_lines(stream, most_bytes), start=1):
        total_bytes += len(line)
        on_line(len(line))
        text = line.removeprefix(BOM_UTF8) if number == 1 else line  # some systems' editors put one there
        if not text.strip():
            blank_count += 1
            if blank_count > BLANK_LINES_MAX:
                raise DocumentError(f"{name}: over {BLANK_LINES_MAX:,} blank lines, and nothing more is read")
            continue
        if len(line) > most_bytes:
            raise RejectedError(f"{name}, line {number}: over {most_bytes} bytes ([limits] attachment_bytes)")
        try:
            deliveries.append(_checked(text, producer, known))
        except EventStoreError as error:
            raise type(error)(f"{name}, line {number}: {error}") from error
        if len(deliveries) > MAX_LINES or total_bytes > MAX_BYTES:
            raise RejectedError(
                f"{name}: over {MAX_LINES} lines or {MAX_BYTES // 1024**2} MiB, the most of one batch: split it"
            )
    return deliveries


def _lines(stream: BinaryIO, most_bytes: int) -> Iterator[bytes]:
    while line := stream.readline(most_bytes + 1):
        yield line


def _checked(line: bytes, producer: Producer, known: set[str]) -> NewDelivery:
    try:
        entry = _decoder.decode(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise DocumentError(f"not UTF-8 text: {error.reason} at byte {error.start}") from error
    except msgspec.ValidationError as error:
        raise DocumentError(str(error)) from error
    except (msgspec.DecodeError, RecursionError) as error:
        raise DocumentError(f"not JSON: {error}") from error
    installation_id = parse_uuid(entry.installation)
    if installation_id not in known:
        require_installations(producer.store.connection, {installation_id})
        known.add(installation_id)
    return producer.check(
        NewDelivery(
            installation_id=installation_id,
            event_name=entry.event,
            data=bytes(entry.data).decode(),
            ordering_key=entry.ordering_key,
            idempotency_key=entry.idempotency_key,
            actor=None if bytes(entry.actor) == _NOBODY else bytes(entry.actor).decode(),
        )
    )
