import errno
import os
import ssl

import pytest

from eventstore.common.shortage import FILES, MEMORY, THREADS, lack_of, raise_shortage
from eventstore.errors import ShortageError

OURS = ("EMFILE", "ENFILE", "ENOMEM", "ENOBUFS", "EADDRNOTAVAIL", "ENETDOWN", "ENOSPC", "EDQUOT")
THEIRS = ("ECONNREFUSED", "ECONNRESET", "EPIPE", "ETIMEDOUT", "EHOSTUNREACH", "ENETUNREACH", "ECONNABORTED", "EPROTO")


@pytest.mark.parametrize("name", OURS)
def test_what_only_this_machine_can_lack_is_a_shortage(name: str) -> None:
    number = getattr(errno, name)

    assert lack_of(OSError(number, os.strerror(number))) is not None


@pytest.mark.parametrize("name", THEIRS)
def test_what_the_other_end_can_bring_about_is_none(name: str) -> None:
    number = getattr(errno, name)

    assert lack_of(OSError(number, os.strerror(number))) is None


def test_a_thread_that_cannot_be_started_and_memory_that_is_not_there_are_shortages() -> None:
    without_memory = ssl.SSLError(1, "malloc failure")
    without_memory.reason = "MALLOC_FAILURE"

    assert lack_of(RuntimeError("can't start new thread")) == THREADS
    assert lack_of(MemoryError()) == MEMORY
    assert lack_of(without_memory) == MEMORY


@pytest.mark.parametrize("error", [RuntimeError("a bug"), ValueError("can't start new thread"), ssl.SSLError(1, "bad")])
def test_a_bug_is_no_shortage(error: Exception) -> None:
    assert lack_of(error) is None


def _meet() -> None:
    raise OSError(errno.EMFILE, "Too many open files")


def _wrap() -> None:
    try:
        _meet()
    except OSError as error:
        raise ConnectionError("can't connect") from error


def _deal_with() -> None:
    try:
        _meet()
    except OSError:
        raise ConnectionRefusedError(errno.ECONNREFUSED, "refused") from None


def test_a_shortage_is_found_however_libraries_have_wrapped_it() -> None:
    with pytest.raises(ConnectionError) as caught:
        _wrap()

    assert lack_of(caught.value) == FILES


def test_an_error_that_only_came_after_a_shortage_was_dealt_with_is_none() -> None:
    with pytest.raises(ConnectionRefusedError) as caught:
        _deal_with()

    assert lack_of(caught.value) is None


def test_a_shortage_says_what_was_to_be_done_what_is_short_and_what_mends_it() -> None:
    with pytest.raises(ShortageError) as caught:
        raise_shortage(OSError(errno.EMFILE, "Too many open files"), "events.db: not opened")

    text = str(caught.value)
    assert text.startswith("events.db: not opened: this machine is short of open files")
    assert "ulimit -n" in text
    assert lack_of(caught.value) == FILES
