"""An entry of a Redis stream: a delivery that a producer in any language hands over."""

from collections.abc import Mapping

from eventstore.common.identifiers import parse_uuid
from eventstore.errors import RejectedError
from eventstore.queue.delivery import NewDelivery

__all__ = ["delivery_of"]

_FIELDS = {"installation", "event", "data", "actor", "ordering_key", "idempotency_key", "delivery"}
_NEEDED = ("installation", "event", "data")


def delivery_of(entry_id: str, fields: Mapping[bytes, bytes]) -> NewDelivery:
    """Read an entry's fields; what they hold is checked by the producer, as for every delivery.

    An entry is taken in once: by its field `delivery` or `idempotency_key`, else by its own id. Raises RejectedError.
    """
    texts = {_text(name, "a field's name"): value for name, value in fields.items()}
    unknown = sorted(texts.keys() - _FIELDS)
    if unknown:
        raise RejectedError(f"there is no field {unknown[0][:60]!r}; there are: {', '.join(sorted(_FIELDS))}")
    missing = [name for name in _NEEDED if name not in texts]
    if missing:
        raise RejectedError(f"the field {missing[0]!r} is missing")
    if "delivery" in texts and "idempotency_key" in texts:
        raise RejectedError("it has `delivery` and `idempotency_key`: one of them tells it from others")
    values = {name: _text(value, f"the field {name!r}") for name, value in texts.items()}
    delivery_id = parse_uuid(values["delivery"]) if "delivery" in values else None
    own_key = f"delivery:{delivery_id}" if delivery_id else f"entry:{entry_id}"
    return NewDelivery(
        installation_id=parse_uuid(values["installation"]),
        event_name=values["event"],
        data=values["data"],
        actor=values.get("actor"),
        ordering_key=values.get("ordering_key", ""),
        idempotency_key=values.get("idempotency_key", own_key),
        delivery_id=delivery_id,
    )


def _text(value: bytes, what: str) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise RejectedError(f"{what} is not UTF-8 text") from error
