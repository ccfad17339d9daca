"""`hookfuse replay rebuild --to redis` and `verify --against redis`."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice

from console.output.progress import SlowProgress
from console.output.tables import Column, print_json, print_line, print_table
from console.shell.exit_codes import ExitCode
from console.shell.session import Session
from eventstore.errors import ConfigurationError, DamagedLogError
from eventstore.log.event_log import last_position
from eventstore.redis.connection import shown_url
from eventstore.redis.original_projection import RedisProjection
from replay.check.log_check import check_log
from replay.check.redis_comparison import compare_redis

__all__ = ["rebuild_redis", "verify_redis"]

_COLUMNS = (Column("key"), Column("field"), Column("in redis"), Column("by the events"))


def rebuild_redis(session: Session, *, is_json: bool) -> ExitCode:
    """Delete every key of the layout and write them again from the events; a daemon may be running, and helps.

    Raises DamagedLogError, and then nothing was deleted.
    """
    with _opened(session) as projection, session.reading_on() as connection:
        check = check_log(session.home.database, limit=1)
        if check.count:
            fault = check.faults[0]
            raise DamagedLogError(f"event {fault.position} {fault.text}: `hookfuse replay verify --log` says more")
        total = last_position(connection)
        projection.clear()
        with SlowProgress("writing to Redis", total) as progress:
            while count := projection.catch_up(connection, session.now()):
                progress.advance(count)
    if is_json:
        print_json({"url": shown_url(projection.url), "events": total})
    else:
        print_line(f"rebuilt the keys in Redis at {shown_url(projection.url)} from {total:,} events")
    return ExitCode.OK


def verify_redis(session: Session, *, limit: int, is_json: bool) -> ExitCode:
    """Print each value in Redis that the events do not bear out."""
    with (
        _opened(session) as projection,
        session.reading_on() as connection,
        SlowProgress("reading events", last_position(connection)) as progress,
    ):
        differences = compare_redis(connection, projection, session.now(), progress.advance)
    if is_json:
        print_json(differences[:limit])
    elif not differences:
        print_line(f"Redis at {shown_url(projection.url)} holds what the events add up to")
    else:
        rows = [(one.key, one.field, one.live, one.rebuilt) for one in islice(differences, limit)]
        print_table(_COLUMNS, rows)
        if len(differences) > limit:
            print_line(f"and {len(differences) - limit:,} more: see --limit")
        print_line(f"{len(differences):,} differences: `hookfuse replay rebuild --to redis` repairs them")
    return ExitCode.DIFFERENT if differences else ExitCode.OK


@contextmanager
def _opened(session: Session) -> Iterator[RedisProjection]:
    settings = session.configuration().redis
    url = settings.url.get_secret_value()
    if not url:
        raise ConfigurationError("no Redis is configured: set [redis] url (docs/redis.md)")
    projection = RedisProjection(url, timeout_s=settings.timeout_s)
    try:
        yield projection
    finally:
        projection.close()
