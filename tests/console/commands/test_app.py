import base64
import logging
from pathlib import Path

import pytest

from console.shell.exit_codes import ExitCode
from eventstore.projections.app_secrets import AppSecrets, read_secrets, signing_secrets
from tests.console.conftest import SECRET, Hookfuse, World

NEW = "the-new-secret-that-nobody-may-see"


def kept(world: World) -> AppSecrets:
    with world.store() as store:
        found = read_secrets(store.connection, 5)
    assert found is not None
    return found


def signing(world: World) -> tuple[str, ...]:
    return signing_secrets(kept(world), world.clock.now())


def audit_events(hookfuse: Hookfuse) -> list[tuple[str, str]]:
    return [(entry["event"], entry["actor"]) for entry in hookfuse("audit", "--json").json]


# --- rotate-secret ---


def test_rotating_says_until_when_both_sign_and_how_to_fetch_the_new_one(hookfuse: Hookfuse, world: World) -> None:
    ended = hookfuse("app", "rotate-secret", 5, "--by", "ann")

    assert (ended.code, ended.err) == (0, "")
    assert ended.out.splitlines() == [
        "rotated the client secret of app 5 (pager), now version 2",
        "the old and the new one both sign until 2025-02-09T12:00:00Z",
        "until then Sentry-Hook-Signature, which has room for one, is made with the old one",
        "to fetch the new one: hookfuse app secret 5 --to FILE",
    ]
    assert signing(world) == (SECRET, kept(world).client_secret)
    assert audit_events(hookfuse)[0] == ("sentry-app.rotate-secret", "person:ann")


@pytest.mark.parametrize(
    ("overlap", "until"),
    [
        ("90s", "2025-02-08T12:01:30Z"),
        ("30m", "2025-02-08T12:30:00Z"),
        ("1.5h", "2025-02-08T13:30:00Z"),
        ("7d", "2025-02-15T12:00:00Z"),
        (" 2w ", "2025-02-22T12:00:00Z"),
    ],
)
def test_an_overlap_is_as_long_as_a_person_says(hookfuse: Hookfuse, world: World, overlap: str, until: str) -> None:
    assert f"sign until {until}\n" in hookfuse("app", "rotate-secret", 5, "--overlap", overlap).out


@pytest.mark.parametrize("overlap", ["0", "0s"])
def test_without_an_overlap_the_old_secret_ends_at_once(hookfuse: Hookfuse, world: World, overlap: str) -> None:
    ended = hookfuse("app", "rotate-secret", 5, "--overlap", overlap)

    assert "the old one no longer signs anything" in ended.out
    assert signing(world) == (kept(world).client_secret,)


@pytest.mark.parametrize("overlap", ["", "24", "-1h", "1y", "1h30m", "2025-02-09", "nan", "1e3s"])
def test_what_is_no_duration_is_a_usage_error(hookfuse: Hookfuse, world: World, overlap: str) -> None:
    ended = hookfuse("app", "rotate-secret", 5, f"--overlap={overlap}")

    assert ended.code == ExitCode.USAGE
    assert "is not a duration such as" in ended.err
    assert kept(world).client_secret == SECRET


def test_too_long_an_overlap_is_refused(hookfuse: Hookfuse, world: World) -> None:
    ended = hookfuse("app", "rotate-secret", 5, "--overlap", "999999w")

    assert ended.code == ExitCode.BAD_INPUT
    assert ended.err == "hookfuse: an overlap is of 0 to 90 days\n"


@pytest.mark.parametrize("line_end", ["", "\n", "\r\n"])
def test_a_secret_comes_from_a_file_without_its_line_end(
    hookfuse: Hookfuse, world: World, tmp_path: Path, line_end: str
) -> None:
    (tmp_path / "new.secret").write_bytes(f"{NEW}{line_end}".encode())

    assert hookfuse("app", "rotate-secret", 5, "--secret-from", tmp_path / "new.secret").code == 0
    assert signing(world) == (SECRET, NEW)


def test_a_secret_comes_from_standard_input(hookfuse: Hookfuse, world: World) -> None:
    assert hookfuse("app", "rotate-secret", 5, "--secret-from", "-", stdin=f"{NEW}\n").code == 0
    assert signing(world) == (SECRET, NEW)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "standard input: a secret is one line of printable characters"),
        (b" \n", "standard input: a secret is one line of printable characters"),
        (NEW.encode() + b"\nsecond line\n", "standard input: a secret is one line of printable characters"),
        (NEW.encode() + b"\x00", "standard input: a secret is one line of printable characters"),
        (NEW.encode() + b"\xff", "standard input: not UTF-8 text"),
        (NEW.encode() * 1000, "standard input: over 8192 bytes, which is too long for a secret"),
    ],
)
def test_what_is_no_secret_is_refused_without_showing_it(
    hookfuse: Hookfuse, world: World, content: bytes, fault: str
) -> None:
    ended = hookfuse("app", "rotate-secret", 5, "--secret-from", "-", stdin=content)

    assert (ended.code, ended.out) == (ExitCode.BAD_INPUT, "")
    assert ended.err == f"hookfuse: {fault}\n"
    assert kept(world).client_secret == SECRET


def test_a_file_that_is_not_there_is_one_line(hookfuse: Hookfuse, world: World, tmp_path: Path) -> None:
    ended = hookfuse("app", "rotate-secret", 5, "--secret-from", tmp_path / "none")

    assert ended.code == ExitCode.BAD_INPUT
    assert ended.err == f"hookfuse: {tmp_path / 'none'}: cannot be read: No such file or directory\n"


