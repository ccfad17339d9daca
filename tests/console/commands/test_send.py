import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from console.input import batch_file
from console.shell.exit_codes import ExitCode
from eventstore.queue.delivery import QueuedDelivery
from eventstore.queue.queries import find_delivery, read_deliveries
from tests.console.conftest import CHAT, PAGER, Hookfuse, World

EVENT = ("--event", "issue.created")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "issue.json"
    path.write_text('{"issue": 81}')
    return path


def _queue(world: World) -> Sequence[QueuedDelivery]:
    with world.store() as store:
        return read_deliveries(store.connection, limit=-1)


def _line(**fields: object) -> str:
    return json.dumps({"installation": PAGER, "event": "issue.created", "data": {"n": 1}} | fields)


def test_send_prints_the_delivery_id(hookfuse: Hookfuse, world: World, data: Path) -> None:
    ended = hookfuse("send", "--installation", PAGER, *EVENT, "--data", data, "--ordering-key", "issue:81")

    with world.store() as store:
        delivery = find_delivery(store.connection, ended.out.strip())
    assert delivery is not None
    assert (delivery.installation_id, delivery.data, delivery.ordering_key) == (PAGER, '{"issue":81}', "issue:81")


def test_the_same_key_gives_the_same_id(hookfuse: Hookfuse, world: World, data: Path) -> None:
    words = ("send", "--installation", "7c1f0a52", *EVENT, "--data", data, "--idempotency-key", "k")

    assert hookfuse(*words).out == hookfuse(*words).out
    assert len(_queue(world)) == 6


@pytest.mark.parametrize(
    ("words", "code", "fault"),
    [
        (("--installation", "ffffffff-0000-4000-8000-000000000000", *EVENT), 4, "is not known"),
        (("--installation", "ffffff", *EVENT), 4, "is not known"),
        (("--installation", "7c1f0a", *EVENT), 3, "several installations start with 7c1f0a"),
        (("--installation", "7c1f", *EVENT), 3, "neither a UUID nor its first 6"),
        (("--installation", "%%%%%%", *EVENT), 3, "neither a UUID nor its first 6"),
        (("--installation", PAGER, "--event", "Issue Created"), 3, "is not an event name such as issue.created"),
        (("--installation", PAGER, *EVENT, "--idempotency-key", ""), 3, "an idempotency key has 1 to 256"),
        (("--installation", PAGER), 2, "give --installation, --event and --data, or --batch"),
        (("--installation", PAGER, *EVENT, "--batch", "x"), 2, "--batch takes no other option"),
    ],
)
def test_what_cannot_be_sent_is_one_line_and_queues_nothing(
    hookfuse: Hookfuse, world: World, words: tuple[str, ...], code: int, fault: str
) -> None:
    ended = hookfuse("send", *words, "--data", "-", stdin="{}")

    assert ended.code == code
    assert (ended.out, ended.err.count("\n")) == ("", 1)
    assert fault in ended.err
    assert len(_queue(world)) == 5


