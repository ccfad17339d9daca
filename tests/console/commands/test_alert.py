import json
from pathlib import Path

import pytest

from console.shell.exit_codes import ExitCode
from eventstore.queue.queries import read_deliveries
from tests.console.conftest import PAGER, Hookfuse, World

IDS = ("--app", 5, "--organization", 17, "--incident", 3, "--action", 9)


@pytest.fixture
def attachment(tmp_path: Path) -> Path:
    path = tmp_path / "alert.json"
    path.write_text(json.dumps({"metric_alert": {"id": "4711"}}, indent=2))
    return path


@pytest.mark.parametrize(("status", "label"), [("critical", "critical"), ("WARNING", "warning"), ("2", "resolved")])
def test_an_alert_is_queued(hookfuse: Hookfuse, world: World, attachment: Path, status: str, label: str) -> None:
    ended = hookfuse("alert", *IDS, "--status", status, "--attachment", attachment)

    assert (ended.code, ended.err) == (0, "")
    assert ended.out == f"queued metric_alert.{label} for app 5 (pager), installation {PAGER}\n"
    with world.store() as store:
        newest = read_deliveries(store.connection)[-1]
    assert (newest.event_name, newest.data) == (f"metric_alert.{label}", '{"metric_alert":{"id":"4711"}}')
    assert newest.ordering_key == "incident:3"


def test_the_attachment_may_come_from_standard_input(hookfuse: Hookfuse, world: World) -> None:
    ended = hookfuse("alert", *IDS, "--status", "open", "--attachment", "-", stdin='{"a": 1.50}')

    assert ended.code == 0
    with world.store() as store:
        assert read_deliveries(store.connection)[-1].data == '{"a":1.50}'


def test_the_same_notification_queues_once(hookfuse: Hookfuse, world: World, attachment: Path) -> None:
    for _ in range(2):
        words = (*IDS, "--status", "open", "--attachment", attachment, "--notification-uuid", "n-1")
        assert hookfuse("alert", *words, "--metric-value", "12").code == 0

    with world.store() as store:
        assert len(read_deliveries(store.connection, state="waiting", installation_id=PAGER)) == 2


@pytest.mark.parametrize(
    ("ids", "fault"),
    [
        (("--app", 99, "--organization", 17), "app 99 is not known"),
        (("--app", 5, "--organization", 18), "organization 18 is not known"),
        (("--app", "pager", "--organization", "nobody"), "organization 'nobody' is not known"),
    ],
)
def test_an_alert_for_nobody_says_who_is_unknown(
    hookfuse: Hookfuse, world: World, attachment: Path, ids: tuple[object, ...], fault: str
) -> None:
    words = (*ids, "--incident", 3, "--action", 9, "--status", "open", "--attachment", attachment)

    ended = hookfuse("alert", *words)

    assert ended.code == ExitCode.NOT_FOUND
    assert (ended.out, ended.err.count("\n")) == ("", 1)
    assert fault in ended.err
    with world.store() as store:
        assert len(read_deliveries(store.connection)) == 5


@pytest.mark.parametrize("status", ["fatal", "3", "", "-1", "²"])
def test_an_unknown_status_is_refused(hookfuse: Hookfuse, world: World, attachment: Path, status: str) -> None:
    ended = hookfuse("alert", *IDS, f"--status={status}", "--attachment", attachment)

    assert ended.code == ExitCode.USAGE
    assert ended.err.count("\n") == 1
    assert "there are: open (1), resolved (2), warning (10), critical (20)" in ended.err


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b'{\n "a": }', ": not JSON: line 2, column 7: "),
        (b"[1]", "not an object"),
        (b"", ": not JSON: line 1, column 1: "),
        (b'{"a": "\xff"}', ": not UTF-8 text: invalid start byte at byte 7"),
        (b'{"a": "' + b"x" * 1_048_576 + b'"}', "over 1048576 bytes, and [limits] attachment_bytes is 1048576"),
    ],
)
def test_a_wrong_attachment_is_one_line_that_names_file_and_place(
    hookfuse: Hookfuse, world: World, attachment: Path, content: bytes, fault: str
) -> None:
    attachment.write_bytes(content)

    ended = hookfuse("alert", *IDS, "--status", "open", "--attachment", attachment)

    assert ended.code == ExitCode.BAD_INPUT
    assert (ended.out, ended.err.count("\n")) == ("", 1)
    assert ended.err.startswith(f"hookfuse: {attachment}")
    assert fault in ended.err
    with world.store() as store:
        assert len(read_deliveries(store.connection)) == 5


def test_the_limit_is_the_configurations(hookfuse: Hookfuse, world: World, attachment: Path) -> None:
    world.home.configuration.write_text("[limits]\nattachment_bytes = 10\n")

    ended = hookfuse("alert", *IDS, "--status", "open", "--attachment", attachment)

    assert ended.code == ExitCode.BAD_INPUT
    assert "attachment_bytes is 10" in ended.err


def test_an_alert_makes_no_home(hookfuse: Hookfuse, tmp_path: Path, attachment: Path) -> None:
    ended = hookfuse("alert", *IDS, "--status", "open", "--attachment", attachment)

    assert ended.code == ExitCode.HOME
    assert "no home at" in ended.err
    assert not (tmp_path / "home").exists()
