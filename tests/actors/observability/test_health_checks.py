"""What those who watch are told: of a loop that is silent, of a stop, of a database that can't be read."""

from pathlib import Path

import pytest

from actors.observability.health_checks import HealthChecks
from actors.observability.process_stats import ProcessStats
from eventstore.errors import DatabaseError
from eventstore.redis.original_projection import RedisProjection
from eventstore.sqlite.reader_pool import Readers
from tests.actors.stage import ONE, Stage
from tests.exposition import Exposition
from tests.redis_server import CONFIGURED_URL, own_redis, serving_redis


class Subject:
    """Who does the work, as the test says."""

    def __init__(self) -> None:
        self.restarts = 3
        self.numbers: ProcessStats | None = ProcessStats(5, 6, 7, 8)
        self.fault = ""
        self.missing = ""

    def process_stats(self) -> ProcessStats | None:
        return self.numbers

    def liveness(self) -> dict[str, str]:
        return {"actors": self.fault or "ok"}

    def readiness(self) -> dict[str, str]:
        return {"shares": self.missing or "ok"}


class Watched:
    def __init__(self, stage: Stage, redis: RedisProjection | None = None) -> None:
        self.now_s = 100.0
        self.subject = Subject()
        self.watch = HealthChecks(
            readers=stage.readers,
            clock=stage.clock,
            own=lambda: ProcessStats(actors=1, crashes=2),
            redis=redis,
            clock_s=lambda: self.now_s,
        )
        self.watch.show(self.subject)


@pytest.fixture
def watched(stage: Stage) -> Watched:
    return Watched(stage)


def test_it_lives_and_is_ready_while_its_loop_comes_round(watched: Watched) -> None:
    assert watched.watch.liveness().checks == {"loop": "ok", "actors": "ok"}
    assert watched.watch.readiness().checks == {
        "loop": "ok",
        "actors": "ok",
        "start": "ok",
        "shares": "ok",
        "stop": "ok",
        "database": "ok",
    }


def test_a_loop_that_does_not_come_round_is_neither_alive_nor_ready(watched: Watched) -> None:
    watched.now_s += 14.9
    assert watched.watch.liveness().is_good
    watched.now_s += 0.2

    assert watched.watch.liveness().checks["loop"] == "has not come round for 15 s"
    assert not watched.watch.readiness().is_good
    watched.watch.note_alive()
    assert watched.watch.liveness().is_good


def test_an_actor_that_was_given_up_is_said(watched: Watched) -> None:
    watched.subject.fault = "JournalActor crashed and the restart budget is used up"

    assert watched.watch.liveness().checks["actors"] == watched.subject.fault
    assert not watched.watch.liveness().is_good


def test_before_anybody_does_the_work_it_lives_and_is_not_ready(stage: Stage) -> None:
    watch = HealthChecks(readers=stage.readers, clock=stage.clock)

    assert watch.liveness().is_good
    assert watch.readiness().checks["start"] == "not over yet"
    assert "hookfuse_actors" not in Exposition(watch.expose()).sample_names


def test_a_share_that_nobody_looks_after_is_alive_and_not_ready(watched: Watched) -> None:
    watched.subject.missing = "1 of 2 have a worker"

    assert watched.watch.liveness().is_good
    assert not watched.watch.readiness().is_good


def test_while_it_stops_it_lives_however_long_that_takes_and_is_not_ready(watched: Watched) -> None:
    watched.watch.note_stopping()
    watched.now_s += 60.0

    assert watched.watch.liveness().is_good
    assert watched.watch.readiness().checks["stop"] == "under way"
    assert not watched.watch.readiness().is_good


def test_a_database_that_is_gone_is_said_and_no_empty_one_is_made_in_its_place(stage: Stage, tmp_path: Path) -> None:
    missing = tmp_path / "gone" / "events.db"
    watch = HealthChecks(readers=Readers(missing), clock=stage.clock)

    assert "it was removed" in watch.readiness().checks["database"]
    with pytest.raises(DatabaseError):
        watch.expose()
    assert not missing.exists()


def test_a_database_that_is_damaged_is_said(stage: Stage, watched: Watched) -> None:
    stage.store.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with stage.path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 4096 * 20)

    assert "the database file is damaged" in watched.watch.readiness().checks["database"]


def test_metrics_have_the_numbers_of_who_works_and_of_what_counts(watched: Watched) -> None:
    exposition = Exposition(watched.watch.expose())

    assert exposition("hookfuse_actors") == 6
    assert exposition("hookfuse_mailbox_messages") == 6
    assert exposition("hookfuse_deliveries_in_flight") == 7
    assert exposition("hookfuse_actor_crashes_total") == 10
    assert exposition("hookfuse_worker_restarts_total") == 3


def test_whether_it_is_ready_is_a_metric_too(watched: Watched) -> None:
    ready = Exposition(watched.watch.expose())("hookfuse_ready")
    watched.watch.note_stopping()
    stopping = Exposition(watched.watch.expose())("hookfuse_ready")

    assert (ready, stopping) == (1, 0)


def test_numbers_that_are_not_known_are_left_out_and_the_others_said(stage: Stage, watched: Watched) -> None:
    stage.register(ONE)
    watched.subject.numbers = None
    exposition = Exposition(watched.watch.expose())

    assert "hookfuse_actors" not in exposition.sample_names
    assert exposition("hookfuse_installations", state="active") == 1


def test_the_lag_of_redis_is_what_it_has_not_got(stage: Stage) -> None:
    stage.register(ONE)
    with serving_redis() as server:
        redis = RedisProjection(server.url)
        watch = Watched(stage, redis).watch
        before = Exposition(watch.expose())("hookfuse_redis_lag_events")
        redis.catch_up(stage.store.connection, stage.clock.now())
        after = Exposition(watch.expose())("hookfuse_redis_lag_events")
        redis.close()

    assert (before, after) == (len(stage.events()), 0)


@pytest.mark.skipif(bool(CONFIGURED_URL), reason="the configured server is not to be killed")
def test_a_redis_that_is_away_has_no_lag_and_the_rest_is_said(stage: Stage) -> None:
    with own_redis() as server:
        redis = RedisProjection(server.url, timeout_s=1.0)
        watch = Watched(stage, redis).watch
        server.kill()
        exposition = Exposition(watch.expose())
        redis.close()

    assert exposition("hookfuse_redis_up") == 0
    assert "hookfuse_redis_lag_events" not in exposition.sample_names
    assert exposition("hookfuse_last_position") == 0
