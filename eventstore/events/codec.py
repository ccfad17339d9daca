"""How an event is stored: JSON text with a schema number, upcast on reading."""

from collections.abc import Callable, Mapping

import msgspec

from eventstore.errors import UnknownEventError
from eventstore.events.catalogue import EVENT_CLASSES, FORMER_NAMES, Event

__all__ = ["decode_event", "encode_event"]

Fields = dict[str, object]
Upcaster = Callable[[Fields], Fields]


def _name_progress(form: Fields) -> Fields:
    """Return a warning of before with its `nearness` under today's name."""
    return {("progress" if name == "nearness" else name): value for name, value in form.items()}


# (type, schema it has) -> the form with the next schema number.
UPCASTERS: Mapping[tuple[str, int], Upcaster] = {("installation.warned", 1): _name_progress}

_encoder = msgspec.json.Encoder()
_classes = EVENT_CLASSES | {former: EVENT_CLASSES[name] for former, name in FORMER_NAMES.items()}
_decoders = {name: msgspec.json.Decoder(event_class) for name, event_class in _classes.items()}


def encode_event(event: Event) -> str:
    """Return the event's fields as compact JSON text."""
    return _encoder.encode(event).decode()


def decode_event(type_name: str, schema: int, data: str | bytes) -> Event:
    """Read an event back, upcasting an older form first.

    Raises UnknownEventError for a type or schema number that is not known here, or JSON that does not fit.
    """
    decoder = _decoders.get(type_name)
    if decoder is None:
        raise UnknownEventError(f"event type {type_name!r} is not known to this version of hookfuse")
    event_class = _classes[type_name]
    try:
        if schema == event_class.schema:
            return decoder.decode(data)
        return msgspec.convert(_upcast(event_class, schema, data), event_class)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise UnknownEventError(f"the data of this {type_name} cannot be read: {error}") from error


def _upcast(event_class: type[Event], schema: int, data: str | bytes) -> Fields:
    type_name, current = event_class.type_name, event_class.schema
    form = msgspec.json.decode(data, type=Fields)
    for number in range(schema, current) if type(schema) is int else (schema,):  # SQLite takes a text there too
        upcaster = UPCASTERS.get((type_name, number))
        if upcaster is None:
            break
        form = upcaster(form)
    else:
        if schema < current:
            return form
    raise UnknownEventError(
        f"{type_name} with schema {schema} is not known to this version of hookfuse (it has {current})"
    )
