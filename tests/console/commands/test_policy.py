"""`hookfuse policy`, and a home that is evaluated by a policy of its own."""

from pathlib import Path

import pytest

from console.shell.exit_codes import ExitCode
from eventstore.policies.policy import POLICIES
from eventstore.policies.policy_file import read_policy_document
from tests.console.conftest import CHAT, PAGER, SHOP, Hookfuse, World

MINE = """
name = "mine"
version = 3
window_days = 5
errors = ["server_error"]

[[rules]]
kind = "no_success"
name = "quiet"
failures_min = 6
failing_days_min = 2
"""
IDLE = """
[[rules]]
kind = "streak"
name = "a-week"
days = 7

[[rules]]
kind = "day"
name = "share"
timeout_min = 10
timeout_share_above = 0.125
fatal_min = 1
"""


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    path = tmp_path / "mine.toml"
    path.write_text(MINE)
    return path


@pytest.mark.parametrize("name", sorted(POLICIES))
def test_what_is_shown_can_be_saved_and_read_back(hookfuse: Hookfuse, tmp_path: Path, name: str) -> None:
    ended = hookfuse("policy", "show", name)
    (tmp_path / "copy.toml").write_text(ended.out)

    assert ended.code == 0
    assert read_policy_document(tmp_path / "copy.toml") == POLICIES[name]
    assert hookfuse("policy", "check", tmp_path / "copy.toml").out == hookfuse("policy", "check", name).out


def test_without_a_name_that_of_the_home_is_shown(hookfuse: Hookfuse, world: World) -> None:
    assert hookfuse("policy", "show").out == hookfuse("policy", "show", "balanced").out

    (world.home.path / "mine.toml").write_text(MINE)
    world.home.configuration.write_text('[policy]\nfile = "mine.toml"\n')

    assert hookfuse("policy", "show").out.startswith('name = "mine"\nversion = 3\n')


def test_a_policy_without_a_fault_is_said_to_be_all_right(hookfuse: Hookfuse, mine: Path) -> None:
    ended = hookfuse("policy", "check", mine)

    assert ended.code == 0
    assert ended.out.splitlines() == [
        "policy    mine (version 3)",
        "window    today and the 4 days before",
        "errors    server_error",
        "410 Gone  is an answer like any other",
        "",
        "rule   fires  when",
        "quiet  yes    no success within the window, at least 6 failures over at least 2 days",
        "",
        "every rule can fire, and every limit counts",
    ]


def test_rules_that_can_never_fire_are_pointed_out_with_an_exit_code_of_their_own(
    hookfuse: Hookfuse, mine: Path
) -> None:
    mine.write_text(MINE + IDLE)
    ended = hookfuse("policy", "check", mine)

    assert ended.code == ExitCode.FAULT_FOUND
    assert "a-week  never    7 days in a row, today the last, have errors and no success" in ended.out
    assert "at least 10 time-outs, more than 12.5% of its attempts" in ended.out
    assert ended.out.splitlines()[-2:] == [
        "rule a-week: days is 7, and the window has 5 days",
        "rule share: fatal_min: nothing records a fatal outcome, only imported counts can have one",
    ]


def test_a_program_gets_rules_and_faults(hookfuse: Hookfuse, mine: Path) -> None:
    mine.write_text(MINE + IDLE)
    ended = hookfuse("policy", "check", mine, "--json")

    assert ended.code == 11
    assert ended.json["rules"] == [
        {"name": "quiet", "kind": "no_success", "fires": "yes"},
        {"name": "a-week", "kind": "streak", "fires": "never"},
        {"name": "share", "kind": "day", "fires": "in part"},
    ]
    assert [(fault["rule"], fault["fires"]) for fault in ended.json["faults"]] == [
        ("a-week", "never"),
        ("share", "in part"),
    ]
    assert (ended.json["policy"], ended.json["policy_version"], ended.json["window_days"]) == ("mine", 3, 5)


def test_a_policy_that_never_does_anything_is_pointed_out(hookfuse: Hookfuse, mine: Path) -> None:
    mine.write_text(MINE.partition("[[")[0] + "rules = []\n")
    ended = hookfuse("policy", "check", mine)

    assert ended.code == 11
    assert ended.out.endswith("the policy: it has no rules, and gone_disables is false: nobody is warned or disabled\n")


