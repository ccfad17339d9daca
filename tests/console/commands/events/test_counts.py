import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from console.input.count_source import count_source
from console.shell.exit_codes import ExitCode
from tests.console.conftest import PAGER, SHOP, Hookfuse, World
from tests.redis_server import CONFIGURED_URL, RedisServer, own_redis, serving_redis


def lines(*buckets: tuple[str, Mapping[str, int | str]]) -> str:
    return "".join(json.dumps({"key": key, "fields": fields}) + "\n" for key, fields in buckets)


# The world's clock stands at noon of 2025-02-08.
WEEK = lines(
    *[(f"sentry-app-error:5:17:2025-02-0{day}", {"error_count": "2"}) for day in range(1, 9)],
    ("sentry-app-error:5:17:2025-02-09", {"error_count": "1"}),
)


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with serving_redis() as server:
        yield server


def test_a_week_is_imported_from_a_file_and_a_second_time_nothing(
    hookfuse: Hookfuse, world: World, tmp_path: Path
) -> None:
    path = tmp_path / "counts.jsonl"
    path.write_text(WEEK)

    first = hookfuse("events", "import", "--counts", path, "--by", "ada")
    second = hookfuse("events", "import", "--counts", path, "--by", "ada")

    assert (first.code, first.err) == (0, "")
    assert first.out.splitlines() == [
        "imported the counts of 7 days",
        "1 day left out: before the 7 days that a policy looks at",
        "1 day left out: of tomorrow in UTC (the other system's clock is ahead): import again then",
    ]
    assert second.out.splitlines()[:2] == ["imported the counts of 0 days", "7 days contained nothing new"]
    found = hookfuse("events", "--type", "installation.counts_imported", "--installation", PAGER, "--json").json
    assert [event["data"]["day"] for event in found] == [f"2025-02-0{day}" for day in range(2, 9)]
    assert (found[0]["data"]["source"], found[0]["data"]["by"]) == ("file", "person:ada")
    assert hookfuse("show", PAGER, "--json").json["buffer"][0]["client_error"] == 2


