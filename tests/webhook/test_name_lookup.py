"""One lookup a host at a time, a part of the threads for names that hang, and nobody is blamed for the rest."""

from __future__ import annotations

import errno
import os
import socket
import threading
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from eventstore.common.shortage import FILES, LOOKUPS, MEMORY
from eventstore.errors import ShortageError
from tests.webhook.servers import OK, answering, serving
from webhook import ErrorClass, OutcomeKind, Timeouts
from webhook import name_lookup as name_lookup_module
from webhook.name_lookup import NameLookup

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from webhook import Sender, WebhookRequest

THREADS = 16  # 4 for names that hung, 12 for those and new ones
WAIT_S = 60.0  # far beyond what anything here takes
NO_TIME_S = 0.001


class Resolver:
    """Answers at once, except for names that begin with `hang`: those wait until the test releases them."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.let_go = threading.Event()
        self.begun = threading.Semaphore(0)

    def __call__(self, host: str) -> list[str]:
        self.asked[host] += 1
        if host.startswith("hang"):
            self.begun.release()
            assert self.let_go.wait(WAIT_S)
        return ["127.0.0.1"]


@pytest.fixture
def resolver() -> Iterator[Resolver]:
    resolver = Resolver()
    yield resolver
    resolver.let_go.set()


def hang(names: NameLookup, host: str) -> None:
    with pytest.raises(TimeoutError, match="did not answer in time"):
        names.look_up(host, NO_TIME_S)


def is_short(names: NameLookup, host: str, budget_s: float = NO_TIME_S) -> bool:
    try:
        names.look_up(host, budget_s)
    except ShortageError as error:
        return error.lack == LOOKUPS
    except TimeoutError:
        pass
    return False


def test_many_that_ask_for_one_host_at_once_make_one_lookup(resolver: Resolver) -> None:
    names = NameLookup(resolver, THREADS)
    answers: list[Any] = []

    def ask() -> None:
        answers.append(names.look_up("hang.example", WAIT_S))

    threads = [threading.Thread(target=ask) for _ in range(50)]
    for thread in threads:
        thread.start()
    assert resolver.begun.acquire(timeout=WAIT_S)
    waiting: Any = names._under_way["hang.example"]._condition
    while len(waiting._waiters) < 50:
        threading.Event().wait(NO_TIME_S)
    resolver.let_go.set()
    for thread in threads:
        thread.join(WAIT_S)

    assert answers == [["127.0.0.1"]] * 50
    assert resolver.asked == {"hang.example": 1}


def test_whoever_asks_while_a_lookup_hangs_begins_no_other(resolver: Resolver) -> None:
    names = NameLookup(resolver, THREADS)
    for _ in range(20):
        hang(names, "hang.example")

    assert resolver.asked == {"hang.example": 1}


def test_the_next_one_who_asks_looks_anew(resolver: Resolver) -> None:
    names = NameLookup(resolver, THREADS)
    for _ in range(3):
        assert names.look_up("quick.example", WAIT_S) == ["127.0.0.1"]

    assert resolver.asked == {"quick.example": 3}


def test_all_who_wait_get_the_resolver_s_error() -> None:
    def fail(_: str) -> list[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    with pytest.raises(socket.gaierror, match="not known"):
        NameLookup(fail).look_up("unknown.example", WAIT_S)


def test_names_that_hang_have_a_part_of_the_threads_and_one_that_is_known_finds_one(resolver: Resolver) -> None:
    names = NameLookup(resolver, THREADS)
    names.look_up("known.example", WAIT_S)
    short = [is_short(names, f"hang-{number}.example") for number in range(100)]

    assert short.count(False) == 12
    assert is_short(names, "new.example")
    assert names.look_up("known.example", WAIT_S) == ["127.0.0.1"]


def test_names_that_hung_last_leave_room_for_new_ones(resolver: Resolver) -> None:
    now_s = 0.0

    def resolve_slowly(host: str) -> list[str]:
        nonlocal now_s
        now_s += 10.0
        return [host]

    names = NameLookup(resolve_slowly, THREADS, lambda: now_s)
    hosts = [f"hang-{number}.example" for number in range(10)]
    for host in hosts:
        names.look_up(host, 1000.0)
    names._resolve = resolver
    short = [is_short(names, host) for host in hosts]

    assert short == [False] * 4 + [True] * 6
    assert names.look_up("new.example", WAIT_S) == ["127.0.0.1"]


def test_a_name_that_answers_again_is_as_good_as_any(resolver: Resolver) -> None:
    names = NameLookup(resolver, THREADS)
    hang(names, "hang.example")
    resolver.let_go.set()
    while names._under_way:
        threading.Event().wait(NO_TIME_S)
    names.look_up("hang.example", WAIT_S)

    assert names._last["hang.example"] is name_lookup_module._Last.QUICK


def test_whoever_finds_no_thread_waits_for_one_as_long_as_there_is_time(resolver: Resolver) -> None:
    names = NameLookup(resolver, 1)
    names.look_up("known.example", WAIT_S)
    hang(names, "hang.example")
    threading.Thread(target=resolver.let_go.set).start()

    assert names.look_up("known.example", WAIT_S) == ["127.0.0.1"]


def test_it_is_not_remembered_for_ever_how_a_name_went(resolver: Resolver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(name_lookup_module, "_NAMES", 5)
    names = NameLookup(resolver, THREADS)
    for number in range(20):
        names.look_up(f"{number}.example", WAIT_S)

    assert list(names._last) == [f"{number}.example" for number in range(15, 20)]


@contextmanager
def without_files(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def fail(*_: Any) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", fail)
        yield


def test_a_resolver_that_knows_no_name_for_want_of_files_says_nothing_of_the_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(_: str) -> list[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    with without_files(monkeypatch), pytest.raises(ShortageError) as caught:
        NameLookup(fail).look_up("name.example", WAIT_S)

    assert caught.value.lack == FILES


def test_a_resolver_without_memory_is_a_shortage() -> None:
    def fail(_: str) -> list[str]:
        raise socket.gaierror(socket.EAI_MEMORY, "Memory allocation failure")

    with pytest.raises(ShortageError) as caught:
        NameLookup(fail).look_up("name.example", WAIT_S)

    assert caught.value.lack == MEMORY


def test_another_customer_s_attempts_beside_names_that_hang_are_delivered_or_no_outcome(
    make_sender: Callable[..., Sender], make_request: Callable[..., WebhookRequest], resolver: Resolver
) -> None:
    sender = make_sender(resolve=resolver, lookup_threads=THREADS)
    hanging = Timeouts(connect_s=NO_TIME_S)
    with serving(answering(OK)) as server:
        mine = make_request(f"http://mine.example:{server.port}/")
        kinds = [sender.send(mine).kind]
        for number in range(41):
            try:
                outcome = sender.send(make_request(f"http://hang-{number}.example/", timeouts=hanging))
            except ShortageError:
                pass
            else:
                assert outcome.error_class in (ErrorClass.DNS, ErrorClass.CONNECT_TIMEOUT)
            # As if each attempt needed a connection, and so a lookup, of its own.
            sender._transport.close()
            kinds.append(sender.send(mine).kind)

    assert kinds == [OutcomeKind.SUCCESS] * 42
