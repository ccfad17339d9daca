"""`hookfuse replay what-if`: another policy's March beside the one that was."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from console.shell.exit_codes import ExitCode
from eventstore.common.clock import ManualClock
from eventstore.home.folder import Home
from eventstore.policies.policy import POLICIES
from eventstore.policies.policy_file import policy_text
from tests.console.a_march import installation_id, live_a_march
from tests.console.conftest import Hookfuse, World

_DOCS = Path(__file__).parents[4] / "docs"
AFTERWARDS = datetime(2026, 6, 1, tzinfo=UTC)
PAGER, CHAT, SHOP, MAIL = (installation_id(app_id) for app_id in (1, 2, 3, 4))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Live through the month once; nothing here changes it."""
    home = Home(tmp_path_factory.mktemp("march") / "home")
    live_a_march(home)
    return home.path


@pytest.fixture
def strict(tmp_path: Path) -> Path:
    own = (_DOCS / "own-policies.md").read_text(encoding="utf-8")
    path = tmp_path / "strict.toml"
    path.write_text(own.partition("```toml\n")[2].partition("```")[0], encoding="utf-8")
    return path


def test_the_example_of_the_docs_is_what_the_command_says(hookfuse: Hookfuse, home: Path, strict: Path) -> None:
    ended = hookfuse("replay", "what-if", "--policy", strict, home=home)
    said = (_DOCS / "what-if.md").read_text(encoding="utf-8").partition("```text\n")[2].partition("```")[0]

    assert ended.code == 0
    assert ended.out == said


def test_by_the_policy_that_it_was_nothing_differs(hookfuse: Hookfuse, home: Path) -> None:
    ended = hookfuse("replay", "what-if", "--policy", "balanced", home=home)

    assert "disabled        2 would have been, 2 actually were" in ended.out
    assert ended.out.endswith("what differs\nnothing: everything would have gone as it did\n")


def test_a_copy_of_a_policy_in_a_file_is_that_policy(hookfuse: Hookfuse, home: Path, tmp_path: Path) -> None:
    (tmp_path / "copy.toml").write_text(policy_text(POLICIES["sentry-2024"]))
    by_name, by_file = (
        hookfuse("replay", "what-if", "--policy", name, home=home) for name in ("sentry-2024", tmp_path / "copy.toml")
    )

    assert by_name.out == by_file.out
    assert "avoided         115 deliveries that were actually missed" in by_name.out


def test_a_program_gets_every_installation_with_its_episodes(hookfuse: Hookfuse, home: Path, strict: Path) -> None:
    told = hookfuse("replay", "what-if", "--policy", strict, "--json", home=home).json

    assert (told["policy"], told["policy_version"], told["since"]) == ("strict", 1, None)
    assert told["summary"] == {
        "evaluated": 4,
        "different": 2,
        "disabled": 3,
        "actually_disabled": 2,
        "warned": 2,
        "actually_warned": 2,
        "missed": 112,
        "avoided": 0,
        "delivered": 5,
        "attempts_saved": 112,
    }
    assert [(one["installation_id"], one["is_different"]) for one in told["installations"]] == [
        (PAGER, False),
        (CHAT, True),
        (SHOP, True),
        (MAIL, False),
    ]
    chat = told["installations"][1]
    assert chat["app"] == {"id": 2, "slug": "chat"}
    first, second = chat["episodes"]
    assert (first["disabled"]["at"], first["disabled"]["rule"]) == ("2026-03-11T03:00:00.000000Z", "no-success")
    assert first["disabled"]["explanation"].startswith("no success within 5 days, 17 failures over 5 days")
    assert (first["actually_disabled"]["at"], first["missed"]) == ("2026-03-13T03:00:00.000000Z", 8)
    assert [one["level"] for one in first["warned"]] == [50, 90]
    assert (second["begins_at"], second["disabled"]) == ("2026-03-22T09:00:00.000000Z", None)