def test_a_redis_is_read_by_its_url_by_a_variable_or_by_a_file(
    hookfuse: Hookfuse, world: World, server: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = server.client()
    client.hset("sentry-app-error:7:17:2025-02-08", mapping={"timeout_count": 3})
    client.close()
    monkeypatch.setenv("SENTRY_REDIS_URL", server.url)
    (tmp_path / "url").write_text(server.url + "\n")

    typed = hookfuse("events", "import", "--counts", server.url, "--json", "--dry-run")
    named = hookfuse("events", "import", "--counts-env", "SENTRY_REDIS_URL", "--json")
    filed = hookfuse("events", "import", "--counts-url-from", tmp_path / "url", "--json")

    assert [(one.json["imported"], one.json["unchanged"]) for one in (typed, named, filed)] == [(1, 0), (1, 0), (0, 1)]
    (event,) = hookfuse("events", "--type", "installation.counts_imported", "--installation", SHOP, "--json").json
    assert event["data"]["timeout"] == 3
    assert event["data"]["source"] == server.url


@pytest.mark.skipif(bool(CONFIGURED_URL), reason="the configured server keeps its password")
def test_a_password_is_taken_and_shown_nowhere(
    hookfuse: Hookfuse, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    with own_redis() as server:
        client = server.client()
        client.config_set("requirepass", "s3cret-password")
        client.close()
        right = server.url.replace("unix://", "unix://:s3cret-password@")
        for variable, url in (
            ("RIGHT", right),
            ("WRONG", right.replace("s3cret", "another-s3cret")),
            ("NONE", server.url),
            ("AWAY", right + ".away"),
            ("BROKEN", right.replace("unix", "redis").replace("@", "#@")),
        ):
            monkeypatch.setenv(variable, url)
        ended = {
            name: hookfuse("events", "import", "--counts-env", name) for name in ("RIGHT", "WRONG", "NONE", "AWAY")
        }
        broken = hookfuse("events", "import", "--counts-env", "BROKEN")

    assert {name: one.code for name, one in ended.items()} == {
        "RIGHT": 0,
        "WRONG": ExitCode.DATABASE,
        "NONE": ExitCode.DATABASE,
        "AWAY": ExitCode.DATABASE,
    }
    assert broken.code != 0
    assert "s3cret" not in "".join(one.out + one.err for one in (*ended.values(), broken))
    assert "s3cret" not in hookfuse("events", "export").out


@pytest.mark.parametrize(
    "url",
    [
        "redis://:s3cret@localhost",
        "REDIS://ada:s3cret@localhost",
        "unix://:s3cret@/run/redis.sock",
        "redis://localhost?password=s3cret",
        "redis://localhost/#s3cret",
        "redis://[s3cret",
    ],
)
def test_a_password_in_a_command_line_is_refused_before_it_is_used_and_not_repeated(
    hookfuse: Hookfuse, world: World, url: str
) -> None:
    ended = hookfuse("events", "import", "--counts", url)

    assert (ended.code, ended.out, ended.err.count("\n")) == (ExitCode.USAGE, "", 1)
    assert "--counts-env" in ended.err
    assert "s3cret" not in ended.err


def test_a_source_does_not_show_its_url() -> None:
    os.environ["SENTRY_REDIS_URL"] = "redis://:s3cret@localhost:6379/0"
    try:
        source = count_source(None, "SENTRY_REDIS_URL", None)
    finally:
        del os.environ["SENTRY_REDIS_URL"]

    assert source is not None
    assert repr(source) == "CountSource('redis://localhost:6379/0')"
    assert source.kind == "redis://localhost:6379/0"


def test_what_is_wrong_is_named_and_nothing_is_imported(hookfuse: Hookfuse, world: World) -> None:
    content = (
        lines(
            ("sentry-app-error:5:17:2025-02-08", {"error_count": 1}),
            ("sentry-app-error:5:18:2025-02-08", {"error_count": 1}),
            ("sentry-app-error:5:17:\x1b[2J", {"error_count": 1}),
        )
        + "}\n"
    )

    ended = hookfuse("events", "import", "--counts", "-", stdin=content)
    document = hookfuse("events", "import", "--counts", "-", "--json", stdin=content)

    assert (ended.code, document.code) == (ExitCode.BAD_INPUT, ExitCode.BAD_INPUT)
    assert ended.out.splitlines() == [
        "line 2: app 5 has no installation in organization 18 here (--skip-unknown leaves it out)",
        "line 3: 'sentry-app-error:5:17:\\x1b[2J' is not a key such as sentry-app-error:5:17:2025-02-01",
        "line 4: not JSON: JSON is malformed: invalid character (byte 0)",
    ]
    assert ended.err == "hookfuse: standard input: 3 days are wrong, and nothing was imported\n"
    assert document.json["fault_count"] == 3
    assert document.json["faults"][0]["place"] == "line 2"
    assert hookfuse("events", "--type", "installation.counts_imported", "--json").json == []


def test_counts_that_have_shrunk_are_named_and_left(hookfuse: Hookfuse, world: World) -> None:
    key = "sentry-app-error:5:17:2025-02-08"
    hookfuse("events", "import", "--counts", "-", stdin=lines((key, {"error_count": 3})))

    ended = hookfuse("events", "import", "--counts", "-", stdin=lines((key, {"error_count": 1})))

    assert (ended.code, ended.err) == (0, "")
    assert ended.out.splitlines() == [
        "imported the counts of 0 days",
        "1 day left as they are: with less than was imported before",
        "line 1: error_count 1 is less than 3, imported before",
    ]


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("file", "--counts", "counts.jsonl"),
        ("--counts", "counts.jsonl", "--send-pending-mails"),
        ("--counts", "counts.jsonl", "--counts-env", "X"),
        ("--counts-env", "NOT_SET_ANYWHERE"),
        ("file", "--skip-unknown"),
    ],
)
def test_what_does_not_go_together_is_a_usage_error(hookfuse: Hookfuse, world: World, words: tuple[str, ...]) -> None:
    ended = hookfuse("events", "import", *words)

    assert (ended.code, ended.out, ended.err.count("\n")) == (ExitCode.USAGE, "", 1)


def test_counts_need_a_home_with_a_registry(hookfuse: Hookfuse, tmp_path: Path) -> None:
    assert hookfuse("events", "import", "--counts", "-", stdin=WEEK).code == ExitCode.HOME
    assert list(tmp_path.iterdir()) == []


def test_the_program_of_the_docs_writes_the_lines_that_are_imported(
    hookfuse: Hookfuse, world: World, server: RedisServer
) -> None:
    page = (Path(__file__).parents[4] / "docs" / "moving.md").read_text(encoding="utf-8")
    program = page.partition("```python\n")[2].partition("```")[0]
    client = server.client()
    for day in range(2, 9):
        client.hset(f"sentry-app-error:5:17:2025-02-0{day}", mapping={"error_count": day, "fatal_count": 0})
    client.close()

    written = subprocess.run([sys.executable, "-c", program, server.url], capture_output=True, text=True, check=True)

    assert hookfuse("events", "import", "--counts", "-", stdin=written.stdout).out == "imported the counts of 7 days\n"
    assert [day["client_error"] for day in hookfuse("show", PAGER, "--json").json["buffer"]][:2] == [2, 3]
