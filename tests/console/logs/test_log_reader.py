import gzip
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.logs import log_reader
from console.logs.line_filter import LineFilter
from console.logs.log_files import LogPart, take_snapshot
from console.logs.log_pieces import Piece, opened_pieces, pieces_of_log, total_bytes
from console.logs.log_reader import LogReader
from eventstore.errors import DocumentError
from tests.console.logs.lines import compress, line, rotate


def _piece(data: bytes) -> Piece:
    return Piece(LogPart(Path("x")), io.BytesIO(data))


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
    everything = list(LogReader(wanted).read(map(_piece, datas)))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(log_reader, "_WINDOW_BYTES", 64)
        last = LogReader(wanted).read_last(list(map(_piece, datas)), count)

    assert last == (everything[-count:] if count else [])


def test_the_last_lines_are_found_without_reading_what_is_before_them() -> None:
    reader = LogReader()

    found = reader.read_last([_piece(b"x" * 10_000_000 + b"\n"), _piece(b"rubbish\n" + line() * 100_000)], 3)

    assert len(found) == 3
    assert reader.bytes <= 1024 * 1024
    assert reader.broken == 0


def test_what_is_read_again_is_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_reader, "_WINDOW_BYTES", 16)
    reader = LogReader()

    reader.read_last([_piece(b"a\nb\n" + line() * 2)], 10)

    assert (reader.lines, reader.broken, reader.bytes) == (4, 2, 4 + 2 * len(line()))


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

    with take_snapshot(log) as snapshot:
        gone.unlink()
        reader = LogReader()
        found = [raw + b"\n" for raw, _ in reader.read(pieces_of_log(snapshot))]

    assert found[-1] == line(3)
    assert reader.faults == [
        f"{gone.name}: it is gone by now",
        f"{damaged.name}: the compressed file ends too early",
    ]


def test_half_a_line_at_the_end_is_broken_and_a_whole_one_without_a_line_feed_is_not() -> None:
    for data, broken in ((line()[:-1], 0), (line()[:-20], 1)):
        reader = LogReader()

        assert len(list(reader.read([_piece(data)]))) == 1
        assert reader.broken == broken


def test_files_that_are_named_are_read_in_that_order_and_must_be_there(tmp_path: Path) -> None:
    (tmp_path / "b").write_bytes(line(1))
    (tmp_path / "a").write_bytes(gzip.compress(line(2)))

    with opened_pieces(tmp_path / "log", [tmp_path / "b", tmp_path / "a"]) as pieces:
        found = [raw + b"\n" for raw, _ in LogReader().read(pieces)]
        assert total_bytes(pieces) == sum((tmp_path / name).stat().st_size for name in "ab")

    assert found == [line(1), line(2)]
    with pytest.raises(DocumentError, match="c cannot be read"), opened_pieces(tmp_path, [tmp_path / "c"]):
        pass
