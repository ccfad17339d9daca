"""A day's counts of another system, in the original's layout (docs/original.md, section 4). Pure."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import msgspec
from msgspec import Struct

from eventstore.common.clock import parse_time
from eventstore.common.json_lines import Faults
from eventstore.errors import DocumentError
from eventstore.redis.original_layout import COUNT_FIELDS
from eventstore.transfer.event_check import LARGEST_COUNT

__all__ = ["BUCKET_LINE_BYTES", "CountBucket", "read_bucket", "read_bucket_lines"]

BUCKET_LINE_BYTES = 64 * 1024

_KEY = re.compile(r"sentry-app-error:([1-9]\d{0,17}):([1-9]\d{0,17}):(\d{4}-\d\d-\d\d)", re.ASCII)
_COUNT = re.compile(r"0|[1-9]\d{0,17}", re.ASCII)
_CLASS_OF = {field: name for name, field in COUNT_FIELDS.items()}


@dataclass(frozen=True, slots=True)
class CountBucket:
    """One day of an app in an organization; `number` and `place` say where it was read, `counts` are by class."""

    number: int
    place: str
    app_id: int
    organization_id: int
    day: str
    counts: Mapping[str, int]


class _BucketLine(Struct, frozen=True, forbid_unknown_fields=True):
    key: str
    fields: dict[str, str | int]


_decoder = msgspec.json.Decoder(_BucketLine)


def read_bucket(number: int, place: str, key: str, fields: Mapping[str, str | int]) -> CountBucket:
    """Read a key and its fields. Raises DocumentError that says what is wrong with them."""
    found = _KEY.fullmatch(key)
    if found is None or not _is_day(found.group(3)):
        raise DocumentError(f"{key[:100]!r} is not a key such as sentry-app-error:5:17:2025-02-01")
    counts = {name: _count(field, fields.get(field, 0)) for field, name in _CLASS_OF.items()}
    unknown = sorted(fields.keys() - _CLASS_OF.keys())
    if unknown:
        raise DocumentError(f"{unknown[0][:60]!r} is none of the fields {', '.join(_CLASS_OF)}")
    return CountBucket(number, place, int(found.group(1)), int(found.group(2)), found.group(3), counts)


def read_bucket_lines(lines: Iterable[tuple[int, bytes | None]], faults: Faults) -> Iterator[CountBucket]:
    """Read lines of {"key": ..., "fields": {...}}; one with a fault is left out, and the fault noted."""
    for number, content in lines:
        try:
            yield _read_line(number, content)
        except DocumentError as error:
            faults.add(number, str(error))


def _read_line(number: int, content: bytes | None) -> CountBucket:
    if content is None:
        raise DocumentError(f"over {BUCKET_LINE_BYTES} bytes, which is too long for the counts of a day")
    try:
        line = _decoder.decode(content.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise DocumentError(f"not UTF-8 text: {error.reason} at byte {error.start}") from error
    except msgspec.ValidationError as error:
        raise DocumentError(str(error)) from error
    except (msgspec.DecodeError, RecursionError) as error:
        raise DocumentError(f"not JSON: {error}") from error
    return read_bucket(number, f"line {number}", line.key, line.fields)


def _count(field: str, value: str | int) -> int:
    if not _COUNT.fullmatch(str(value)) or int(value) > LARGEST_COUNT:
        raise DocumentError(f"{field} is not a count from 0 to {LARGEST_COUNT}: {str(value)[:60]!r}")
    return int(value)


def _is_day(text: str) -> bool:
    try:
        parse_time(text)
    except ValueError:
        return False
    return True
