"""Who writes waits for others by one deadline, whatever it is that they hold."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from eventstore import unit_of_work as store_module
from eventstore.home.folder import Home
from eventstore.sqlite.database import BUSY_S
from eventstore.unit_of_work import Store


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    clock = SimpleNamespace(now_s=1_000.0)
    clock.monotonic = lambda: clock.now_s
    monkeypatch.setattr(store_module, "time", clock)
    monkeypatch.setattr("eventstore.sqlite.database.time.monotonic", lambda: clock.now_s)
    return clock


def _busy_ms(store: Store) -> int:
    (busy_ms,) = store.connection.execute("PRAGMA busy_timeout").fetchone()
    return int(busy_ms)


def _take_long(store: Store, clock: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, seconds: float) -> list[float]:
    asked: list[float] = []

    @contextmanager
    def taken(patience_s: float) -> Iterator[None]:
        asked.append(patience_s)
        clock.now_s += seconds
        yield

    monkeypatch.setattr(store._writer_lock, "taken", taken)
    return asked


def test_what_the_wait_for_the_turn_took_is_not_waited_again_for_the_lock(
    home: Home, clock: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Store(home.database) as store:
        asked = _take_long(store, clock, monkeypatch, 29.0)
        with store.transaction():
            within_ms = _busy_ms(store)

        assert asked == [30.0]
        assert 900 <= within_ms <= 1_000
        assert _busy_ms(store) == BUSY_S * 1000


def test_what_the_opening_took_counts_for_the_first_transaction(
    home: Home, clock: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_database = store_module.open_database  # type: ignore[attr-defined]

    def open_slowly(*arguments: object, **options: object) -> object:
        clock.now_s += 20.0
        return open_database(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(store_module, "open_database", open_slowly)
    with Store(home.database) as store:
        asked = _take_long(store, clock, monkeypatch, 0.0)
        with store.transaction():
            within_ms = _busy_ms(store)
        with store.transaction():
            pass

    assert asked == [10.0, 30.0]
    assert 9_900 <= within_ms <= 10_000


def test_a_daemon_waits_for_the_lock_in_full_however_long_its_turn_took_to_come(
    home: Home, clock: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Store(home.database, wait_forever=True) as store:
        _take_long(store, clock, monkeypatch, 500.0)
        with store.transaction():
            within_ms = _busy_ms(store)

    assert within_ms == BUSY_S * 1000
