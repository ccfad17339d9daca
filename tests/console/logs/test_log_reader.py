import gzip
import random
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.logs.line_filter import LineFilter
from console.logs.log_files import LogStream, find_streams, opened_log, total_bytes
from console.logs.log_reader import Found, LogReader
from eventstore.errors import DocumentError
from tests.console.logs.lines import DELIVERY, INSTALLATION, OTHER_INSTALLATION, compress, line, rotate

_TEXT = b"".join(b"%d\n" % random.Random(number).getrandbits(64) for number in range(50_000))


def _stream(folder: Path, data: bytes) -> LogStream:
    path = folder / f"{len(list(folder.iterdir()))}"
    path.write_bytes(data)
    return LogStream(path)


def _read(folder: Path, data: bytes, wanted: LineFilter | None = None) -> tuple[LogReader, list[Found]]:
    reader = LogReader(wanted)
    return reader, list(reader.read([_stream(folder, data)]))


@pytest.mark.parametrize("data", [b"", b"x", b"\x1f", b"\x1f\x00no gzip", _TEXT])
def test_a_plain_file_and_a_compressed_one_are_given_line_by_line(tmp_path: Path, data: bytes) -> None:
    for written in (data, gzip.compress(data), gzip.compress(data[:10]) + gzip.compress(data[10:])):
        reader, found = _read(tmp_path, written)

        assert [raw for raw, _ in found] == [one for one in data.split(b"\n") if one]
        assert (reader.bytes, reader.faults) == (len(data), [])


@pytest.mark.parametrize("cut", [1, 8, 9, 20_000])
def test_of_a_file_that_ends_too_early_the_beginning_is_given(tmp_path: Path, cut: int) -> None:
    reader, found = _read(tmp_path, gzip.compress(_TEXT)[:-cut])

    assert reader.faults == ["0: the compressed file ends too early"]
    assert _TEXT.startswith(b"\n".join(raw for raw, _ in found))
    assert reader.bytes > len(_TEXT) - 3 * cut - 50


def test_of_a_damaged_file_what_comes_before_the_damage_is_given(tmp_path: Path) -> None:
    damaged = bytearray(gzip.compress(_TEXT))
    middle = len(damaged) // 2
    damaged[middle : middle + 1000] = bytes(1000)

    reader, found = _read(tmp_path, bytes(damaged))

    before = int(len(_TEXT) * 0.45)
    assert reader.faults == ["0: the compressed file is damaged"]
    assert b"\n".join(raw for raw, _ in found)[:before] == _TEXT[:before]
    assert _read(tmp_path, gzip.compress(b"x\n") + b"rubbish")[0].faults == ["1: the compressed file is damaged"]


def test_progress_counts_the_bytes_of_the_files_themselves(tmp_path: Path) -> None:
    counted: list[int] = []
    streams = [_stream(tmp_path, gzip.compress(_TEXT)), _stream(tmp_path, _TEXT)]
    expected = total_bytes(streams)

    list(LogReader(advance=counted.append).read(streams))

    assert sum(counted) == expected == len(gzip.compress(_TEXT)) + len(_TEXT)


_FILES = st.lists(
    st.tuples(
        st.lists(st.sampled_from([line(1), line(2, outcome="failed"), b"x\n", b"\n", b"y" * 70 + b"\n"])), st.booleans()
    ),
    max_size=3,
)


@given(_FILES, st.integers(0, 6), st.sampled_from([LineFilter(), LineFilter(outcome="failed")]), st.booleans())
def test_the_last_lines_are_the_end_of_all_lines(
    files: list[tuple[list[bytes], bool]], count: int, wanted: LineFilter, is_open_end: bool
) -> None:
    datas = [b"".join(lines)[: -1 if is_open_end else None] for lines, _ in files]
    datas = [gzip.compress(data) if is_gz else data for data, (_, is_gz) in zip(datas, files, strict=True)]
    with TemporaryDirectory() as folder:
        streams = [_stream(Path(folder), data) for data in datas]

        everything = list(LogReader(wanted).read(streams))
        last = LogReader(wanted).read_last(streams, count)

    assert last == (everything[-count:] if count else [])


def test_the_last_lines_are_found_without_reading_the_files_before_them(tmp_path: Path) -> None:
    reader = LogReader()

    found = reader.read_last([_stream(tmp_path, b"rubbish\n"), _stream(tmp_path, line() * 10)], 3)

    assert len(found) == 3
    assert (reader.lines, reader.broken) == (10, 0)


