"""A real daemon with too few open files, from the start and in the middle of its work."""

import resource
import sqlite3
import subprocess
from collections import Counter
from contextlib import ExitStack, closing
from pathlib import Path

from tests.end_to_end.stage import LIMIT_S, Stage, installation_id
from tests.end_to_end.waiting import wait_until
from tests.webhook.servers import OK, answering, serving

HOSTS = 60  # each with a connection that is kept: more than a process of 96 files can have
FILES = 96


def register(stage: Stage, stack: ExitStack, hosts: int) -> None:
    """Register as many installations, each with a server of its own that answers 200."""
    organization = 'id = 17\nslug = "acme"\nname = "Acme"\nurl = "https://acme.example"\nowners = ["a@acme.example"]\n'
    lines = [f"[[organizations]]\n{organization}"]
    for app in range(1, hosts + 1):
        server = stack.enter_context(serving(answering(OK)))
        lines.append(
            f'[[apps]]\nid = {app}\nslug = "app-{app}"\nname = "App {app}"\norganization = 17\n'
            f'webhook_url = "{server.url}"\n'
            f'[[installations]]\napp = {app}\norganization = 17\nuuid = "{installation_id(app)}"\n'
        )
    registry = stage.home.parent / "registry.toml"
    registry.write_text("\n".join(lines))
    stage.run("apply", str(registry))


def types_of_events(stage: Stage) -> Counter[str]:
    with closing(sqlite3.connect(stage.home / "events.db")) as connection:
        rows = connection.execute("SELECT type FROM events WHERE type LIKE 'delivery.%'")
        return Counter(row[0] for row in rows)


def logged(stage: Stage, event: str) -> int:
    return sum(line["event"] == event for line in stage.log_lines())


def test_a_daemon_with_few_files_cuts_what_is_in_flight_says_so_and_no_healthy_endpoint_fails(stage: Stage) -> None:
    with ExitStack() as stack:
        register(stage, stack, HOSTS)
        stage.send([(app, "issue.created") for app in range(1, HOSTS + 1)] * 3)
        limited = ["sh", "-c", f'ulimit -n {FILES}; exec "$@"', "-", *stage.command("run", "--drain")]
        done = subprocess.run(
            limited, capture_output=True, text=True, timeout=LIMIT_S, check=False, cwd=Path(__file__).parents[2]
        )

        assert done.returncode == 0, done.stderr
    assert types_of_events(stage) == {"delivery.succeeded": 3 * HOSTS}
    assert logged(stage, "in_flight_cut") == 1
    assert "ulimit -n" in done.stderr
    assert logged(stage, "shortage_began") <= 1
    assert logged(stage, "actor_crashed") == logged(stage, "attempt_crashed") == 0


def test_a_daemon_that_runs_out_of_files_postpones_and_delivers_when_there_are_some_again(stage: Stage) -> None:
    with ExitStack() as stack:
        register(stage, stack, 8)
        daemon = stack.enter_context(stage.daemon())
        wait_until((stage.home / "logs" / "hookfuse.jsonl").exists, "the daemon has begun its log")
        stage.send([(1, "issue.created")])
        wait_until(lambda: types_of_events(stage)["delivery.succeeded"] == 1, "the first delivery")
        _, hard = resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (4, hard))
        stage.send([(app, "issue.created") for app in range(2, 9)] * 2)
        wait_until(lambda: logged(stage, "shortage_began"), "the shortage is said")
        assert types_of_events(stage) == {"delivery.succeeded": 1}

        resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (hard, hard))
        wait_until(lambda: types_of_events(stage)["delivery.succeeded"] == 15, "all the others")
        daemon.terminate()

        assert daemon.wait(LIMIT_S) == 0
    assert types_of_events(stage) == {"delivery.succeeded": 15}
    assert logged(stage, "shortage_began") == 1
    assert logged(stage, "actor_crashed") == 0


def test_too_few_files_for_any_daemon_end_it_at_once_with_how_many_it_takes(stage: Stage) -> None:
    limited = ["sh", "-c", 'ulimit -n 40; exec "$@"', "-", *stage.command("run", "--drain")]
    done = subprocess.run(
        limited, capture_output=True, text=True, timeout=LIMIT_S, check=False, cwd=Path(__file__).parents[2]
    )

    assert done.returncode == 7
    assert "40 open files are allowed, and a daemon needs 72 at least" in done.stderr
