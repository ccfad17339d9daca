import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from console.logs import log_files
from console.logs.log_files import LogStream, find_streams, streams_within
from eventstore.errors import HomeError
from tests.console.logs.lines import compress, daemon_log, rotate

_TIMES = ("20250201T100000.000000", "20250201T110000.000000", "20250201T120000.000000")


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "hookfuse.jsonl"


def _texts(streams: list[LogStream]) -> list[bytes]:
    texts = [b"".join((*stream.lines(), *stream.finish())) for stream in streams]
    assert not any(stream.fault for stream in streams)
    return texts


def _rotated_thrice(log: Path) -> None:
    for number, time in enumerate(_TIMES):
        log.write_bytes(b"%d" % number)
        rotate(log, time)
    log.write_bytes(b"live")


def test_files_come_the_oldest_first_and_the_live_one_last(log: Path) -> None:
    _rotated_thrice(log)

    streams = find_streams(log)

    assert [stream.ended_at and stream.ended_at.hour for stream in streams] == [10, 11, 12, None]
    assert [stream.begun_at and stream.begun_at.hour for stream in streams] == [None, 10, 11, 12]
    assert _texts(streams) == [b"0", b"1", b"2", b"live"]


def test_a_compressed_file_stands_in_its_place_and_counts_once_beside_what_it_was_made_of(log: Path) -> None:
    _rotated_thrice(log)
    first, second = sorted(log.parent.glob("*Z"))[:2]
    compress(first)
    text = second.read_bytes()
    compress(second)
    second.write_bytes(text)  # a crash before this was taken away
    (log.parent / f"{log.name}.{_TIMES[2]}Z.gz.partial").write_bytes(b"half")

    *rotated, live = find_streams(log)
    live.close()
    assert [stream.path.name for stream in rotated] == [f"{log.name}.{time}Z" for time in _TIMES]


def test_what_the_daemon_calls_its_files_is_found(log: Path) -> None:
    file = daemon_log(log)
    for _ in range(300):
        file.write(b"x" * 99 + b"\n")
    file.close()

    *rotated, live = find_streams(log)
    live.close()
    assert {path.name for path in log.parent.iterdir()} == {log.name, *(one.path.name + ".gz" for one in rotated)}
    assert len(rotated) == 2


@pytest.mark.parametrize("name", ["hookfuse.jsonl.old", "hookfuse.jsonl.20259999T000000.000000Z", "other.jsonl", "x"])
def test_other_files_are_none_of_the_log(log: Path, name: str) -> None:
    (log.parent / name).write_bytes(b"x")

    assert find_streams(log) == []


def test_where_there_is_no_folder_there_is_no_log(tmp_path: Path) -> None:
    assert find_streams(tmp_path / "none" / "hookfuse.jsonl") == []


@pytest.mark.parametrize("is_first", [True, False])
def test_a_rotation_while_files_are_looked_for_loses_and_doubles_nothing(
    log: Path, monkeypatch: pytest.MonkeyPatch, is_first: bool
) -> None:
    log.write_bytes(b"before")
    scan, times = os.scandir, list(_TIMES[:2])

    def scandir(path: Any) -> Iterator[Any]:
        listed = [] if is_first else list(scan(path))
        if times:
            rotate(log, times.pop(0))
            log.write_bytes(b"after" if times else b"last")
        return iter(list(scan(path)) if is_first else listed)

    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", scandir)
        streams = find_streams(log)
    assert _texts(streams) == [b"before", b"after", b"last"]


def test_a_log_that_never_stands_still_is_said(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log.write_bytes(b"x")
    monkeypatch.setattr(log_files, "_inode_at", lambda _path: (0, 0))

    with pytest.raises(HomeError, match="rotated faster"):
        find_streams(log)


def test_a_file_that_is_compressed_after_it_was_found_is_read_and_one_that_is_gone_is_said(log: Path) -> None:
    _rotated_thrice(log)
    streams = find_streams(log)
    first, *others = sorted(log.parent.glob("*Z"))
    first.unlink()
    for path in others:
        compress(path)

    assert _texts(streams[1:]) == [b"1", b"2", b"live"]
    assert list(streams[0].lines()) == []
    assert streams[0].fault == "it is gone by now"


@pytest.mark.parametrize(
    ("since", "until", "names"),
    [
        (None, None, "abc"),
        (datetime(2025, 2, 1, 10, 30, tzinfo=UTC), None, "bc"),
        (datetime(2025, 2, 1, 13, tzinfo=UTC), None, "c"),
        (None, datetime(2025, 2, 1, 9, tzinfo=UTC), "a"),
        (None, datetime(2025, 2, 1, 10, 30, tzinfo=UTC), "ab"),
        (None, datetime(2025, 2, 1, 9, 59, 30, tzinfo=UTC), "ab"),  # what waited for the file is in the next
    ],
)
def test_files_that_end_before_or_begin_after_are_not_read(
    since: datetime | None, until: datetime | None, names: str
) -> None:
    ten, eleven = datetime(2025, 2, 1, 10, tzinfo=UTC), datetime(2025, 2, 1, 11, tzinfo=UTC)
    spans = {"a": (None, ten), "b": (ten, eleven), "c": (eleven, None)}
    streams = [LogStream(Path(name), begun_at=begun, ended_at=ended) for name, (begun, ended) in spans.items()]

    assert "".join(stream.path.name for stream in streams_within(streams, since, until)) == names


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/full", "/dev/null"])
def test_a_device_is_refused_as_it_may_have_no_end(device: str) -> None:
    with pytest.raises(HomeError, match="it is a device"):
        find_streams(Path(device))
