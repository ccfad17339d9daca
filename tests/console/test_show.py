from console.exit_codes import ExitCode
from tests.console.conftest import CHAT, HEADER_VALUE, PAGER, SECRET, Hookfuse, World


def test_show_json_holds_all_about_an_installation(hookfuse: Hookfuse, world: World) -> None:
    found = hookfuse("show", CHAT, "--json").json

    assert found["installation_id"] == CHAT
    assert found["app"]["id"] == 6
    assert found["app"]["slug"] == "chat"
    assert found["app"]["webhook_url"] == "https://chat.example/hook"
    assert found["app"]["status"] == "internal"
    assert found["organization"] == {
        "organization_id": 17,
        "slug": "acme",
        "name": "Acme",
        "url": "https://acme.example",
        "owners": ["ann@acme.example"],
    }
    assert (found["state"], found["since"]) == ("disabled", "2025-02-08T12:00:00.000000Z")
    assert found["deliveries"] == {"waiting": 0, "missed": 3, "dead": 0}
    assert len(found["requests"]) == 5


def test_the_buffer_has_the_days_with_traffic_as_the_policy_counts_them(hookfuse: Hookfuse, world: World) -> None:
    buffer = hookfuse("show", CHAT, "--json").json["buffer"]

    assert [day["day"] for day in buffer] == ["2025-02-02", "2025-02-03", "2025-02-04"]
    assert buffer[0] == {
        "day": "2025-02-02",
        "success": 0,
        "error": 4,
        "timeout": 0,
        "redirect": 0,
        "client_error": 0,
        "rate_limited": 0,
        "server_error": 4,
        "protocol": 0,
        "fatal": 0,
    }
    world.home.configuration.write_text('[policy]\nname = "sentry-2024"\n')
    assert hookfuse("show", CHAT, "--json").json["buffer"][0]["error"] == 0


def test_the_buffer_is_of_the_policys_window(hookfuse: Hookfuse, world: World) -> None:
    world.clock.advance(days=2)

    assert [day["day"] for day in hookfuse("show", CHAT, "--json").json["buffer"]] == ["2025-02-04"]


def test_the_verdict_says_why(hookfuse: Hookfuse, world: World) -> None:
    verdict = hookfuse("show", CHAT, "--json").json["verdict"]

    assert verdict == {
        "is_broken": True,
        "rule": "no-success",
        "explanation": "no success within 7 days, 12 failures over 3 days (the limit is 10 over 3)",
        "nearness": 1.0,
        "policy": "balanced",
        "policy_version": 1,
    }


def test_a_disabling_is_shown_with_its_evidence(hookfuse: Hookfuse, world: World) -> None:
    disabled = hookfuse("show", CHAT, "--json").json["disabled"]

    assert (disabled["cause"], disabled["by"], disabled["policy"]) == ("policy", "system", "balanced")
    assert (disabled["rule"], disabled["position"]) == ("no-success", 26)
    assert disabled["at"] == "2025-02-08T12:00:00.000000Z"
    assert [day["server_error"] for day in disabled["evidence"]["days"]] == [4, 4, 4]
    assert disabled["evidence"]["last_failure"]["status_code"] == 500
    assert hookfuse("show", PAGER, "--json").json["disabled"] is None


def test_a_person_sees_the_same(hookfuse: Hookfuse, world: World) -> None:
    shown = hookfuse("show", CHAT).out

    assert "state           disabled since 2025-02-08T12:00:00Z\n" in shown
    assert "decided by      rule no-success of policy balanced, version 1\n" in shown
    assert "last failure    event 24, 2025-02-04T12:00:00Z: 500 server_error: [bold]oops[/bold]\\x1b[2J\n" in shown
    assert "2025-02-04        0      4        0             4\n" in shown


def test_no_secret_is_shown(hookfuse: Hookfuse, world: World) -> None:
    shown = hookfuse("show", PAGER).out + hookfuse("show", PAGER, "--json").out

    assert SECRET not in shown
    assert HEADER_VALUE not in shown
    assert "X-Token" in shown


def test_an_installation_without_traffic_is_shown(hookfuse: Hookfuse, world: World) -> None:
    world.clock.advance(days=40)

    shown = hookfuse("show", PAGER).out

    assert "no traffic in the window" in shown
    assert "last requests\nnone yet\n" in shown


def test_a_removed_installation_is_shown(hookfuse: Hookfuse, world: World) -> None:
    registry = world.home.path / "registry.toml"
    registry.write_text("")
    hookfuse("apply", registry, "--prune")

    assert hookfuse("show", PAGER, "--json").json["state"] == "removed"


def test_the_beginning_of_an_id_is_enough_where_it_is_unique(hookfuse: Hookfuse, world: World) -> None:
    assert hookfuse("show", "7C1F0A5", "--json").json["installation_id"] == PAGER
    ambiguous = hookfuse("show", "7c1f0a")
    unknown = hookfuse("show", "ffffff")

    assert (ambiguous.code, unknown.code) == (ExitCode.BAD_INPUT, ExitCode.NOT_FOUND)
    assert "several installations start with 7c1f0a" in ambiguous.err
