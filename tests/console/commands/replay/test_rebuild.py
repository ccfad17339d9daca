"""`hookfuse replay rebuild` and `verify` as a person and a program meet them."""

import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.history import Shape, write_history
from console.shell.exit_codes import ExitCode
from eventstore.home.folder import Home
from replay.projecting.remake import ALL_NAMES
from tests.console.conftest import Hookfuse
from tests.console.shell.test_command_line import SCRIPT
from tests.eventstore.facts import INSTALLATION_ID
from tests.replay.lived import Lived, live_fully, unguarded

NOBODY = 65534


@pytest.fixture
def lived(tmp_path: Path) -> Iterator[Lived]:
    home = Home(tmp_path / "home")
    home.prepare()
    with Lived(home.database) as lived:
        live_fully(lived)
        yield lived


def damage(lived: Lived, *statements: str) -> None:
    for statement in statements:
        assert lived.store.connection.execute(statement).rowcount != 0


def tamper(lived: Lived, *statements: str) -> None:
    with unguarded(lived.database) as connection:
        for statement in statements:
            connection.execute(statement)


def run(home: Path, *words: str, **limits: object) -> subprocess.CompletedProcess[bytes]:
    ended: subprocess.CompletedProcess[bytes] = subprocess.run(
        [sys.executable, "-c", SCRIPT, "--home", str(home), "replay", *words],
        capture_output=True,
        check=False,
        **limits,  # type: ignore[call-overload]
    )
    return ended


# --- verify ---


def test_a_home_in_step_ends_with_0_and_says_what_was_compared(hookfuse: Hookfuse, lived: Lived) -> None:
    ended = hookfuse("replay", "verify")

    assert (ended.code, ended.err) == (ExitCode.OK, "")
    assert ended.out.splitlines()[-1] == "no difference"
    assert (
        "compared  organizations, apps, installations, fleet, buffer, request_log, failures, audit, outbox, queue"
        in ended.out
    )
    assert "waiting   1 (the queue's own: not compared)" in ended.out


def test_each_difference_of_the_buffer_is_a_line_with_installation_day_field_and_both_values(
    hookfuse: Hookfuse, lived: Lived
) -> None:
    damage(lived, f"UPDATE buffer SET timeout = 7 WHERE installation_id = '{INSTALLATION_ID}' AND day = '2026-03-01'")
    damage(lived, "DELETE FROM audit")

    ended = hookfuse("replay", "verify")

    lines = [line.split() for line in ended.out.splitlines()]
    assert (ended.code, int(ExitCode.DIFFERENT)) == (ExitCode.DIFFERENT, 1)
    assert ["installation", "day", "field", "live", "rebuilt"] in lines
    assert [INSTALLATION_ID, "2026-03-01", "timeout", "7", "1"] in lines
    assert ["position", "field", "live", "rebuilt"] in lines
    assert "2 differences: `hookfuse replay rebuild` repairs what can be repaired" in ended.out


def test_a_program_gets_each_difference_with_table_key_field_and_both_values(hookfuse: Hookfuse, lived: Lived) -> None:
    damage(lived, f"UPDATE buffer SET timeout = 7 WHERE installation_id = '{INSTALLATION_ID}' AND day = '2026-03-01'")
    damage(lived, "DELETE FROM audit")

    ended = hookfuse("replay", "verify", "--json")

    first, second = ended.json["differences"]
    assert ended.code == ExitCode.DIFFERENT
    assert first == {
        "table": "buffer",
        "key": {"installation_id": INSTALLATION_ID, "day": "2026-03-01"},
        "field": "timeout",
        "live": 7,
        "rebuilt": 1,
    }
    assert (second["table"], second["field"], second["live"]) == ("audit", None, None)
    assert second["rebuilt"]["event"] == "internal-integration.disable"
    assert (ended.json["difference_count"], ended.json["counts"]) == (2, {"buffer": 1, "audit": 1})
    assert ended.json["projections"] == list(ALL_NAMES)
    assert ended.json["log"] is None


