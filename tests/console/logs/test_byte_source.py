import gzip
import io
import random
from pathlib import Path

import pytest

from console.logs.byte_source import ByteSource, is_compressed

_TEXT = b"".join(b"%d\n" % random.Random(number).getrandbits(64) for number in range(50_000))


def _read(data: bytes, **options: int) -> tuple[bytes, str]:
    source = ByteSource(io.BytesIO(data), **options)  # type: ignore[arg-type]
    return b"".join(source.chunks()), source.fault


@pytest.mark.parametrize("data", [b"", b"x", b"\x1f", b"\x1f\x00no gzip", _TEXT])
def test_a_plain_file_is_given_as_it_is(data: bytes) -> None:
    assert _read(data) == (data, "")


def test_a_compressed_file_is_known_by_its_bytes_and_may_have_several_members() -> None:
    assert _read(gzip.compress(_TEXT) + gzip.compress(b"more")) == (_TEXT + b"more", "")


def test_a_file_is_read_to_where_it_is_told() -> None:
    assert _read(_TEXT, end_bytes=1000) == (_TEXT[:1000], "")


@pytest.mark.parametrize("cut", [1, 8, 9, 20_000])
def test_of_a_file_that_ends_too_early_the_beginning_is_given(cut: int) -> None:
    data, fault = _read(gzip.compress(_TEXT)[:-cut])

    assert fault == "the compressed file ends too early"
    assert _TEXT.startswith(data)
    assert len(data) > len(_TEXT) - 3 * cut - 50


def test_of_a_damaged_file_what_comes_before_the_damage_is_given() -> None:
    damaged = bytearray(gzip.compress(_TEXT))
    middle = len(damaged) // 2
    damaged[middle : middle + 1000] = bytes(1000)

    data, fault = _read(bytes(damaged))

    before = int(len(_TEXT) * 0.45)
    assert fault == "the compressed file is damaged"
    assert data[:before] == _TEXT[:before]


def test_what_stands_behind_a_compressed_file_is_damage() -> None:
    assert _read(gzip.compress(b"x\n") + b"rubbish") == (b"x\n", "the compressed file is damaged")


def test_a_disk_that_fails_is_said() -> None:
    class Failing(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def readinto(self, _buffer: object) -> int:
            raise OSError(5, "Input/output error")

    source = ByteSource(Failing())  # type: ignore[arg-type]

    assert list(source.chunks()) == []
    assert source.fault == "it cannot be read on (Input/output error)"


def test_progress_counts_the_bytes_of_the_file_itself() -> None:
    counted: list[int] = []
    compressed = gzip.compress(_TEXT)

    list(ByteSource(io.BytesIO(compressed), advance=counted.append).chunks())

    assert sum(counted) == len(compressed)


def test_looking_at_a_file_leaves_it_at_its_beginning(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(gzip.compress(b"x"))
    (tmp_path / "b").write_bytes(b"x")

    for name, expected in (("a", True), ("b", False)):
        with (tmp_path / name).open("rb") as stream:
            assert is_compressed(stream) is expected
            assert stream.tell() == 0
