"""Where counts of another system are read from: a Redis, whose password nobody sees, or a file."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import click

from console.input.documents import read_secret_line
from console.input.input_file import opened_input
from eventstore.common.json_lines import Faults, read_lines
from eventstore.redis.connection import shown_url
from eventstore.transfer.count_bucket import BUCKET_LINE_BYTES, CountBucket, read_bucket_lines
from eventstore.transfer.redis_counts import read_redis_counts

__all__ = ["CountSource", "count_source"]

_URL = "://"


@dataclass(frozen=True, slots=True)
class CountSource:
    """A file, or the URL of a Redis, which is not to be shown as it is; `name` is what may be."""

    name: str
    path: str = ""
    url: str = ""

    def __repr__(self) -> str:  # without the URL
        return f"CountSource({self.name!r})"

    @property
    def kind(self) -> str:
        """Return what an event says of the source: the place of a Redis, or that it was a file."""
        return "file" if self.path else self.name

    @contextmanager
    def opened(self, faults: Faults, on_keys: Callable[[int], None]) -> Iterator[Iterator[CountBucket]]:
        """Read its days one by one. Raises DocumentError, RejectedError and RedisAwayError."""
        if not self.path:
            yield read_redis_counts(self.url, faults, on_keys=on_keys)
            return
        with opened_input(self.path) as file:
            yield read_bucket_lines(read_lines(file.stream, BUCKET_LINE_BYTES), faults)


def count_source(counts: str | None, variable: str | None, url_file: str | None) -> CountSource | None:
    """Return the source that a person names by one of three options, None = they name none.

    Raises click.UsageError for several of them, for a variable that is not set, and for a password in a URL that is
    typed: everybody on the machine can see it there.
    """
    if sum(option is not None for option in (counts, variable, url_file)) > 1:
        raise click.UsageError("--counts, --counts-env and --counts-url-from name the same thing: give one of them")
    if variable is not None:
        return _redis(_from_environment(variable))
    if url_file is not None:
        return _redis(read_secret_line(url_file))
    if counts is None or _URL not in counts:
        return None if counts is None else CountSource("standard input" if counts == "-" else counts, path=counts)
    if not _is_free_of_secrets(counts):
        raise click.UsageError(
            "everybody on this machine can see a password in a command line: put the URL into an environment variable,"
            " and name that with --counts-env, or into a file, and name that with --counts-url-from"
        )
    return _redis(counts)


def _redis(url: str) -> CountSource:
    return CountSource(shown_url(url) if _URL in url else "Redis", url=url)


def _from_environment(variable: str) -> str:
    url = os.environ.get(variable, "").strip()
    if not url:
        raise click.UsageError(f"the environment variable {variable[:100]} is not set")
    return url


def _is_free_of_secrets(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return "@" not in url and not parts.query and not parts.fragment