def test_a_dropped_table_is_named(hookfuse: Hookfuse, lived: Lived) -> None:
    lived.store.connection.execute("DROP TABLE buffer")

    ended = hookfuse("replay", "verify")

    assert ended.code == ExitCode.DIFFERENT
    assert ["whole", "table", "-", "a", "table", "of", "3", "rows"] in [line.split() for line in ended.out.splitlines()]
    assert hookfuse("replay", "verify", "--json").json["differences"][0]["rebuilt"] == "a table of 3 rows"


def test_a_limit_is_said(hookfuse: Hookfuse, lived: Lived) -> None:
    damage(lived, "UPDATE request_log SET is_error = 7")

    ended = hookfuse("replay", "verify", "--limit", 2)

    assert "the first 2 differences of 11 are listed (--limit)" in ended.out


def test_only_what_was_asked_for_is_compared(hookfuse: Hookfuse, lived: Lived) -> None:
    damage(lived, "DELETE FROM audit")

    assert hookfuse("replay", "verify", "--projection", "buffer", "--projection", "ledger").code == ExitCode.OK
    assert hookfuse("replay", "verify", "--projection", "audit").code == ExitCode.DIFFERENT
    assert hookfuse("replay", "verify", "--projection", "everything").code == ExitCode.USAGE


def test_what_it_cannot_read_is_one_line_with_its_position(hookfuse: Hookfuse, lived: Lived) -> None:
    tamper(lived, "UPDATE events SET data = '{' WHERE position = 8")

    ended = hookfuse("replay", "verify")

    assert (ended.code, ended.out) == (ExitCode.DAMAGED_LOG, "")
    assert ended.err == (
        "hookfuse: event 8: the data of this delivery.failed cannot be read: Input data was truncated;"
        " nothing was compared (verify --log names every fault)\n"
    )


def test_a_log_that_was_cut_ends_with_the_code_of_a_damaged_log(hookfuse: Hookfuse, lived: Lived) -> None:
    tamper(lived, "DELETE FROM events WHERE position > 20")

    ended = hookfuse("replay", "verify")

    assert ended.code == ExitCode.DAMAGED_LOG
    assert "the log ends at event 20, and request_log names event" in ended.out
    assert "the log ends at event 20" in hookfuse("replay", "verify", "--json").json["truncation"]


# --- verify --log ---


def test_a_log_that_holds_is_said_with_its_last_event_which_a_later_check_takes(
    hookfuse: Hookfuse, lived: Lived
) -> None:
    ended = hookfuse("replay", "verify", "--log")
    known = next(line.split()[-1] for line in ended.out.splitlines() if line.startswith("last event"))
    position = int(known.partition(":")[0])
    as_document = hookfuse("replay", "verify", "--log", "--json").json["log"]

    assert ended.code == ExitCode.OK
    assert f"log         {position} events, of which each follows from the one before" in ended.out
    assert (as_document["fault_count"], as_document["faults"]) == (0, [])
    assert f"{as_document['last_position']}:{as_document['last_hash']}" == known
    assert hookfuse("replay", "verify", "--log", "--known", known).code == ExitCode.OK

    tamper(lived, f"DELETE FROM events WHERE position = {position}")
    cut = hookfuse("replay", "verify", "--log", "--known", known)

    assert cut.code == ExitCode.DAMAGED_LOG
    assert f"{position}  was known, and the log ends at event {position - 1}" in cut.out


def test_each_fault_of_the_log_is_a_line_and_nothing_is_compared(hookfuse: Hookfuse, lived: Lived) -> None:
    tamper(
        lived,
        "UPDATE events SET data = replace(data, 'server_error', 'client_error') WHERE position = 8",
        "DELETE FROM events WHERE position = 15",
    )

    ended = hookfuse("replay", "verify", "--log", "--limit", 2)
    document = hookfuse("replay", "verify", "--log", "--json").json

    assert ended.code == ExitCode.DAMAGED_LOG
    assert "    8  does not follow from event 7: one of the two was changed" in ended.out
    assert "   15  is missing" in ended.out
    assert "the first 2 faults of 3 are listed (--limit)" in ended.out
    assert "nothing was compared" in ended.out
    assert [fault["position"] for fault in document["log"]["faults"]][:2] == [8, 15]
    assert (document["differences"], document["up_to_position"]) == (None, None)