def test_a_damaged_and_a_missing_file_are_said_and_the_others_read(tmp_path: Path) -> None:
    log = tmp_path / "hookfuse.jsonl"
    log.write_bytes(line(1))
    gone = rotate(log, "20250201T100000.000000")
    log.write_bytes(line(2) * 100)
    damaged = rotate(log, "20250201T110000.000000")
    compress(damaged)
    compressed = damaged.with_name(damaged.name + ".gz")
    compressed.write_bytes(compressed.read_bytes()[:-9])
    log.write_bytes(line(3))

    streams = find_streams(log)
    gone.unlink()
    reader = LogReader()
    found = [raw + b"\n" for raw, _ in reader.read(streams)]

    assert found[-1] == line(3)
    assert reader.faults == [
        f"{gone.name}: it is gone by now",
        f"{damaged.name}: the compressed file ends too early",
    ]


@pytest.mark.parametrize(("data", "broken"), [(line()[:-1], 0), (line()[:-20], 1)])
def test_half_a_line_at_the_end_is_broken_and_a_whole_one_without_a_line_feed_is_not(
    tmp_path: Path, data: bytes, broken: int
) -> None:
    reader, found = _read(tmp_path, data)

    assert (len(found), reader.broken) == (1, broken)


def test_files_that_are_named_are_read_in_that_order_and_must_be_there(tmp_path: Path) -> None:
    (tmp_path / "b").write_bytes(line(1))
    (tmp_path / "a").write_bytes(gzip.compress(line(2)))

    with opened_log(tmp_path / "log", [tmp_path / "b", tmp_path / "a"]) as streams:
        found = [raw + b"\n" for raw, _ in LogReader().read(streams)]

    assert found == [line(1), line(2)]
    with pytest.raises(DocumentError, match="c cannot be read"), opened_log(tmp_path, [tmp_path / "c"]):
        pass


def test_a_broken_line_is_let_through_shortened_where_no_filter_is_set_and_counted_in_any_case(tmp_path: Path) -> None:
    data = b"short\n" + b"x" * 300 + b"\n" + line() + b"y" * 10_000_000 + b"\n \r\n\n" + b"[1]"

    reader, found = _read(tmp_path, data)
    filtered, picked = _read(tmp_path, data, LineFilter(delivery=DELIVERY))

    assert [raw for raw, entry in found if entry is None] == [
        b"short",
        b"x" * 200 + b" ...",
        b"y" * 200 + b" ...",
        b"[1]",
    ]
    assert [raw + b"\n" for raw, _ in picked] == [line()]
    assert (reader.lines, reader.broken) == (filtered.lines, filtered.broken) == (5, 4)


@pytest.mark.parametrize("half", [b'{"event":"a', b"x"])
def test_a_line_that_is_too_long_is_broken_even_where_what_is_left_of_it_can_be_read(
    tmp_path: Path, half: bytes
) -> None:
    reader, found = _read(tmp_path, half + b"a" * 3 * 1024 * 1024 + b'"}\n' + line())

    assert [entry is None for _, entry in found] == [True, False]
    assert (reader.lines, reader.broken) == (2, 1)


@pytest.mark.parametrize(
    ("wanted", "numbers"),
    [
        (LineFilter(installation=INSTALLATION[:6]), [0, 1]),
        (LineFilter(installation=OTHER_INSTALLATION), [1]),
        (LineFilter(event="issue.resolved"), [2]),
        (LineFilter(event="breaker_opened"), [3]),
        (LineFilter(level="error"), [4]),
        (LineFilter(outcome="timed_out"), [5]),
        (LineFilter(since="2025-02-08T00:00:06.000000Z"), [6]),
        (LineFilter(until="2025-02-07"), [7]),
        (LineFilter(delivery="0197d3c0-1f2e-7a40-9d3c-000000000008"), [8]),
    ],
    ids=str,
)
def test_each_filter_picks_its_line(tmp_path: Path, wanted: LineFilter, numbers: list[int]) -> None:
    special: list[dict[str, object]] = [
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
    usual = {
        "installation_id": "aaaaaaaa-0000-4000-8000-000000000000",
        "timestamp": "2025-02-08T00:00:00.000000Z",
    }
    lines = [line(index, **(usual | fields)) for index, fields in enumerate(special)]

    _, picked = _read(tmp_path, b"".join(lines), wanted)

    assert [raw + b"\n" for raw, _ in picked] == [lines[number] for number in numbers]
