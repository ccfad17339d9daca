"""An event as one line of JSON, as it leaves a home and comes into another."""

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from eventstore.errors import DocumentError
from eventstore.log.event_log import chain_hash

__all__ = ["EventLine", "read_event_line", "write_event_line"]

# What SQLite holds as an integer.
_Number = Annotated[int, Meta(ge=1, le=2**63 - 1)]


class EventLine(Struct, frozen=True, forbid_unknown_fields=True):
    """One event; `data` as it is stored, `hash` in hexadecimal digits (None = it was left out)."""

    position: _Number
    stream: Annotated[str, Meta(min_length=1, max_length=200)]
    version: _Number
    type: Annotated[str, Meta(min_length=1, max_length=100)]
    schema: _Number
    recorded_at: Annotated[str, Meta(max_length=40)]
    data: msgspec.Raw
    hash: Annotated[str, Meta(pattern="^[0-9a-f]{32}$")] | None = None

    def hash_behind(self, previous_hash: bytes, data: str) -> bytes:
        """Return the hash that this event has behind another one, with a text as its data."""
        return chain_hash(
            previous_hash,
            position=self.position,
            stream=self.stream,
            version=self.version,
            type_name=self.type,
            schema=self.schema,
            recorded_at=self.recorded_at,
            data=data,
        )


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(EventLine)


def write_event_line(line: EventLine) -> bytes:
    """Return the line, with its line feed."""
    return _encoder.encode(line) + b"\n"


def read_event_line(line: bytes) -> EventLine:
    """Read a line. Raises DocumentError that says what is wrong with it."""
    try:
        # As text first: of bytes that are none the decoder says too little.
        return _decoder.decode(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise DocumentError(f"not UTF-8 text: {error.reason} at byte {error.start}") from error
    except msgspec.ValidationError as error:
        raise DocumentError(str(error)) from error
    except (msgspec.DecodeError, RecursionError) as error:
        raise DocumentError(f"not JSON: {error}") from error
