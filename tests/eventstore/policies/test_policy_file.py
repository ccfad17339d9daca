"""Policies as files: what is taken at the border, how they are written back, and which one a home has."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from eventstore.errors import ConfigurationError, DocumentError, NotFoundError
from eventstore.home.folder import Home
from eventstore.policies.policy import BALANCED, POLICIES, SENTRY_2024, DayRule, NoSuccessRule, Policy, StreakRule
from eventstore.policies.policy_file import given_policy, policy_text, read_policy_document
from eventstore.settings.chosen_policy import configured_policy
from eventstore.settings.configuration import load_configuration
from tests.eventstore.policy_strategies import policies

MINE = """
name = "mine"
version = 3
window_days = 5
errors = ["client_error", "server_error"]
gone_disables = true

[[rules]]
kind = "day"
name = "timeouts"
timeout_min = 20
timeout_share_above = 0.25

[[rules]]
kind = "streak"
name = "streak"
days = 4

[[rules]]
kind = "no_success"
name = "silence"
failures_min = 6
failing_days_min = 2
"""


def read_text(folder: Path, text: str | bytes) -> Policy:
    path = folder / "policy.toml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_policy_document(path)


def fault_of(folder: Path, text: str | bytes) -> str:
    with pytest.raises(DocumentError) as caught:
        read_text(folder, text)
    assert str(caught.value).startswith(f"{folder / 'policy.toml'}: ")
    return str(caught.value).removeprefix(f"{folder / 'policy.toml'}: ")


def test_a_file_is_read_as_it_stands_there(tmp_path: Path) -> None:
    assert read_text(tmp_path, MINE) == Policy(
        name="mine",
        version=3,
        window_days=5,
        errors=("client_error", "server_error"),
        rules=(
            DayRule("timeouts", timeout_min=20, timeout_share_above=0.25),
            StreakRule("streak", days=4),
            NoSuccessRule("silence", failures_min=6, failing_days_min=2),
        ),
        gone_disables=True,
    )


@pytest.mark.parametrize("policy", POLICIES.values(), ids=lambda policy: policy.name)
def test_a_policy_that_ships_is_written_and_read_back_as_itself(tmp_path: Path, policy: Policy) -> None:
    assert read_text(tmp_path, policy_text(policy)) == policy


@given(policies())
def test_what_is_written_is_read_back_the_same(tmp_path_factory: pytest.TempPathFactory, policy: Policy) -> None:
    assert read_text(tmp_path_factory.getbasetemp(), policy_text(policy)) == policy


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ('name = "mine"', "", "name"),
        ('name = "mine"', 'name = ""', "name: it has 1 to 64"),
        ('name = "mine"', 'name = "Mine"', "name: it has 1 to 64"),
        ('name = "mine"', 'name = "a b"', "name: it has 1 to 64"),
        ('name = "mine"', 'name = "mine\\n"', "name: it has 1 to 64"),
        ('name = "mine"', f'name = "{"x" * 65}"', "name: it has 1 to 64"),
        ('name = "mine"', "name = 1", "$.name"),
        ("version = 3", "version = 0", "version: it is between 1 and"),
        ("version = 3", "version = true", "$.version"),
        ("version = 3", f"version = {10**30}", "version"),
        ("window_days = 5", "window_days = 0", "window_days: it is between 1 and 366"),
        ("window_days = 5", "window_days = 367", "window_days: it is between 1 and 366"),
        ("window_days = 5", "window_days = 5.5", "$.window_days"),
        ('"server_error"', '"gone"', "errors: 'gone' is not an error class; there are: redirect, client_error,"),
        ('"server_error"', '"success"', "errors: 'success' is not an error class"),
        ('"server_error"', '"client_error"', "errors: client_error is given twice"),
        ("window_days = 5", "window_days = 5\nwindow = 5", "window"),
        ('kind = "day"', 'kind = "week"', "$.rules[0].kind"),
        ('kind = "day"', "", "$.rules[0]"),
        ('name = "streak"', 'name = "timeouts"', "rules: two have the name 'timeouts'"),
        ('name = "streak"', 'name = "receiver"', "rule 2 ('receiver'), name: it says who decided"),
        ('name = "streak"', 'name = "person"', "rule 2 ('person'), name: it says who decided"),
        ('name = "streak"', 'name = "-"', "rule 2 ('-'), name: it has 1 to 64"),
        ("timeout_min = 20", "timeout_min = 0", "rule 1 ('timeouts'), timeout_min: it is between 1 and"),
        ("timeout_min = 20", "timeout_min = -1", "rule 1 ('timeouts'), timeout_min: it is between 1 and"),
        ("timeout_min = 20", "fatal_min = 1000000001", "rule 1 ('timeouts'), fatal_min: it is between 1 and"),
        ("timeout_share_above = 0.25", "timeout_share_above = nan", "timeout_share_above: it is between 0 and 1"),
        ("timeout_share_above = 0.25", "timeout_share_above = inf", "timeout_share_above: it is between 0 and 1"),
        ("timeout_share_above = 0.25", "timeout_share_above = 50", "timeout_share_above: it is between 0 and 1"),
        ("timeout_share_above = 0.25", "timeout_share_above = -0.5", "timeout_share_above: it is between 0 and 1"),
        ("days = 4", "days = 0", "rule 2 ('streak'), days: it is between 1 and 366"),
        ("days = 4", "days = 367", "rule 2 ('streak'), days: it is between 1 and 366"),
        ("days = 4", "day = 4", "$.rules[1]"),
        ("failures_min = 6", "failures_min = 0", "rule 3 ('silence'), failures_min: it is between 1 and"),
        ("failing_days_min = 2", "failing_days_min = 0", "rule 3 ('silence'), failing_days_min: it is between 1"),
        ("failing_days_min = 2", 'failing_days_min = "2"', "$.rules[2].failing_days_min"),
    ],
)
def test_what_is_outside_the_limits_is_refused_with_its_place(tmp_path: Path, old: str, new: str, fault: str) -> None:
    assert MINE.count(old) >= 1

    assert fault in fault_of(tmp_path, MINE.replace(old, new, 1))


def test_more_rules_than_anybody_needs_are_refused(tmp_path: Path) -> None:
    rules = [f'[[rules]]\nkind = "streak"\nname = "r{number}"\ndays = 1\n' for number in range(33)]
    head = MINE.partition("[[rules]]")[0]

    assert read_text(tmp_path, head + "".join(rules[:32])).rules[31].name == "r31"
    assert fault_of(tmp_path, head + "".join(rules)) == "rules: there are more than 32"


@pytest.mark.parametrize("changes", [{"version": 2}, {"window_days": 8}, {"gone_disables": False}, {"rules": ()}])
def test_another_policy_under_a_name_that_ships_is_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    fields = {name: getattr(BALANCED, name) for name in BALANCED.__struct_fields__} | changes

    assert fault_of(tmp_path, policy_text(Policy(**fields))).startswith("name: balanced ships with hookfuse")


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"name = ", "not TOML: "),
        (b"# caf\xe9", "not UTF-8 text: "),
        (b"#" * 65_537, "over 65,536 bytes, which is the most that is read"),
        (b"a = " + b"[" * 30_000, "not TOML: nested too deeply"),
        (b"", "Object missing required field `name`"),
    ],
    ids=["no TOML", "no UTF-8", "too large", "too deep", "empty"],
)
def test_what_is_no_policy_file_is_explained(tmp_path: Path, content: bytes, fault: str) -> None:
    assert fault_of(tmp_path, content).startswith(fault)


@pytest.mark.parametrize("name", [".", "nowhere.toml", "x" * 300, "x\0y"])
def test_what_cannot_be_read_at_all_is_explained(tmp_path: Path, name: str) -> None:
    with pytest.raises(DocumentError, match=r"this cannot be read as a file|cannot be read: "):
        read_policy_document(tmp_path / name)


def test_a_name_that_ships_is_given_before_a_file_of_that_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "balanced").write_text(MINE)

    assert given_policy("balanced") == BALANCED
    assert given_policy("sentry-2024") == SENTRY_2024
    assert given_policy("./balanced").name == "mine"


def test_a_file_is_given_by_its_path_whatever_its_ending(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "strict").write_text(MINE)
    (tmp_path / "strict.toml").write_text(MINE)

    assert given_policy("strict").name == given_policy(str(tmp_path / "strict.toml")).name == "mine"


def test_what_is_neither_a_policy_nor_a_file_is_not_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    with pytest.raises(NotFoundError, match="no policy and no file 'strict'; the policies are: balanced, sentry-2024"):
        given_policy("strict")
    for text in ("strict.toml", "a/strict", "x" * 5_000, "a\0b", ""):
        with pytest.raises(DocumentError):
            given_policy(text)


def test_a_home_without_a_word_about_it_has_balanced(home: Home) -> None:
    assert configured_policy(home, load_configuration(home.configuration).policy) == BALANCED


def test_a_file_is_looked_for_from_the_home_on(home: Home, tmp_path: Path) -> None:
    (home.path / "mine.toml").write_text(MINE)
    home.configuration.write_text('[policy]\nfile = "mine.toml"\n')

    assert configured_policy(home, load_configuration(home.configuration).policy).name == "mine"

    home.configuration.write_text(f'[policy]\nfile = "{tmp_path / "elsewhere.toml"}"\n')
    (tmp_path / "elsewhere.toml").write_text(MINE.replace("mine", "other"))

    assert configured_policy(home, load_configuration(home.configuration).policy).name == "other"


def test_a_file_of_the_configuration_that_is_wrong_is_named(home: Home) -> None:
    home.configuration.write_text('[policy]\nfile = "mine.toml"\n')

    with pytest.raises(DocumentError, match=r"mine\.toml: cannot be read: No such file"):
        configured_policy(home, load_configuration(home.configuration).policy)


def test_a_name_and_a_file_exclude_each_other(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    home.configuration.write_text('[policy]\nname = "balanced"\nfile = "mine.toml"\n')
    with pytest.raises(ConfigurationError, match=r"policy: .*name and file are mutually exclusive"):
        load_configuration(home.configuration)

    home.configuration.write_text('[policy]\nfile = "mine.toml"\n')
    monkeypatch.setenv("HOOKFUSE_POLICY__NAME", "sentry-2024")
    with pytest.raises(ConfigurationError, match=r"policy: .*name and file are mutually exclusive"):
        load_configuration(home.configuration)
