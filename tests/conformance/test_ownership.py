"""What every ownership does: the locks of a home, and the one in memory."""

from collections.abc import Callable
from pathlib import Path

import pytest

from eventstore.common.shard import SLOTS
from eventstore.errors import DaemonRunningError
from eventstore.home.folder import Home
from eventstore.memory.ownership import MemoryOwnership
from eventstore.ports.ownership import Ownership


def _of_a_home(folder: Path) -> Ownership:
    home = Home(folder / "home")
    home.prepare()
    return home.ownership


IMPLEMENTATIONS: dict[str, Callable[[Path], Ownership]] = {
    "home": _of_a_home,
    "memory": lambda _folder: MemoryOwnership(),
}


@pytest.fixture(params=IMPLEMENTATIONS)
def ownership(request: pytest.FixtureRequest, tmp_path: Path) -> Ownership:
    return IMPLEMENTATIONS[request.param](tmp_path)


def test_no_slot_is_held_twice(ownership: Ownership) -> None:
    with ownership.held() as hold:
        with pytest.raises(DaemonRunningError), ownership.held():
            pass
        assert hold.shard.slots


def test_what_is_let_go_of_can_be_held_again_after_an_error_too(ownership: Ownership) -> None:
    for _ in range(2):
        with pytest.raises(RuntimeError), ownership.held():
            raise RuntimeError

    with ownership.held() as hold:
        assert hold.shard.is_lead


@pytest.mark.parametrize("count", [1, 2, 3, SLOTS])
def test_its_processes_share_the_slots_and_one_of_them_leads(ownership: Ownership, count: int) -> None:
    with ownership.held() as hold:
        shares = hold.shard.shared_out(count)

    assert sorted(slot for share in shares for slot in share.slots) == list(range(SLOTS))
    assert [share.is_lead for share in shares] == [True, *[False] * (count - 1)]


def test_more_processes_than_slots_are_refused(ownership: Ownership) -> None:
    with ownership.held() as hold, pytest.raises(ValueError, match="64 slots cannot be shared out to 65 processes"):
        hold.shard.shared_out(SLOTS + 1)
