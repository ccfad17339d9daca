import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.logs.line_cutter import LongLine
from console.logs.line_filter import LEVELS, LineFilter
from console.logs.log_entry import read_entry
from console.logs.sieve import Sieve
from tests.console.logs.lines import DELIVERY, INSTALLATION, OTHER_INSTALLATION, line

_ID = st.sampled_from([INSTALLATION, OTHER_INSTALLATION, DELIVERY, "x", ""])
_FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "event": st.sampled_from(["delivery_attempted", "issue.created", "daemon_started"]),
        "level": st.sampled_from([*LEVELS, "strange"]),
        "installation_id": _ID | st.none(),
        "delivery_id": _ID,
        "event_name": st.sampled_from(["issue.created", "issue.resolved"]) | st.none(),
        "outcome": st.sampled_from(["succeeded", "failed"]) | st.none(),
        "timestamp": st.sampled_from(["", "2025-02-08T00:00:00.000000Z", "2025-02-08T00:00:01.000000Z"]),
        "text": st.sampled_from([DELIVERY, '"failed"', "error", "{", "}\n{"]),
    },
)
_FILTERS = st.builds(
    LineFilter,
    installation=st.sampled_from(["", INSTALLATION, INSTALLATION[:6], OTHER_INSTALLATION[:7]]),
    delivery=st.sampled_from(["", DELIVERY, DELIVERY[:8]]),
    event=st.sampled_from(["", "issue.created", "daemon_started", "an event", "ä"]),
    level=st.sampled_from(["", *LEVELS]),
    outcome=st.sampled_from(["", "succeeded", "failed"]),
    since=st.sampled_from(["", "2025-02-08T00:00:00.500000Z"]),
    until=st.sampled_from(["", "2025-02-08T00:00:00.500000Z"]),
)


def _block(lines: list[bytes]) -> bytes:
    return b"".join(one + b"\n" for one in lines)


def _picked(block: bytes, wanted: LineFilter) -> list[bytes]:
    return [raw for raw, _ in Sieve(wanted).pick(block)]


@given(st.lists(_FIELDS.map(lambda fields: json.dumps(fields).encode()), max_size=8), _FILTERS)
def test_looking_for_bytes_first_finds_what_reading_each_line_finds(lines: list[bytes], wanted: LineFilter) -> None:
    entries = [(one, read_entry(one)) for one in lines]

    assert _picked(_block(lines), wanted) == [one for one, entry in entries if entry and wanted.wants(entry)]


@given(st.lists(_FIELDS.map(lambda fields: json.dumps(fields).encode()) | st.binary(max_size=12), max_size=8), _FILTERS)
def test_broken_lines_hide_no_others_and_all_are_counted(lines: list[bytes], wanted: LineFilter) -> None:
    lines = [part for one in lines for part in one.split(b"\n") if part.strip()]
    entries = [(one, read_entry(one)) for one in lines]
    sieve = Sieve(wanted)

    found = [raw for raw, entry in sieve.pick(_block(lines)) if entry]

    assert found == [one for one, entry in entries if entry and wanted.wants(entry)]
    assert sieve.lines == len(lines)
    # By their bytes {"x} and such pass for lines where a filter looks at bytes only.
    assert sieve.broken <= sum(entry is None for _, entry in entries)
    if not wanted.needles():
        assert sieve.broken == sum(entry is None for _, entry in entries)


@pytest.mark.parametrize(
    ("wanted", "number"),
    [
        (LineFilter(installation=INSTALLATION[:6]), 0),
        (LineFilter(installation=OTHER_INSTALLATION), 1),
        (LineFilter(event="issue.resolved"), 2),
        (LineFilter(event="breaker_opened"), 3),
        (LineFilter(level="error"), 4),
        (LineFilter(outcome="timed_out"), 5),
        (LineFilter(since="2025-02-08T00:00:06.000000Z"), 6),
        (LineFilter(until="2025-02-07"), 7),
        (LineFilter(delivery="0197d3c0-1f2e-7a40-9d3c-000000000008"), 8),
    ],
    ids=str,
)
def test_each_filter_picks_its_line(wanted: LineFilter, number: int) -> None:
    foreign = "aaaaaaaa-0000-4000-8000-000000000000"
    special: list[dict[str, Any]] = [
        {"installation_id": INSTALLATION},
        {"installation_id": OTHER_INSTALLATION},
        {"event_name": "issue.resolved"},
        {"event": "breaker_opened"},
        {"level": "critical"},
        {"outcome": "timed_out"},
        {"timestamp": "2025-02-08T00:00:06.000000Z"},
        {"timestamp": "2025-02-06T00:00:06.000000Z"},
        {"delivery_id": "0197d3c0-1f2e-7a40-9d3c-000000000008"},
    ]
    usual = {"installation_id": foreign, "timestamp": "2025-02-08T00:00:00.000000Z"}
    lines = [line(index, **(usual | fields)) for index, fields in enumerate(special)]

    picked = _picked(b"".join(lines), wanted)

    expected = lines[0:2] if wanted.installation == INSTALLATION[:6] else [lines[number]]
    assert [one + b"\n" for one in picked] == expected


def test_a_broken_line_is_let_through_shortened_where_no_filter_is_set() -> None:
    sieve = Sieve()

    assert list(sieve.pick(b"short\n" + b"x" * 300 + b"\n")) == [
        (b"short", None),
        (b"x" * 200 + b" ... (300 bytes)", None),
    ]
    assert list(sieve.pick(LongLine(b"y" * 1024, 10**8))) == [(b"y" * 200 + b" ... (100000000 bytes)", None)]
    assert (sieve.lines, sieve.broken) == (3, 3)


def test_a_broken_line_is_counted_where_a_filter_is_set() -> None:
    sieve = Sieve(LineFilter(delivery=DELIVERY))
    block = b"rubbish\n" + line() + b'{"event":1,"x":"' + DELIVERY.encode() + b'"}\n\x00\x00' + line()

    assert [raw + b"\n" for raw, _ in sieve.pick(block)] == [line()]
    assert list(sieve.pick(LongLine(b"y", 10**8))) == []
    assert (sieve.lines, sieve.broken) == (5, 4)


def test_a_broken_line_between_whole_ones_is_counted_beside_a_filter_that_looks_for_bytes() -> None:
    other = line(delivery_id="x")
    sieve = Sieve(LineFilter(delivery=DELIVERY))

    assert [raw + b"\n" for raw, _ in sieve.pick(other + b"rubbish\n" + line() + b"{half\n" + other)] == [line()]
    assert (sieve.lines, sieve.broken) == (5, 2)


def test_empty_lines_are_none() -> None:
    sieve = Sieve()

    assert list(sieve.pick(b"\n \n\r\n")) == []
    assert (sieve.lines, sieve.broken) == (0, 0)