def test_the_new_secret_is_fetched_as_the_old_one_was(hookfuse: Hookfuse, world: World, tmp_path: Path) -> None:
    hookfuse("app", "rotate-secret", 5)
    hookfuse("app", "secret", 5, "--to", tmp_path / "pager.secret")

    assert (tmp_path / "pager.secret").read_text() == kept(world).client_secret != SECRET


def test_a_secret_is_not_printed_by_a_dash_either(
    hookfuse: Hookfuse, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = hookfuse("app", "secret", 5, "--to", "-")

    assert ended.code == ExitCode.USAGE
    assert "a secret is never printed: name a file" in ended.err
    assert list(tmp_path.glob("-")) == []


@pytest.mark.parametrize("words", [("rotate-secret", 9), ("signing-key", 9)])
def test_an_unknown_app_is_not_found(hookfuse: Hookfuse, world: World, words: tuple[object, ...]) -> None:
    ended = hookfuse("app", *words)

    assert ended.code == ExitCode.NOT_FOUND
    assert ended.err == "hookfuse: app 9 is not known: see `hookfuse apply`\n"


@pytest.mark.parametrize("words", [("rotate-secret", 5), ("signing-key", 5)])
def test_a_running_daemon_is_woken(hookfuse: Hookfuse, world: World, words: tuple[object, ...]) -> None:
    doorbell = world.home.doorbell.listen()
    try:
        hookfuse("app", *words)
        assert doorbell.heard()
    finally:
        doorbell.close()


# --- signing-key ---


def test_a_signing_key_is_made_once_and_its_public_half_is_printed(hookfuse: Hookfuse, world: World) -> None:
    made, again = hookfuse("app", "signing-key", 5, "--by", "ann"), hookfuse("app", "signing-key", 5)
    public_key, note = made.out.splitlines()

    assert public_key.startswith("whpk_")
    assert len(base64.b64decode(public_key.removeprefix("whpk_"), validate=True)) == 32
    assert note == "created just now: deliveries of app 5 (pager) are signed with it (v1a)"
    assert again.out == f"{public_key}\n"
    assert audit_events(hookfuse).count(("sentry-app.add-signing-key", "person:ann")) == 1


def test_a_rotated_signing_key_is_another_one(hookfuse: Hookfuse, world: World) -> None:
    made = hookfuse("app", "signing-key", 5, "--json").json
    rotated = hookfuse("app", "signing-key", 5, "--rotate", "--json").json

    assert made == {"app_id": 5, "public_key": made["public_key"], "is_changed": True}
    assert rotated["is_changed"]
    assert rotated["public_key"] != made["public_key"]
    assert hookfuse("app", "signing-key", 5, "--json").json == rotated | {"is_changed": False}


def test_a_signing_key_that_is_removed_is_gone(hookfuse: Hookfuse, world: World) -> None:
    hookfuse("app", "signing-key", 5)

    assert hookfuse("app", "signing-key", 5, "--remove").out == "app 5 (pager) no longer signs with a key\n"
    assert kept(world).signing_key is None
    assert hookfuse("app", "signing-key", 5, "--remove").out == "app 5 (pager) has no signing key\n"
    assert hookfuse("app", "signing-key", 5, "--remove", "--json").json == {
        "app_id": 5,
        "public_key": None,
        "is_changed": False,
    }


def test_rotating_and_removing_a_signing_key_exclude_each_other(hookfuse: Hookfuse, world: World) -> None:
    ended = hookfuse("app", "signing-key", 5, "--rotate", "--remove")

    assert ended.code == ExitCode.USAGE
    assert "are mutually exclusive" in ended.err


def test_no_secret_and_no_private_key_is_in_any_output_or_log(
    hookfuse: Hookfuse, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    ended = [
        hookfuse("app", "rotate-secret", 5),
        hookfuse("app", "rotate-secret", 5),  # refused
        hookfuse("app", "rotate-secret", 5, "--overlap", "0", "--secret-from", "-", stdin=NEW),
        hookfuse("app", "signing-key", 5),
        hookfuse("app", "signing-key", 5, "--json"),
        *(hookfuse(*words, "--json") for words in (["events"], ["audit"], ["show", "7c1f0a52"], ["status"])),
    ]
    secrets = kept(world)
    assert secrets.signing_key is not None
    assert secrets.previous_secret is not None
    seed = secrets.signing_key
    hidden = [SECRET, NEW, secrets.previous_secret, seed.hex(), base64.b64encode(seed).decode()]

    shown = "".join(one.out + one.err for one in ended) + caplog.text
    assert [one.code for one in ended] == [0, ExitCode.BAD_INPUT, *[0] * (len(ended) - 2)]
    assert not [one for one in hidden if one in shown]


def test_an_app_without_a_secret_is_given_its_first(hookfuse: Hookfuse, world: World, tmp_path: Path) -> None:
    with world.store() as store:
        store.connection.execute("DELETE FROM secrets")
        store.connection.execute("UPDATE apps SET header_names = '[]' WHERE app_id = 5")

    missing = hookfuse("app", "secret", 5, "--to", tmp_path / "secret")
    given = hookfuse("app", "rotate-secret", 5, "--secret-from", "-", stdin="the one of before\n")
    hookfuse("app", "secret", 5, "--to", tmp_path / "secret")

    assert (missing.code, "or hookfuse app rotate-secret 5" in missing.err) == (ExitCode.NOT_FOUND, True)
    assert given.out.splitlines() == [
        "app 5 (pager) had no secret here, and has one now, version 2",
        "to fetch it: hookfuse app secret 5 --to FILE",
    ]
    assert (tmp_path / "secret").read_text() == "the one of before"