def test_a_batch_is_queued_in_order(hookfuse: Hookfuse, world: World, tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    lines = [_line(data={"n": number}, ordering_key="k") for number in range(2_500)]
    path.write_text("\n".join([*lines, "", _line(installation=CHAT.upper())]))

    ended = hookfuse("send", "--batch", path)

    assert (ended.code, ended.err, ended.out) == (0, "", "queued 2501\n")
    queue = _queue(world)[5:]
    assert [delivery.data for delivery in queue[:2_500]] == [f'{{"n":{number}}}' for number in range(2_500)]
    assert queue[-1].installation_id == CHAT


def test_a_line_of_a_batch_says_who_is_behind_it(hookfuse: Hookfuse, world: World) -> None:
    ann = {"type": "user", "id": "7", "name": "Ann"}
    lines = "\n".join([_line(actor=ann), _line(actor=None), _line()])

    assert hookfuse("send", "--batch", "-", stdin=lines).out == "queued 3\n"
    assert [one.actor and json.loads(one.actor) for one in _queue(world)[5:]] == [ann, None, None]


def test_a_batch_says_how_many_were_duplicates(hookfuse: Hookfuse, world: World) -> None:
    lines = "\n".join([_line(idempotency_key="a"), _line(idempotency_key="a"), _line(idempotency_key="b"), _line()])

    assert hookfuse("send", "--batch", "-", stdin=lines).out == "queued 3, 1 duplicate (same idempotency key)\n"
    assert hookfuse("send", "--batch", "-", stdin=lines).out == "queued 1, 3 duplicates (same idempotency key)\n"
    assert len(_queue(world)) == 9


def test_an_empty_batch_queues_nothing(hookfuse: Hookfuse, world: World) -> None:
    assert hookfuse("send", "--batch", "-", stdin="\n\n").out == "queued 0\n"
    assert len(_queue(world)) == 5


@pytest.mark.parametrize(
    ("bad", "code", "fault"),
    [
        ("{", 3, "not JSON"),
        ("[]", 3, "Expected `object`"),
        (_line(colour="red"), 3, "unknown field `colour`"),
        ('{"installation": "x", "event": "a.b"}', 3, "missing required field `data`"),
        (_line(data=[1]), 3, "the data is JSON, but not an object {...}"),
        (_line(actor="ann"), 3, "the actor is JSON, but not an object {...}"),
        (_line(actor=[]), 3, "the actor is JSON, but not an object"),
        (_line(event="no"), 3, "not an event name"),
        (_line(installation="x"), 3, "not a UUID"),
        (_line(installation="ffffffff-0000-4000-8000-000000000000"), 4, "not known"),
        (_line(data={"x": "y" * 1_048_576}), 3, "attachment_bytes"),
        (_line(data={"x": "y" * 2_097_152}), 3, "attachment_bytes"),
        (_line(idempotency_key=7), 3, "$.idempotency_key"),
        ('{"installation": "\x00"}', 3, "not JSON"),
        ("[" * 100_000, 3, "got `array`"),
        (
            '{"installation": "' + PAGER + '", "event": "a.b", "data": {"x":' + "[" * 50_000 + "]" * 50_000 + "}}",
            3,
            "JSON",
        ),
    ],
)
def test_one_bad_line_of_a_batch_is_named_and_nothing_is_queued(
    hookfuse: Hookfuse, world: World, bad: str, code: int, fault: str
) -> None:
    path = world.home.path / "events.jsonl"
    path.write_text("\n".join([_line(idempotency_key="a"), "", bad, _line()]))

    ended = hookfuse("send", "--batch", path)

    assert ended.code == code
    assert (ended.out, ended.err.count("\n")) == ("", 1)
    assert ended.err.startswith(f"hookfuse: {path}, line 3: ")
    assert fault in ended.err
    assert len(_queue(world)) == 5


def test_a_byte_order_mark_before_a_batch_does_no_harm(hookfuse: Hookfuse, world: World) -> None:
    assert hookfuse("send", "--batch", "-", stdin=b"\xef\xbb\xbf" + _line().encode()).code == ExitCode.OK
    assert hookfuse("send", "--batch", "-", stdin=b"\xef\xbb\xbf").out == "queued 0\n"


def test_a_line_that_is_no_text_is_named(hookfuse: Hookfuse, world: World) -> None:
    ended = hookfuse("send", "--batch", "-", stdin=_line().encode() + b'\n{"event": "\xff"}\n')

    assert ended.code == ExitCode.BAD_INPUT
    assert ended.err == "hookfuse: standard input, line 2: not UTF-8 text: invalid start byte at byte 11\n"


def test_a_batch_has_a_limit(hookfuse: Hookfuse, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_file, "MAX_LINES", 2)

    ended = hookfuse("send", "--batch", "-", stdin="\n".join([_line()] * 3))

    assert ended.code == ExitCode.BAD_INPUT
    assert "over 2 lines or 256 MiB" in ended.err
    assert len(_queue(world)) == 5


def test_a_batch_that_cannot_be_read_is_one_line(hookfuse: Hookfuse, world: World, tmp_path: Path) -> None:
    missing, folder = hookfuse("send", "--batch", tmp_path / "no"), hookfuse("send", "--batch", tmp_path)

    assert (missing.code, folder.code) == (ExitCode.BAD_INPUT, ExitCode.BAD_INPUT)
    assert "cannot be read: No such file or directory" in missing.err
    assert "cannot be read: Is a directory" in folder.err


def test_sending_wakes_a_running_daemon(hookfuse: Hookfuse, world: World) -> None:
    doorbell = world.home.doorbell.listen()
    try:
        hookfuse("send", "--batch", "-", stdin=_line())
        assert doorbell.heard()
    finally:
        doorbell.close()
