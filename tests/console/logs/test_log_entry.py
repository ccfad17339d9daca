import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.logs.log_entry import LogEntry, read_entry, read_fields
from console.logs.shown_line import json_line, shown_line

BROKEN = [
    b"x",
    b"\x00\x00\x00",
    b"[]",
    b"1",
    b"null",
    b'"text"',
    b'{"event":"a"',
    b'{"event":"a"} more',
    b'{"event":1}',
    b'{"level":null}',
    b'{"installation_id":[]}',
    b'{"attempt":"one"}',
    b'{"duration_ms":"fast"}',
    b'{"duration_ms":NaN}',
    b'{"duration_ms":1e400}',
    b'{"status_code":1.5}',
    b'{"event":"\xff"}',
    b'{"other":"\xff"}',
    b'{"other":"\xed\xa0\x80"}',
    b'{"event":"a\x01"}',
    b"{'event':'a'}",
    b'{"a":' * 100_000,
    b'{"other":' + b"[" * 5000 + b"]" * 5000 + b"}",
]


@pytest.mark.parametrize("line", BROKEN, ids=lambda line: repr(line[:30]))
def test_what_is_no_line_of_the_log_is_broken(line: bytes) -> None:
    assert read_entry(line) is None


def test_an_object_without_the_fields_is_a_line() -> None:
    assert read_entry(b' {"x": 1}\r') == LogEntry()


def test_the_fields_are_read() -> None:
    entry = read_entry(b'{"event":"a","level":"info","attempt":2,"duration_ms":3,"error_class":null,"x":[1]}')

    assert entry == LogEntry(event="a", level="info", attempt=2, duration_ms=3.0)


@given(st.binary() | st.text().map(str.encode) | st.text().map(lambda text: b'{"x":"' + text.encode() + b'"}'))
def test_no_bytes_are_too_bad_to_be_read_and_shown(line: bytes) -> None:
    entry = read_entry(line)

    shown = shown_line(line, entry, is_short=True)
    assert all(one.isprintable() for one in shown.split("\n"))
    assert read_fields(json_line(line, entry)) is not None


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(["exception", "logger", "attempt", "event", "x", "\x1b[2J"]), _VALUES))
def test_no_object_is_too_odd_to_be_shown(document: dict[str, object]) -> None:
    import json

    line = json.dumps(document).encode()
    entry = read_entry(line)

    shown = shown_line(line, entry, is_short=True)
    assert all(one.isprintable() for one in shown.split("\n"))
    assert json.loads(json_line(line, entry)) == (
        document if entry else {"broken_line": json.loads(json_line(line, entry))["broken_line"]}
    )


@pytest.mark.parametrize("number", [b"1" * 5000, b"-" + b"9" * 400, b"1e300"])
def test_a_number_that_is_too_large_stops_nothing(number: bytes) -> None:
    for name in (b"x", b"attempt", b"duration_ms", b"exception"):
        line = b'{"%s":%s}' % (name, number)
        entry = read_entry(line)

        assert shown_line(line, entry, is_short=False)
        assert json_line(line, entry)