def test_what_is_no_policy_ends_with_bad_input_and_names_file_and_place(hookfuse: Hookfuse, mine: Path) -> None:
    mine.write_text(MINE.replace("failures_min = 6", "failures_min = 0"))
    ended = hookfuse("policy", "check", mine)

    assert (ended.code, ended.out) == (ExitCode.BAD_INPUT, "")
    assert ended.err == f"hookfuse: {mine}: rule 1 ('quiet'), failures_min: it is between 1 and 1000000000\n"


def test_a_policy_that_there_is_not_ends_with_not_found(hookfuse: Hookfuse) -> None:
    ended = hookfuse("policy", "check", "strictest")

    assert ended.code == ExitCode.NOT_FOUND
    assert "the policies are: balanced, sentry-2024" in ended.err


def test_checking_needs_no_home(hookfuse: Hookfuse, tmp_path: Path) -> None:
    assert hookfuse("policy", "check", "balanced", home=tmp_path / "nowhere").code == 0
    assert not (tmp_path / "nowhere").exists()


@pytest.fixture
def own(world: World) -> World:
    (world.home.path / "mine.toml").write_text(MINE)
    world.home.configuration.write_text('[policy]\nfile = "mine.toml"\n')
    return world


def test_all_that_judge_go_by_the_policy_of_the_home(hookfuse: Hookfuse, own: World) -> None:
    status, shown = hookfuse("status", "--json").json, hookfuse("show", SHOP, "--json").json
    why = hookfuse("why", SHOP, "--json").json

    assert (status["policy"], status["policy_version"]) == ("mine", 3)
    assert (shown["evaluation"]["policy"], shown["evaluation"]["policy_version"]) == ("mine", 3)
    assert (why["policy"], why["policy_version"]) == ("mine", 3)
    assert {near["rule"] for near in status["in_trouble"]} <= {"quiet"}


def test_a_person_s_disabling_has_the_counts_of_the_home_s_policy(hookfuse: Hookfuse, own: World) -> None:
    hookfuse("disable", PAGER, "--reason", "moving")

    (disabled,) = hookfuse("events", "--installation", PAGER, "--type", "installation.disabled", "--json").json
    evidence = disabled["data"]["evidence"]
    assert (evidence["policy"], evidence["policy_version"]) == ("mine", 3)


def test_what_was_decided_by_another_policy_is_told_by_that_one(hookfuse: Hookfuse, own: World) -> None:
    why = hookfuse("why", CHAT, "--json").json

    assert (why["policy"], why["rule"]) == ("balanced", "no-success")
    assert why["remediation"].endswith("would have prevented it.")


def test_a_home_whose_policy_cannot_be_read_says_so_and_judges_nothing(hookfuse: Hookfuse, own: World) -> None:
    (own.home.path / "mine.toml").write_text(MINE.replace("quiet", "Quiet!"))

    for command in (("status",), ("show", SHOP), ("why", SHOP), ("policy", "show")):
        ended = hookfuse(*command)
        assert (ended.code, ended.out) == (ExitCode.BAD_INPUT, "")
        assert "mine.toml: rule 1 ('Quiet!'), name: it has 1 to 64" in ended.err


def test_the_example_of_the_docs_is_checked_as_the_docs_say(hookfuse: Hookfuse, tmp_path: Path) -> None:
    section = (Path(__file__).parents[3] / "docs" / "own-policies.md").read_text(encoding="utf-8")
    text, said = section.partition("```toml\n")[2].partition("```")[0], section.partition("```text\n")[2]
    (tmp_path / "strict.toml").write_text(text, encoding="utf-8")

    assert hookfuse("policy", "check", tmp_path / "strict.toml").out == said.partition("```")[0]


@pytest.mark.parametrize(
    ("settings", "is_noted"),
    [
        ("", True),
        ("[breaker]\nenabled = false\n", False),
        ("[breaker]\ndry_run = true\n", False),
        ("[breaker]\nopen_s = 80\nopen_max_s = 80\n", False),
    ],
)
@pytest.mark.parametrize("name", ["balanced", "sentry-2024"])
def test_what_the_breaker_leaves_out_of_reach_is_noted_and_is_no_fault(
    hookfuse: Hookfuse, world: World, name: str, settings: str, is_noted: bool
) -> None:
    world.home.configuration.write_text(settings)
    before = hookfuse("policy", "check", name)
    notes = hookfuse("policy", "check", name, "--json").json["notes"]

    assert [one["rule"] for one in notes] == ["timeout-day"] * is_noted
    assert ("note on rule timeout-day" in before.out) is is_noted
    assert before.code == (0 if name == "balanced" else 11)
    assert hookfuse("replay", "what-if", "--policy", name, "--json").json["notes"] == notes
