"""`hookfuse doctor`: what is looked at on this machine, what is said of it, and how it ends."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta

import pytest

from console.doctor.checkup import check_home, show_findings
from console.doctor.configuration_checks import check_limits
from console.doctor.home_checks import check_disk
from console.shell.exit_codes import ExitCode
from console.shell.session import Session
from eventstore.common.diagnostic import Diagnostic
from eventstore.common.identifiers import FLEET_STREAM
from eventstore.common.uptime import Uptime
from eventstore.deliveries.resend import drop_kept
from eventstore.events.catalogue import DisablingThawed
from eventstore.log.event_log import NewEvent
from eventstore.policies.clock_doubt import ClockPair
from eventstore.redis.original_projection import RedisProjection
from eventstore.settings.configuration import load_configuration
from eventstore.wall_clock.watch import write_clock_pair
from tests.console.conftest import World
from tests.redis_server import RedisServer, serving_redis


def look(world: World) -> dict[str, list[Diagnostic]]:
    """Return what was found that is not good, by subject."""
    found = list(check_home(Session(world.home, world.clock), lambda _configuration, _connection: ()))
    assert all(bool(one.fix) == (one.level != "good") for one in found)
    subjects: dict[str, list[Diagnostic]] = {one.subject: [] for one in found}
    for one in found:
        if one.level != "good":
            subjects[one.subject].append(one)
    return subjects


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with serving_redis() as server:
        yield server


@pytest.fixture
def healthy(world: World) -> World:
    world.clock.advance(days=600)
    with world.store() as store:
        with store.transaction() as transaction:
            drop_kept(transaction, [world.dead_id], by="person:ann", reason="as a healthy home has none")
        store.connection.execute("DELETE FROM queue")
    return world


def damage(world: World, *statements: str) -> None:
    with closing(sqlite3.connect(world.home.database)) as connection:
        rows = connection.execute("SELECT name, sql FROM sqlite_schema WHERE name GLOB 'events_refuse_*'").fetchall()
        for name, _ in rows:
            connection.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            connection.execute(statement)
        for _, made in rows:
            connection.execute(made)
        connection.commit()


def test_a_healthy_home_has_no_fault(healthy: World) -> None:
    subjects = look(healthy)

    assert set(subjects) == {
        "permissions", "disk", "settings", "policy", "limits", "daemon", "commits", "database",
        "payloads", "projections", "clock", "work",
    }  # fmt: skip
    assert [one for found in subjects.values() for one in found] == []


def test_a_home_that_others_may_look_into_is_a_fault(healthy: World) -> None:
    healthy.home.path.chmod(0o755)

    (found,) = look(healthy)["permissions"]
    assert found.level == "fault"
    assert "others may read" in found.text


def test_a_file_that_others_could_read_but_can_not_reach_is_none(healthy: World) -> None:
    healthy.home.database.chmod(0o644)

    assert look(healthy)["permissions"] == []


@pytest.mark.parametrize(
    ("days", "level", "text"),
    [
        (0, "fault", "mine.toml: rule 1 ('week'), days"),
        (9, "warning", "mine (version 1) has rules that can never fire: week"),
    ],
)
def test_a_policy_that_cannot_be_read_or_never_fires_is_named(healthy: World, days: int, level: str, text: str) -> None:
    (healthy.home.path / "mine.toml").write_text(
        'name = "mine"\nversion = 1\nwindow_days = 7\nerrors = ["server_error"]\n'
        f'[[rules]]\nkind = "streak"\nname = "week"\ndays = {days}\n'
    )
    healthy.home.configuration.write_text('[policy]\nfile = "mine.toml"\n')

    (found,) = look(healthy)["policy"]
    assert (found.level, text in found.text) == (level, True)


def test_an_event_that_was_changed_is_named_with_its_position(healthy: World) -> None:
    damage(healthy, "UPDATE events SET data = replace(data, '500', '200') WHERE position = 9")

    (found,) = look(healthy)["database"]
    assert found.level == "fault"
    assert "event 9 is not what was recorded" in found.text


def test_a_file_that_sqlite_finds_damaged_is_a_fault(healthy: World) -> None:
    with closing(sqlite3.connect(healthy.home.database)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
        (page,) = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'audit'").fetchone()
        (page_bytes,) = connection.execute("PRAGMA page_size").fetchone()
    with healthy.home.database.open("r+b") as file:
        file.seek((page - 1) * page_bytes)
        file.write(b"\xff" * 64)

    assert any("damaged" in one.text for one in look(healthy)["database"])


def test_a_clock_that_went_back_is_a_fault(healthy: World) -> None:
    healthy.clock.advance(days=400)
    with healthy.store() as store, store.transaction() as transaction:
        transaction.connection.execute(
            "INSERT INTO events SELECT position + 1, 'x', 1, type, schema, '2031-01-01T00:00:00.000000Z', data, hash"
            " FROM events ORDER BY position DESC LIMIT 1"
        )

    (found,) = look(healthy)["clock"]
    assert found.level == "fault"
    assert "after what the clock says now" in found.text


def write_pair(world: World, *, days: float) -> None:
    """Write a moment so many days ago as a daemon of another boot of the machine did."""
    pair = ClockPair(world.clock.now() - timedelta(days=days), Uptime("another boot", 5.0))
    with world.store() as store:
        write_clock_pair(store.connection, pair)


@pytest.mark.parametrize(("days", "way"), [(31, "31d ahead of"), (-31, "31d behind")])
def test_a_clock_that_has_leapt_is_doubted_aloud(healthy: World, days: float, way: str) -> None:
    write_pair(healthy, days=days)

    (found,) = look(healthy)["clock"]
    assert found.level == "warning"
    assert way in found.text
    assert "nothing expires for 1d of running" in found.text


def test_events_and_waits_of_a_clock_that_was_ahead_are_named(healthy: World) -> None:
    with healthy.store() as store, store.transaction() as transaction:
        transaction.append(NewEvent(FLEET_STREAM, DisablingThawed(1, 0)))
    healthy.clock.advance(days=-100)
    write_pair(healthy, days=0)
    with healthy.store() as store:
        store.connection.execute("UPDATE installations SET hold_until = '2037-01-01T00:00:00.000000Z'")

    (found,) = look(healthy)["clock"]
    assert found.level == "warning"
    assert "2 of the newest 1,000 events are up to 100d ahead of it" in found.text
    assert "until 2037-01-01T00:00:00Z (holding nothing)" in found.text


@pytest.mark.parametrize(
    ("statement", "what"),
    [
        ("UPDATE queue SET state = 'waiting', attempts = 1, due_at = :far WHERE state = 'dead'", "1 delivery"),
        ("UPDATE queue SET state = 'waiting', due_at = :far WHERE state = 'dead'", "1 delivery"),
        ("UPDATE queue SET state = 'waiting', is_recovery = 1, due_at = :far WHERE state = 'missed'", "1 recover"),
        ("UPDATE installations SET breaker_open_until = :far", "open breaker"),
        ("UPDATE secrets SET previous_until = :far", "previous secrets until"),
        ("INSERT INTO idempotency_keys VALUES ('i', 'k', 'd', :far, NULL)", "1 idempotency key"),
        (
            (
                "INSERT INTO outbox (mail_id, message_id, installation_id, recipient, kind, about_position, state,"
                " requested_at, due_at) VALUES ('m', 'm', 'i', 'a', 'k', 1, 'requested', :far, :far)"
            ),
            "1 mail",
        ),
    ],
)
def test_every_moment_that_waits_is_compared_with_the_clock(world: World, statement: str, what: str) -> None:
    world.clock.advance(days=600)
    with world.store() as store:
        store.connection.execute("DELETE FROM queue WHERE state = 'waiting'")
        store.connection.execute(statement, {"far": "2037-01-01T00:00:00.000000Z"})

    (found,) = look(world)["clock"]
    assert what in found.text


def test_what_waits_while_no_daemon_runs_is_worth_a_look(world: World) -> None:
    with world.store() as store:
        store.connection.execute("UPDATE queue SET state = 'waiting'")

    assert [one.text.partition(",")[2] for one in look(world)["work"]] == [" 0 missed, 0 dead, and no daemon runs"]


def test_apps_that_wait_for_a_secret_are_worth_a_look(healthy: World) -> None:
    with healthy.store() as store:
        store.connection.execute("DELETE FROM secrets WHERE app_id != 7")

    (found,) = look(healthy)["work"]
    assert (found.level, found.text) == ("warning", "apps without a secret: 5, 6; what is queued for them waits")


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("[timeouts]\nread_s = 30", "ends a request before connect_s or read_s can"),
        ("[daemon]\nstop_s = 1", "a stop waits 1 s"),
        ("[breaker]\nopen_s = 5000", "open_s is longer than open_max_s"),
        ("[guard]\nallow_http = true", "in the clear"),
    ],
)
def test_settings_that_contradict_each_other_are_worth_a_look(healthy: World, setting: str, said: str) -> None:
    healthy.home.configuration.write_text(setting)
    healthy.home.configuration.chmod(0o600)

    assert any(said in one.text for one in look(healthy)["settings"])


def test_settings_that_can_not_be_read_are_a_fault_and_the_rest_is_looked_at(healthy: World) -> None:
    healthy.home.configuration.write_text("[timeouts]\nread_s = 'soon'")
    healthy.home.configuration.chmod(0o600)

    subjects = look(healthy)
    assert subjects["settings"][0].level == "fault"
    assert "database" in subjects


@pytest.mark.parametrize(
    ("limits", "level", "said"),
    [
        ((256, 1024), "warning", "up to 4736 are needed: a daemon started so has"),
        ((60, 60), "fault", "up to 60 open files are allowed"),
    ],
)
def test_fewer_open_files_than_a_daemon_needs_are_said_with_how_many_those_are(
    healthy: World, monkeypatch: pytest.MonkeyPatch, limits: tuple[int, int], level: str, said: str
) -> None:
    import resource

    healthy.home.configuration.write_text("[delivery]\nin_flight = 4096")
    healthy.home.configuration.chmod(0o600)
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits)
    (found,) = look(healthy)["limits"]

    assert found.level == level
    assert said in found.text
    assert "ulimit -n" in found.fix


def test_a_soft_limit_that_a_daemon_raises_itself_is_good(healthy: World, monkeypatch: pytest.MonkeyPatch) -> None:
    import resource

    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, 65_536))

    assert check_limits(load_configuration(healthy.home.configuration)).level == "good"


@pytest.mark.parametrize(("free_bytes", "level"), [(10, "fault"), (500_000_000, "warning"), (10**12, "good")])
def test_little_room_is_said_before_there_is_none(
    healthy: World, monkeypatch: pytest.MonkeyPatch, free_bytes: int, level: str
) -> None:
    from shutil import _ntuple_diskusage

    monkeypatch.setattr("shutil.disk_usage", lambda _path: _ntuple_diskusage(10**12, 0, free_bytes))

    assert check_disk(healthy.home).level == level


def test_a_fault_gives_the_exit_code_and_all_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    def found() -> Iterator[Diagnostic]:
        yield Diagnostic.good("clock", "it ticks")
        yield Diagnostic.fault("mail", "nobody answers", "start the mail server")

    code = show_findings(found(), is_json=False)

    out = capsys.readouterr().out
    assert code == ExitCode.FAULT_FOUND
    assert out.endswith("1 fault\n")
    assert "start the mail server" in out


def test_a_warning_is_no_fault(capsys: pytest.CaptureFixture[str]) -> None:
    assert show_findings([Diagnostic.warning("disk", "slow", "buy one")], is_json=False) == ExitCode.OK
    assert capsys.readouterr().out.endswith("1 warning\n")


def test_a_redis_that_answers_and_has_it_all_is_good(healthy: World, server: RedisServer) -> None:
    healthy.home.configuration.write_text(f'[redis]\nurl = "{server.url}"\n[queue]\nurl = "{server.url}"\n')
    projection = RedisProjection(server.url)
    with healthy.store() as store:
        projection.catch_up(store.connection, healthy.clock.now())
    projection.close()
    subjects = look(healthy)

    assert (subjects["redis"], subjects["stream"]) == ([], [])


def test_a_redis_that_does_not_answer_is_a_fault_that_names_the_setting(healthy: World) -> None:
    url = "redis://ann:hidden@127.0.0.1:1/0"
    healthy.home.configuration.write_text(f'[redis]\nurl = "{url}"\n[queue]\nurl = "{url}"\n')
    healthy.home.configuration.chmod(0o600)
    subjects = look(healthy)
    ((redis,), (stream,)) = subjects["redis"], subjects["stream"]

    assert (redis.level, stream.level) == ("fault", "fault")
    assert "Redis at redis://127.0.0.1:1/0" in redis.text
    assert "HOOKFUSE_REDIS__URL" in redis.fix
    assert "HOOKFUSE_QUEUE__URL" in stream.fix
    assert "hidden" not in f"{redis}{stream}"


def test_poison_in_the_stream_is_a_warning_that_says_where_to_look(healthy: World, server: RedisServer) -> None:
    healthy.home.configuration.write_text(f'[queue]\nurl = "{server.url}"\n')
    client = server.client()
    client.xadd("hookfuse:deliveries:dead", {"dead_reason": "no JSON"})
    client.close()
    (found,) = look(healthy)["stream"]

    assert (found.level, "1 dead" in found.text) == ("warning", True)
    assert "redis-cli xrange hookfuse:deliveries:dead - + count 10" in found.fix
