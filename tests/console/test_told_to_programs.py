"""Each command that changes something tells a program what it did, as one JSON document."""

from pathlib import Path

from console.shell.exit_codes import ExitCode
from tests.console.conftest import CHAT, PAGER, SECRET, Hookfuse, World


def test_disable_and_enable_name_the_event_or_none(hookfuse: Hookfuse, world: World) -> None:
    disabled = hookfuse("disable", PAGER, "--reason", "moving", "--json").json
    again = hookfuse("disable", PAGER, "--reason", "moving", "--json").json
    enabled = hookfuse("enable", CHAT, "--reason", "fixed", "--recover", "--json").json

    assert disabled["installation_id"] == PAGER
    assert disabled["is_changed"]
    assert disabled["position"] > 0
    assert disabled["mails"] > 0
    assert again == {"installation_id": PAGER, "is_changed": False, "position": None, "mails": 0}
    assert enabled["is_changed"]
    assert enabled["recovering"] == len(world.missed_ids)


def test_an_enabling_whose_test_delivery_had_no_outcome_has_changed_nothing(hookfuse: Hookfuse, world: World) -> None:
    assert world.missed_ids
    ended = hookfuse("enable", CHAT, "--reason", "fixed", "--probe", "--timeout", "0.1", "--json")

    assert ended.code == ExitCode.PROBE_FAILED
    assert ended.json == {"installation_id": CHAT, "is_changed": False, "position": None}


def test_send_and_alert_name_what_they_queued(hookfuse: Hookfuse, world: World, tmp_path: Path) -> None:
    assert world.home.path.is_dir()
    batch = tmp_path / "batch.jsonl"
    batch.write_text(f'{{"installation": "{PAGER}", "event": "issue.created", "data": {{}}, "idempotency_key": "k"}}\n')
    one = ("--incident", 3, "--action", 9, "--status", "open", "--attachment", "-", "--json")

    sent = hookfuse(
        "send", "--installation", PAGER[:8], "--event", "issue.created", "--data", "-", "--json", stdin="{}"
    )
    batched = [hookfuse("send", "--batch", batch, "--json").json for _ in range(2)]
    alerted = hookfuse("alert", "--app", "pager", "--organization", 17, *one, stdin="{}").json

    assert sent.json["installation_id"] == PAGER
    assert sent.json["delivery_id"] in hookfuse("deliveries", "--state", "waiting").out
    assert batched == [{"queued": 1, "duplicates": 0}, {"queued": 0, "duplicates": 1}]
    assert alerted == {"event": "metric_alert.open", "app_id": 5, "installation_id": PAGER}


def test_resend_and_drop_count(hookfuse: Hookfuse, world: World) -> None:
    resent = hookfuse("deliveries", "resend", world.dead_id, "--json").json
    missed = hookfuse(
        "deliveries", "drop", "--installation", CHAT, "--state", "missed", "--reason", "old", "--json"
    ).json

    assert resent == {"resent": 1, "without_payload": 0}
    assert missed == {"dropped": len(world.missed_ids)}


def test_a_rotation_is_told_without_the_secret(hookfuse: Hookfuse, world: World) -> None:
    assert world.home.path.is_dir()
    ended = hookfuse("app", "rotate-secret", "pager", "--json")

    assert set(ended.json) == {"app_id", "secret_version", "overlap_until", "is_first"}
    assert SECRET not in ended.out


def test_backup_and_restore_say_where_and_how_much(hookfuse: Hookfuse, world: World, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"

    backed_up = hookfuse("backup", copy, "--json").json
    looked_at = hookfuse("backup", "--without-secrets", tmp_path / "looked-at.db", "--json").json
    restored = hookfuse("restore", copy, "--json").json

    assert backed_up["bytes"] == copy.stat().st_size
    assert (backed_up["has_secrets"], looked_at["has_secrets"]) == (True, False)
    assert restored["events"] == backed_up["events"] == looked_at["events"]
    assert Path(restored["kept"]).is_dir()
    assert restored["database"] == str(world.home.database)
