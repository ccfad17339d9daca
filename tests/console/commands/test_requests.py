import pytest

from console.shell.exit_codes import ExitCode
from eventstore.events.catalogue import DeliveryFailed
from tests.console.conftest import CHAT, PAGER, SHOP, Hookfuse, World
from tests.eventstore.facts import attempt, record

ALWAYS = {"date", "response_code", "webhook_url"}
BESIDE = {
    "event",
    "app_id",
    "installation_id",
    "delivery_id",
    "attempt",
    "duration_ms",
    "error_class",
    "fault",
    "detail",
    "position",
}
OF_ERRORS = {"request_headers", "request_body", "response_body"}


def test_a_row_has_exactly_the_fields_that_it_should(hookfuse: Hookfuse, world: World) -> None:
    rows = {row["installation_id"]: row for row in hookfuse("requests", "--json").json}

    assert set(rows[PAGER]) == ALWAYS | BESIDE
    assert set(rows[CHAT]) == ALWAYS | BESIDE | OF_ERRORS | {"error_id", "project_id"}
    assert set(rows[SHOP]) == ALWAYS | BESIDE | OF_ERRORS | {"organization_id"}
    assert rows[CHAT]["response_body"] == "[bold]oops[/bold]\x1b[2J"
    assert rows[SHOP]["organization_id"] == 17


def test_rows_are_newest_first(hookfuse: Hookfuse, world: World) -> None:
    positions = [row["position"] for row in hookfuse("requests", "--json").json]

    assert len(positions) == 18
    assert positions == sorted(positions, reverse=True)


@pytest.mark.parametrize(
    ("words", "count"),
    [
        (("--app", 5), 3),
        (("--app", "pager"), 3),
        (("--organization", "acme"), 18),
        (("--installation", "aa000000"), 3),
        (("--event", "metric_alert.critical"), 18),
        (("--event", "issue.created"), 0),
        (("--errors",), 15),
        (("--organization", 17), 18),
        (("--since", "2025-02-03T12:00"), 12),
        (("--until", "2025-02-02T12:00"), 6),
        (("--since", "5d"), 12),
        (("--since", "5d", "--until", "4.5d"), 6),
        (("--limit", 2), 2),
    ],
)
def test_requests_are_filtered(hookfuse: Hookfuse, world: World, words: tuple[object, ...], count: int) -> None:
    assert len(hookfuse("requests", "--json", *words).json) == count


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--limit", 101), ExitCode.USAGE),
        (("--since", "yesterday"), ExitCode.BAD_INPUT),
        (("--installation", "ffffff"), ExitCode.NOT_FOUND),
    ],
)
def test_a_filter_that_makes_no_sense_is_one_line(
    hookfuse: Hookfuse, world: World, words: tuple[object, ...], code: int
) -> None:
    ended = hookfuse("requests", *words)

    assert (ended.code, ended.out, ended.err.count("\n")) == (code, "", 1)


def test_nothing_found_is_said(hookfuse: Hookfuse, world: World) -> None:
    assert hookfuse("requests", "--event", "issue.created").out == "no request to show\n"
    assert hookfuse("requests", "--event", "issue.created", "--json").out == "[]\n"


@pytest.mark.parametrize(("limit", "is_said"), [(1, True), (100, False)])
def test_it_is_said_where_there_may_be_more(hookfuse: Hookfuse, world: World, limit: int, is_said: bool) -> None:
    ended = hookfuse("requests", "--limit", limit)

    assert (ended.err == "hookfuse: that is as many as are shown at once: see a larger --limit\n") is is_said
    assert hookfuse("requests", "--limit", limit, "--json").err == ""


def test_a_table_in_a_pipe_is_not_cut_off(hookfuse: Hookfuse, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")

    line = hookfuse("requests", "--errors", "--limit", 2).out.splitlines()[2]

    assert line.split()[:5] == ["2025-02-04T12:00:00Z", "6", CHAT, "metric_alert.critical", "1"]
    assert line.endswith("server_error: 500 Internal\\x1b[2J Server Error  https://chat.example/hook")


def test_the_tables_say_which_case_of_a_class_it_was(hookfuse: Hookfuse, world: World) -> None:
    with world.store() as store:
        record(store, attempt(DeliveryFailed, error_class="protocol", fault="reset", app_id=5), installation_id=PAGER)

    assert "  protocol (reset)" in hookfuse("requests", "--installation", PAGER, "--limit", 1).out
    assert "  protocol (reset)" in hookfuse("show", PAGER).out
