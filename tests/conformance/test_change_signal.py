"""What every change signal does: a named pipe, and the one in memory."""

import select
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from eventstore.home.doorbell import Doorbell
from eventstore.memory.change_signal import MemoryChangeSignal
from eventstore.ports.change_signal import ChangeListener, ChangeSignal

IMPLEMENTATIONS: dict[str, Callable[[Path], ChangeSignal]] = {
    "named pipe": lambda folder: Doorbell(folder / "doorbell"),
    "memory": lambda _folder: MemoryChangeSignal(),
}


@pytest.fixture(params=IMPLEMENTATIONS)
def signal(request: pytest.FixtureRequest, tmp_path: Path) -> ChangeSignal:
    return IMPLEMENTATIONS[request.param](tmp_path)


def is_readable(listener: ChangeListener) -> bool:
    return bool(select.select([listener], [], [], 0)[0])


def test_a_notice_is_heard_once_and_wakes_who_waits(signal: ChangeSignal) -> None:
    with signal.listen() as listener:
        assert not is_readable(listener)
        assert not listener.heard()

        signal.notify()

        assert is_readable(listener)
        assert listener.heard()
        assert not is_readable(listener)
        assert not listener.heard()


def test_many_notices_are_heard_as_one_and_none_of_them_waits(signal: ChangeSignal) -> None:
    with signal.listen() as listener:
        for _ in range(70_000):  # more than a pipe holds
            listener.wake()
        signal.notify()

        while listener.heard():
            pass
        signal.notify()
        assert listener.heard()


def test_a_notice_to_nobody_is_nothing(signal: ChangeSignal) -> None:
    signal.notify()
    signal.listen().close()
    signal.notify()

    with signal.listen() as listener:
        assert not listener.heard()


def test_who_waits_is_woken_by_another_thread(signal: ChangeSignal) -> None:
    with signal.listen() as listener:
        thread = threading.Thread(target=signal.notify)
        thread.start()
        assert select.select([listener], [], [], 60)[0]
        thread.join()


def test_it_can_wake_itself_as_a_signal_handler_does(signal: ChangeSignal) -> None:
    with signal.listen() as listener:
        listener.wake()

        assert is_readable(listener)
        assert listener.heard()
