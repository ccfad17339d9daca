from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from console.logs.line_cutter import LineCutter, LongLine


def _cut(pieces: Iterable[bytes]) -> list[bytes | LongLine]:
    cutter = LineCutter()
    return [block for piece in pieces for block in cutter.feed(piece)] + list(cutter.finish())


@given(st.lists(st.text("ab\n", max_size=8).map(str.encode)))
def test_however_the_bytes_come_the_blocks_are_the_same_bytes_in_whole_lines(pieces: list[bytes]) -> None:
    blocks = _cut(pieces)

    assert b"".join(block for block in blocks if isinstance(block, bytes)) == b"".join(pieces)
    assert all(isinstance(block, bytes) and block.endswith(b"\n") for block in blocks[:-1])


def test_a_line_that_never_ends_is_told_by_its_beginning_and_length() -> None:
    (long,) = _cut(b"x" * 100_000 for _ in range(1000))

    assert isinstance(long, LongLine)
    assert (long.length_bytes, long.head) == (100_000_000, b"x" * 1024)


def test_what_comes_after_a_long_line_is_whole() -> None:
    blocks = _cut([b"before\n", *[b"x" * 500_000] * 4, b"y\nafter\n", b"end"])

    assert blocks == [b"before\n", LongLine(b"x" * 1024, 2_000_001), b"after\n", b"end"]
