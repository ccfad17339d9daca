"""The door into the queue: what each delivery is checked for, whoever hands it over, and how it comes in."""

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import msgspec

from eventstore.common.connection import Connection
from eventstore.common.event_name import parse_event_name
from eventstore.errors import DocumentError, RejectedError
from eventstore.projections.registry import require_installations
from eventstore.queue.delivery import NewDelivery
from eventstore.queue.enqueue import Batch, enqueue_batch
from eventstore.queue.queries import find_row
from eventstore.unit_of_work import Transaction

__all__ = ["admit", "checked_delivery", "compact_json_object", "require_admissible"]

_KEY_CHARACTERS: Final = 256
_HALF_A_CHARACTER: Final = re.compile("[\ud800-\udfff]")
# All but lone surrogates, which no database and no wire takes.
_KEY: Final = re.compile(f"[^\ud800-\udfff]{{1,{_KEY_CHARACTERS}}}")

# What UTF-8 takes for a character at most.
_CHARACTER_BYTES: Final = 4
# One for all: making it is an eighth of decoding an alert.
_decode = msgspec.json.Decoder().decode


def admit(transaction: Transaction, batch: Batch) -> list[str]:
    """Queue deliveries that were checked, and return their ids; the caller rings the doorbell after the commit.

    Raises NotFoundError and RejectedError as `require_admissible` does: all come in, or none.
    """
    require_admissible(transaction.connection, batch.deliveries)
    return enqueue_batch(transaction.connection, batch, enqueued_at=transaction.recorded_at)


def require_admissible(connection: Connection, deliveries: Sequence[NewDelivery]) -> None:
    """Raise NotFoundError for an installation that is unknown or removed, RejectedError for the id of another's."""
    require_installations(connection, {delivery.installation_id for delivery in deliveries})
    for delivery in deliveries:
        if delivery.delivery_id is None:  # as nearly always: the queue makes one
            continue
        held = find_row(connection, delivery.delivery_id)
        if held is not None and held.installation_id != delivery.installation_id:
            raise RejectedError(f"delivery {delivery.delivery_id} belongs to installation {held.installation_id}")


def checked_delivery(delivery: NewDelivery, limit_bytes: int) -> NewDelivery:
    """Return a delivery with compact data, of at most `limit_bytes`.

    Raises RejectedError (too large, no event name, a key that is none) and DocumentError (no JSON object).
    """
    parse_event_name(delivery.event_name)
    if delivery.idempotency_key is not None and not _is_key(delivery.idempotency_key):
        raise RejectedError(f"an idempotency key has 1 to {_KEY_CHARACTERS} characters")
    if delivery.ordering_key and not _is_key(delivery.ordering_key):
        raise RejectedError(f"an ordering key has at most {_KEY_CHARACTERS} characters")
    actor = None if delivery.actor is None else _compact(delivery.actor, "the actor", limit_bytes)
    data = _compact(delivery.data, "the data", limit_bytes)
    is_compact = data == delivery.data and actor == delivery.actor
    return delivery if is_compact else replace(delivery, data=data, actor=actor)


def _is_key(text: str) -> bool:
    return _KEY.fullmatch(text) is not None


def _compact(data: str, what: str, limit_bytes: int) -> str:
    if len(data) * _CHARACTER_BYTES > limit_bytes:  # else there is nothing to count
        size_bytes = len(data.encode("utf-8", errors="surrogatepass"))
        if size_bytes > limit_bytes:
            raise RejectedError(f"{what} has {size_bytes} bytes, and [limits] attachment_bytes is {limit_bytes}")
    return compact_json_object(data, what)


def compact_json_object(text: str, what: str = "the data") -> str:
    """Check that a text is one JSON object and give it without white space; numbers keep their spelling.

    Raises DocumentError that names line and column.
    """
    try:
        compact = msgspec.json.format(text, indent=-1)
        _decode(compact)
    except RecursionError as error:
        raise DocumentError(f"{what} is nested too deeply") from error
    except (msgspec.DecodeError, UnicodeEncodeError) as error:
        raise DocumentError(f"{'' if what == 'the data' else f'{what} is '}{_json_fault(text, error)}") from error
    if not compact.startswith("{"):
        raise DocumentError(f"{what} is JSON, but not an object {{...}}")
    return compact


def _json_fault(text: str, error: Exception) -> str:
    try:
        value = json.loads(text)
    except json.JSONDecodeError as fault:  # this one knows lines
        return f"not JSON: line {fault.lineno}, column {fault.colno}: {fault.msg}"
    except (ValueError, RecursionError):
        return f"not JSON: {error}"
    # JSON by its grammar, and yet there are parsers that choke on it.
    if isinstance(error, msgspec.ValidationError):
        return "a number in the data is too large for a 64-bit float: write it as a string"
    if _HALF_A_CHARACTER.search(json.dumps(value, ensure_ascii=False)):
        return "a string in the data has half of a surrogate pair (\\ud800 to \\udfff)"
    return f"not JSON: {error}"
