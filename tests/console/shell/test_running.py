"""What is said of settings is what the running daemon goes by; what it has not read yet is said beside it."""

import os
from collections.abc import Iterator

import pytest
from msgspec import structs

from console.doctor.checkup import check_home
from console.shell.session import open_session
from eventstore.policies.policy import BALANCED
from eventstore.settings.configuration import Configuration, configuration_of
from eventstore.settings.daemon_report import DaemonReport, digests_of, write_report
from tests.console.conftest import SHOP, Hookfuse, World

STRICT = structs.replace(BALANCED, name="strict", version=7)


@pytest.fixture
def daemon(world: World) -> Iterator[World]:
    """Run a daemon by another policy and without warnings, while the home's settings are the defaults."""
    running = configuration_of({"warnings": {"enabled": False}})
    with world.home.ownership.held():
        write_report(world.home.report, DaemonReport(os.getpid(), 0, STRICT, "all", digests_of(running)))
        yield world


def test_status_names_the_policy_of_the_daemon_and_what_the_settings_say(hookfuse: Hookfuse, daemon: World) -> None:
    told = hookfuse("status").out

    assert "policy          strict (version 7)" in told
    assert "the settings have policy balanced (version 1), while the daemon uses strict (version 7)" in told
    assert "[warnings]" in told
    assert "restart it" in hookfuse("status", "--json").json["pending_settings"]


def test_why_judges_by_the_policy_and_the_scope_of_the_daemon(hookfuse: Hookfuse, daemon: World) -> None:
    told = hookfuse("why", SHOP).out

    assert "strict, version 7" in told
    assert "not by the machine" not in told, "the daemon disables published apps too"
    assert "while the daemon uses strict" in told


def test_doctor_warns_of_settings_that_the_daemon_has_not_read(daemon: World) -> None:
    findings = check_home(open_session(daemon.home.path), lambda _configuration, _connection: ())

    assert [one.level for one in findings if "while the daemon uses" in one.text] == ["warning"]


def test_without_a_daemon_or_where_both_agree_nothing_is_said(hookfuse: Hookfuse, world: World) -> None:
    assert hookfuse("status", "--json").json["pending_settings"] == ""
    with world.home.ownership.held():
        same = DaemonReport(os.getpid(), 0, BALANCED, "internal", digests_of(Configuration()))
        write_report(world.home.report, same)
        assert hookfuse("status", "--json").json["pending_settings"] == ""


def test_no_digest_is_made_of_what_may_be_secret() -> None:
    assert not {"smtp", "redis", "queue"} & digests_of(Configuration()).keys()