def test_positions_lead_to_the_events_that_they_name(hookfuse: Hookfuse, home: Path, strict: Path) -> None:
    told = hookfuse("replay", "what-if", "--policy", strict, "--json", CHAT, home=home).json
    ended, actually = (told["installations"][0]["episodes"][0][name] for name in ("disabled", "actually_disabled"))
    after = hookfuse("events", "--after", ended["position"] - 1, "--limit", 1, "--json", home=home).json
    decided = hookfuse("events", "--after", actually["position"] - 1, "--limit", 1, "--json", home=home).json

    assert (after[0]["type"], after[0]["recorded_at"]) == ("delivery.failed", ended["at"])
    assert (decided[0]["type"], decided[0]["recorded_at"]) == ("installation.disabled", actually["at"])


def test_of_some_installations_only_they_are_told(hookfuse: Hookfuse, home: Path, strict: Path) -> None:
    ended = hookfuse("replay", "what-if", "--policy", strict, "3c1f0a52", PAGER, home=home)

    assert "installations   2, of which 1 would have gone differently" in ended.out
    assert SHOP in ended.out
    assert CHAT not in ended.out


def test_since_a_moment_it_is_supposed_from_there_on(
    hookfuse: Hookfuse, home: Path, strict: Path, clock: ManualClock
) -> None:
    clock.moment = AFTERWARDS
    ended = hookfuse("replay", "what-if", "--policy", strict, "--since", "2026-03-20", home=home)

    assert "since           2026-03-20T00:00:00Z" in ended.out
    assert "disabled 2026-03-24T03:00:00Z by no-success" in ended.out
    assert "disabled        1 would have been, 0 actually were" in ended.out


def test_since_a_moment_after_the_last_event_there_is_nothing(
    hookfuse: Hookfuse, home: Path, strict: Path, clock: ManualClock
) -> None:
    clock.moment = AFTERWARDS
    ended = hookfuse("replay", "what-if", "--policy", strict, "--since", "2026-05-01", home=home)

    assert ended.code == 0
    assert ended.out.endswith("what differs\nthere is nothing to evaluate\n")


def test_who_may_be_disabled_and_warned_is_what_the_home_says(
    hookfuse: Hookfuse, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOOKFUSE_WARNINGS__ENABLED", "false")
    told = hookfuse("replay", "what-if", "--policy", "balanced", "--json", home=home).json

    assert (told["summary"]["warned"], told["summary"]["actually_warned"]) == (0, 2)
    assert told["summary"]["disabled"] == 2


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ((), ExitCode.USAGE),
        (("--policy", "stricter"), ExitCode.NOT_FOUND),
        (("--policy", "stricter.toml"), ExitCode.BAD_INPUT),
        (("--policy", "balanced", "--since", "yesterday"), ExitCode.BAD_INPUT),
        (("--policy", "balanced", "nobody"), ExitCode.BAD_INPUT),
        (("--policy", "balanced", "9c1f0a52-0000-4000-8000-000000000001"), ExitCode.NOT_FOUND),
    ],
)
def test_what_cannot_be_asked_is_one_line_and_an_exit_code(
    hookfuse: Hookfuse, home: Path, words: tuple[str, ...], code: ExitCode
) -> None:
    ended = hookfuse("replay", "what-if", *words, home=home)

    assert (ended.code, ended.out) == (code, "")
    assert len(ended.err.splitlines()) == 1


def test_without_a_home_it_says_so(hookfuse: Hookfuse, tmp_path: Path) -> None:
    assert hookfuse("replay", "what-if", "--policy", "balanced", home=tmp_path / "none").code == ExitCode.HOME


def test_asking_changes_nothing(hookfuse: Hookfuse, home: Path, strict: Path) -> None:
    before = hookfuse("events", "--newest", "--limit", 1, "--json", home=home).out
    hookfuse("replay", "what-if", "--policy", strict, home=home)

    assert hookfuse("events", "--newest", "--limit", 1, "--json", home=home).out == before


def test_what_was_recorded_after_until_is_left_out(hookfuse: Hookfuse, world: World) -> None:
    def actually_disabled(*period: str) -> int:
        told = hookfuse("replay", "what-if", "--policy", "balanced", *period, "--json").json
        return int(told["summary"]["actually_disabled"])

    assert world.home.path.is_dir()
    assert actually_disabled() == 1
    assert actually_disabled("--until", "2025-02-08T11:59") == 0
    assert hookfuse("replay", "what-if", "--policy", "balanced", "--since", "1d", "--until", "2d").code == 3
