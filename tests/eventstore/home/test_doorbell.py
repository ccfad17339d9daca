"""The named pipe in a home: what stands in its place, and what cannot be made. The rest is tests/conformance."""

import socket
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from eventstore.errors import HomeError
from eventstore.home.folder import Home


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    home.prepare()
    return home


def _make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))


FOREIGN: dict[str, Callable[[Path], object]] = {
    "a file": lambda path: path.write_bytes(b"something to read"),
    "an empty file": lambda path: path.write_bytes(b""),
    "an empty folder": lambda path: path.mkdir(),
    "a socket": _make_socket,
    "a link to a device": lambda path: path.symlink_to("/dev/zero"),
    "a link to nowhere": lambda path: path.symlink_to("nowhere"),
    "a link to a file": lambda path: path.symlink_to("daemon.lock"),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_what_stands_in_the_place_of_the_doorbell_is_replaced_by_one(home: Home, kind: str) -> None:
    path = home.path / "doorbell"
    FOREIGN[kind](path)
    with home.doorbell.listen() as listener:
        assert not listener.heard(), "there is nothing to hear before somebody rings"
        home.doorbell.notify()

        assert listener.heard()
        assert stat.S_ISFIFO(path.lstat().st_mode)
        assert stat.S_IMODE(path.lstat().st_mode) == 0o600


def test_a_folder_that_holds_something_is_not_removed_for_a_doorbell_and_that_is_said(home: Home) -> None:
    (home.path / "doorbell").mkdir()
    (home.path / "doorbell" / "precious").write_bytes(b"")

    with pytest.raises(HomeError, match=r"doorbell cannot be made \(.*\): it is to be a named pipe"):
        home.doorbell.listen()
    assert (home.path / "doorbell" / "precious").exists()


def test_ringing_adds_nothing_to_what_is_no_doorbell(home: Home) -> None:
    (home.path / "doorbell").write_bytes(b"")
    home.doorbell.notify()

    assert (home.path / "doorbell").read_bytes() == b""


def test_a_doorbell_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")

    with pytest.raises(HomeError, match=r"home .*: doorbell cannot be made \(No such file or directory\)"):
        home.doorbell.listen()