@pytest.mark.parametrize("known", ["", "7", "7:abc", f"-1:{'a' * 32}", f"7:{'A' * 32}", f"{'9' * 30}:{'a' * 32}"])
def test_an_anchor_that_is_none_is_a_usage_error(hookfuse: Hookfuse, lived: Lived, known: str) -> None:
    assert hookfuse("replay", "verify", "--log", f"--known={known}").code == ExitCode.USAGE


def test_an_anchor_without_a_check_is_a_usage_error(hookfuse: Hookfuse, lived: Lived) -> None:
    assert hookfuse("replay", "verify", "--known", f"7:{'a' * 32}").code == ExitCode.USAGE


# --- rebuild ---


def test_what_was_mended_is_said_a_table_and_then_nothing_differs(hookfuse: Hookfuse, lived: Lived) -> None:
    damage(lived, "UPDATE buffer SET timeout = 7 WHERE day = '2026-03-02'", "DELETE FROM audit")

    ended = hookfuse("replay", "rebuild")

    lines = [line.split() for line in ended.out.splitlines()]
    assert (ended.code, ended.err) == (ExitCode.OK, "")
    assert ["table", "inserted", "updated", "deleted"] in lines
    assert ["buffer", "0", "1", "0"] in lines
    assert ["audit", "1", "0", "0"] in lines
    assert "others waited" in ended.out
    assert hookfuse("replay", "verify").code == ExitCode.OK
    assert hookfuse("replay", "rebuild").out.startswith("every row agrees with the events: nothing was changed\n")


def test_a_program_gets_what_was_mended(hookfuse: Hookfuse, lived: Lived) -> None:
    damage(lived, "DELETE FROM queue WHERE state = 'dead'", "DELETE FROM audit")

    document = hookfuse("replay", "rebuild", "--json", "--projection", "ledger").json

    assert document["projections"] == ["ledger"]
    assert document["repaired"] == [{"table": "queue", "inserted": 1, "updated": 0, "deleted": 0}]
    assert (document["waiting"], document["without_payload"]) == (1, 1)
    assert document["lock_ms"] > 0


def test_on_a_damaged_log_nothing_is_changed_but_unchecked(hookfuse: Hookfuse, lived: Lived) -> None:
    damage(lived, "DELETE FROM buffer")
    tamper(lived, "UPDATE events SET recorded_at = '2020' WHERE position = 1")

    refused = hookfuse("replay", "rebuild")
    unchecked = hookfuse("replay", "rebuild", "--unchecked")

    assert (refused.code, refused.out) == (ExitCode.DAMAGED_LOG, "")
    assert refused.err.startswith("hookfuse: event 1 does not follow from event 0: one of the two was changed")
    assert refused.err.count("\n") == 1
    assert unchecked.code == ExitCode.OK
    assert hookfuse("replay", "verify", "--projection", "buffer").code == ExitCode.OK


@pytest.mark.parametrize("words", [("rebuild",), ("verify",), ("verify", "--log")], ids=" ".join)
def test_a_home_that_is_none_is_one_line_and_not_made(
    hookfuse: Hookfuse, tmp_path: Path, words: tuple[str, ...]
) -> None:
    ended = hookfuse("replay", *words, home=tmp_path / "hoem")

    assert (ended.code, ended.out, ended.err.count("\n")) == (ExitCode.HOME, "", 1)
    assert not (tmp_path / "hoem").exists()


@pytest.mark.parametrize("words", [("rebuild",), ("verify",), ("verify", "--log")], ids=" ".join)
def test_a_file_that_is_no_database_is_one_line(hookfuse: Hookfuse, tmp_path: Path, words: tuple[str, ...]) -> None:
    home = Home(tmp_path / "home")
    home.prepare()
    home.database.write_text("this is a shopping list, and not a database at all\n" * 100)

    ended = hookfuse("replay", *words)

    assert (ended.code, ended.out, ended.err.count("\n")) == (ExitCode.DATABASE, "", 1)
    assert "this file is not a SQLite database" in ended.err


