import gzip
import json
from pathlib import Path

import pytest

from console.input.private_file import new_private_file
from console.shell.exit_codes import ExitCode
from eventstore.home.folder import Home
from eventstore.registry.rotation import ensure_signing_key, rotate_secret
from tests.console.conftest import CHAT, HEADER_VALUE, PAGER, SECRET, Hookfuse, World


def test_standard_output_gets_a_line_for_each_event_and_nothing_else(hookfuse: Hookfuse, world: World) -> None:
    ended = hookfuse("events", "export")

    assert (ended.code, ended.err) == (0, "")
    assert [json.loads(line)["position"] for line in ended.out.splitlines()] == list(range(1, 30))


def test_a_file_is_private_and_whole(hookfuse: Hookfuse, world: World, tmp_path: Path) -> None:
    ended = hookfuse("events", "export", "--to", tmp_path / "events.jsonl")

    assert ended.out == f"exported 29 events to {tmp_path}/events.jsonl (readable by you only)\n"
    assert (tmp_path / "events.jsonl").read_text() == hookfuse("events", "export").out
    assert (tmp_path / "events.jsonl").stat().st_mode & 0o777 == 0o600


def test_a_name_that_ends_in_gz_is_compressed_and_the_same_events_give_the_same_bytes(
    hookfuse: Hookfuse, world: World, tmp_path: Path
) -> None:
    for name in ("one.jsonl.gz", "two.jsonl.gz"):
        assert hookfuse("events", "export", "--to", tmp_path / name).code == 0

    assert gzip.decompress((tmp_path / "one.jsonl.gz").read_bytes()).decode() == hookfuse("events", "export").out
    assert (tmp_path / "one.jsonl.gz").read_bytes() == (tmp_path / "two.jsonl.gz").read_bytes()


@pytest.mark.parametrize(
    ("words", "positions"),
    [
        (("--installation", PAGER[:8], "--type", "delivery.exhausted"), [29]),
        (("--after-position", 27), [28, 29]),
        (("--type", "installation.disabled", "--type", "audit.recorded"), [26, 27]),
        (("--since", "2025-02-08", "--until", "2025-02-08T12:00:01"), [26, 27, 28, 29]),
        (("--since", "3d", "--type", "delivery.failed"), []),
        (("--until", "2025-02-02", "--installation", CHAT), []),
    ],
)
def test_an_export_is_filtered(
    hookfuse: Hookfuse, world: World, words: tuple[object, ...], positions: list[int]
) -> None:
    lines = hookfuse("events", "export", *words).out.splitlines()

    assert [json.loads(line)["position"] for line in lines] == positions


def test_no_secret_can_be_in_an_export(hookfuse: Hookfuse, world: World) -> None:
    with world.store() as store, store.transaction() as transaction:
        rotate_secret(transaction, 5, overlap=world.clock.now() - world.clock.now(), new_secret="n" * 40, by="person:a")
        ensure_signing_key(transaction, 5, by="person:a")
    with world.store() as store:
        seeds = [row[0] for row in store.connection.execute("SELECT signing_key FROM secrets WHERE app_id = 5")]

    out = hookfuse("events", "export").out

    assert seeds[0] is not None
    assert not [one for one in (SECRET, HEADER_VALUE, "n" * 40, seeds[0].hex(), str(seeds[0])) if one in out]
    assert "X-Token" in out  # the name of a header is not a secret


def test_a_file_that_is_there_is_kept_unless_it_is_forced(hookfuse: Hookfuse, world: World, tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text("mine")
    path.chmod(0o644)

    refused = hookfuse("events", "export", "--to", path)

    assert (refused.code, path.read_text()) == (ExitCode.BAD_INPUT, "mine")
    assert hookfuse("events", "export", "--to", path, "--force").code == 0
    assert (path.read_text()[:13], path.stat().st_mode & 0o777) == ('{"position":1', 0o600)


def test_an_export_that_fails_leaves_no_file_and_keeps_the_one_that_was_there(
    hookfuse: Hookfuse, world: World, tmp_path: Path
) -> None:
    (tmp_path / "old.jsonl").write_text("mine")
    with world.store() as store:
        store.connection.execute("DROP TRIGGER events_refuse_update")
        store.connection.execute("UPDATE events SET type = 'mail.sent' WHERE position = 20")

    ended = hookfuse("events", "export", "--to", tmp_path / "new.jsonl.gz")
    forced = hookfuse("events", "export", "--to", tmp_path / "old.jsonl", "--force")

    assert (ended.code, forced.code) == (ExitCode.DAMAGED_LOG, ExitCode.DAMAGED_LOG)
    assert "the log is damaged at position 20" in ended.err
    assert {path.name for path in tmp_path.iterdir()} == {"home", "old.jsonl"}
    assert (tmp_path / "old.jsonl").read_text() == "mine"


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--to", "/nowhere/events.jsonl"), ExitCode.BAD_INPUT),
        (("--to", "/dev/null", "--force"), ExitCode.BAD_INPUT),
        (("--since", "yesterday"), ExitCode.BAD_INPUT),
        (("--installation", "99999999"), ExitCode.NOT_FOUND),
        (("--type", "delivery.lost"), ExitCode.USAGE),
    ],
)
def test_what_cannot_be_done_is_one_line(
    hookfuse: Hookfuse, world: World, words: tuple[str, ...], code: ExitCode
) -> None:
    ended = hookfuse("events", "export", *words)

    assert (ended.code, ended.out, ended.err.count("\n")) == (code, "", 1)


def test_options_before_the_word_export_are_refused_as_they_would_filter_nothing(
    hookfuse: Hookfuse, world: World
) -> None:
    ended = hookfuse("events", "--type", "delivery.failed", "export")

    assert (ended.code, ended.out) == (ExitCode.USAGE, "")
    assert "behind `export`" in ended.err


def test_a_home_that_there_is_not_is_not_made(hookfuse: Hookfuse, tmp_path: Path) -> None:
    assert hookfuse("events", "export", "--to", tmp_path / "x.jsonl").code == ExitCode.HOME
    assert list(tmp_path.iterdir()) == []


def test_who_comes_first_keeps_the_name_of_a_private_file(tmp_path: Path) -> None:
    path, home = tmp_path / "file", Home(tmp_path / "home")
    with pytest.raises(Exception, match="already exists"), new_private_file(home, path, is_forced=False) as file:  # noqa: PT012
        file.write(b"late")
        path.write_bytes(b"early")

    assert {one.name: one.read_bytes() for one in tmp_path.iterdir()} == {"file": b"early"}