@pytest.mark.parametrize("words", [("rebuild",), ("verify",), ("verify", "--log")], ids=" ".join)
def test_a_damaged_page_is_one_line(lived: Lived, words: tuple[str, ...]) -> None:
    lived.close()
    content = bytearray(lived.database.read_bytes())
    for page in range(2, len(content) // 4096):
        content[page * 4096 : page * 4096 + 64] = b"\xff" * 64
    lived.database.write_bytes(content)

    ended = run(lived.database.parent, *words)

    assert (ended.returncode, ended.stdout, ended.stderr.count(b"\n")) == (ExitCode.DATABASE, b"", 1)
    assert b"hookfuse reindex repairs it where only an index is, else restore a backup" in ended.stderr


def test_a_full_disk_is_one_line_and_leaves_the_live_tables_as_they_were(hookfuse: Hookfuse, lived: Lived) -> None:
    damage(lived, "DELETE FROM request_log", "DELETE FROM buffer")
    lived.store.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    ended = run(
        lived.database.parent,
        "rebuild",
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (12_000, 12_000)),
    )

    assert (ended.returncode, ended.stdout, ended.stderr.count(b"\n")) == (ExitCode.DATABASE, b"", 1)
    assert b"nothing was changed" in ended.stderr
    assert set(hookfuse("replay", "verify", "--json").json["counts"]) == {"request_log", "buffer"}


@pytest.mark.parametrize("limit_bytes", [50_000, 400_000], ids=["at its beginning", "in the middle"])
def test_a_temporary_folder_that_is_full_is_said_to_be_that(tmp_path: Path, limit_bytes: int) -> None:
    """The scratch goes to the temporary folder once it is larger than its cache."""
    write_history(Home(tmp_path / "home"), Shape(events=5_000, installations=500))
    script = f"from replay.projecting import scratch\nscratch._CACHE_KIB = 20\n{SCRIPT}"

    ended = subprocess.run(
        [sys.executable, "-c", script, "--home", str(tmp_path / "home"), "replay", "verify"],
        capture_output=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes)),
    )

    assert (ended.returncode, ended.stdout, ended.stderr.count(b"\n")) == (ExitCode.DATABASE, b"", 1)
    assert b"the temporary folder, in which projections are rebuilt, is full" in ended.stderr


def test_a_home_that_may_not_be_written_is_one_line(lived: Lived, tmp_path: Path) -> None:
    """In a child that is nobody, as root may write everywhere."""
    damage(lived, "DELETE FROM buffer")
    lived.close()
    readable = Path("/tmp") / f"hookfuse-{os.getpid()}-readable"
    shutil.copytree(lived.database.parent, readable)
    try:
        for path in (readable, *readable.rglob("*")):
            path.chmod(0o555 if path.is_dir() else 0o444)
        ended = _as_nobody(["--home", str(readable), "replay", "rebuild"])
    finally:
        readable.chmod(0o700)
        shutil.rmtree(readable)

    assert ended[0] == ExitCode.DATABASE
    assert ended[1].count(b"\n") == 1
    assert b"permissions" in ended[1]


def _as_nobody(words: list[str]) -> tuple[int, bytes]:
    from console.shell.cli import cli
    from console.shell.command_line import run_command_line

    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        code = 99
        try:
            os.dup2(writer, 2)
            sys.stderr = os.fdopen(2, "w")
            if os.getuid() == 0:
                os.setuid(NOBODY)
            run_command_line(cli, words)
        except SystemExit as end:
            code = int(end.code or 0)
        finally:
            os._exit(code)
    os.close(writer)
    with os.fdopen(reader, "rb") as errors:
        said = errors.read()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), said


def test_a_bar_is_shown_to_a_person_and_nothing_of_it_in_a_pipe(hookfuse: Hookfuse, lived: Lived) -> None:
    ended = run(lived.database.parent, "rebuild", "--json")

    assert ended.stderr == b""
    assert json.loads(ended.stdout)["repaired"] == []
