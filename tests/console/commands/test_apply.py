import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from console.shell.exit_codes import ExitCode
from eventstore.projections.app_secrets import read_secrets
from eventstore.projections.registry import find_app, read_client_certificates, read_installations
from eventstore.settings.client_certificate import check_client_certificates
from eventstore.unit_of_work import Store
from tests.console.conftest import Hookfuse
from tests.webhook.certificates import PrivateCa

REGISTRY = """\
[[organizations]]
id = 17
slug = "acme"
name = "Acme"
url = "https://acme.example"
owners = ["ann@acme.example"]

[[apps]]
id = 5
slug = "pager"
name = "Pager"
organization = 17
webhook_url = "https://pager.example/hook"
secret = "not-to-be-shown"
headers = ["X-Token: not-to-be-shown-either"]

[[installations]]
app = 5
organization = 17
uuid = "7c1f0a52-3d0e-4f2c-9a55-0f3f6f2a1b10"
"""


@pytest.fixture
def registry(tmp_path: Path) -> Path:
    path = tmp_path / "registry.toml"
    path.write_text(REGISTRY)
    return path


def test_apply_makes_the_home_and_says_what_changed(hookfuse: Hookfuse, registry: Path, tmp_path: Path) -> None:
    ended = hookfuse("apply", registry)

    assert (ended.code, ended.err) == (0, "")
    assert ended.out.splitlines() == [
        "registered organization 17 (acme)",
        "registered app 5 (pager)",
        "created    installation 7c1f0a52-3d0e-4f2c-9a55-0f3f6f2a1b10 (app 5, organization 17)",
    ]
    assert (tmp_path / "home").stat().st_mode & 0o777 == 0o700


def test_apply_a_second_time_changes_nothing(hookfuse: Hookfuse, registry: Path) -> None:
    hookfuse("apply", registry)

    assert hookfuse("apply", registry).out == "nothing to change\n"


def test_apply_records_who_changed_something_and_how_much(hookfuse: Hookfuse, registry: Path) -> None:
    hookfuse("apply", registry, "--by", "deploy-481")
    hookfuse("apply", registry, "--by", "nobody")  # changes nothing, so there is nothing to record

    (entry,) = json.loads(hookfuse("audit", "--json").out)
    assert (entry["event"], entry["actor"], entry["target"]) == ("registry.apply", "person:deploy-481", "home")
    assert entry["data"] == {"registered": "2", "created": "1"}


def test_apply_names_the_fields_that_changed_but_no_secret(hookfuse: Hookfuse, registry: Path) -> None:
    hookfuse("apply", registry)
    registry.write_text(REGISTRY.replace("not-to-be-shown", "another-one").replace("/hook", "/new"))

    ended = hookfuse("apply", registry)

    assert ended.out == "changed    app 5 (pager): webhook_url, secret, headers\n"


def test_what_the_file_leaves_out_stays_and_is_counted(hookfuse: Hookfuse, registry: Path, tmp_path: Path) -> None:
    hookfuse("apply", registry)
    registry.write_text(REGISTRY.partition("[[installations]]")[0])

    assert "1 installation is not in the file and stays as it is" in hookfuse("apply", registry).out
    assert hookfuse("apply", registry, "--prune").out.startswith("removed    installation 7c1f0a52")
    with Store(tmp_path / "home" / "events.db") as store:
        assert read_installations(store.connection) == ()


def test_apply_json_is_one_document(hookfuse: Hookfuse, registry: Path, tmp_path: Path) -> None:
    document = hookfuse("apply", registry, "--json").json

    assert [change["action"] for change in document["changes"]] == ["registered", "registered", "created"]
    assert document["unlisted"] == 0
    assert document["home"] == str(tmp_path / "home")


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ('slug = "acme"', 'slug = "acme', "registry.toml: not TOML: "),
        ('slug = "acme"', 'slug = "acme"\ncolour = "red"', "unknown field `colour`"),
        (
            '"https://pager.example/hook"',
            '"pager"',
            "app 5: webhook_url: the URL's scheme is neither https:// nor http://",
        ),
        ('"https://pager.example/hook"', '"ftp://pager.example"', "the URL's scheme is neither https:// nor http://"),
        (
            '"https://pager.example/hook"',
            '"https://*.example"',
            "the URL's host name has a character that no host name has ('*'): *.example",
        ),
        (
            "organization = 17\nwebhook",
            "organization = 18\nwebhook",
            "organization 18 is neither in the file nor known",
        ),
        ("app = 5", "app = 6", "app 6 is neither in the file nor known"),
        ("id = 5", 'id = "five"', "Expected `int`, got `str`"),
        (
            '"X-Token: not-to-be-shown-either"',
            '"X Token: not-to-be-shown"',
            'headers: header 1 is not of the form "Name: value"',
        ),
        ('"7c1f0a52-3d0e-4f2c-9a55-0f3f6f2a1b10"', '"7c1f"', "uuid is not a UUID"),
    ],
)
def test_a_wrong_file_is_one_line_and_changes_nothing(
    hookfuse: Hookfuse, registry: Path, old: str, new: str, fault: str
) -> None:
    hookfuse("apply", registry)
    before = hookfuse("events", "--json").json
    registry.write_text(REGISTRY.replace(old, new).replace('name = "Acme"', 'name = "Acme Inc."'))

    ended = hookfuse("apply", registry)

    assert ended.code == ExitCode.BAD_INPUT
    assert ended.out == ""
    assert ended.err.count("\n") == 1
    assert fault in ended.err
    assert "not-to-be-shown" not in ended.err
    assert hookfuse("events", "--json").json == before


def test_a_wrong_file_makes_no_home(hookfuse: Hookfuse, tmp_path: Path) -> None:
    ended = hookfuse("apply", tmp_path / "missing.toml")

    assert ended.code == ExitCode.BAD_INPUT
    assert ended.err == f"hookfuse: {tmp_path / 'missing.toml'}: cannot be read: No such file or directory\n"
    assert not (tmp_path / "home").exists()


def test_apply_wakes_a_running_daemon(hookfuse: Hookfuse, registry: Path, tmp_path: Path) -> None:

    from eventstore.home.folder import Home

    home = Home(tmp_path / "home")
    home.prepare()
    doorbell = home.doorbell.listen()
    try:
        hookfuse("apply", registry)
        assert doorbell.heard()
    finally:
        doorbell.close()


def test_secret_goes_into_a_private_new_file_and_nowhere_else(
    hookfuse: Hookfuse, registry: Path, tmp_path: Path
) -> None:
    hookfuse("apply", registry)
    path = tmp_path / "pager.secret"

    ended = hookfuse("app", "secret", 5, "--to", path)

    assert ended.code == 0
    assert path.read_text() == "not-to-be-shown"
    assert path.stat().st_mode & 0o777 == 0o600
    assert "not-to-be-shown" not in ended.out + ended.err


def test_secret_replaces_a_file_only_when_forced(hookfuse: Hookfuse, registry: Path, tmp_path: Path) -> None:
    hookfuse("apply", registry)
    path = tmp_path / "pager.secret"
    path.write_text("precious")
    path.chmod(0o644)

    refused = hookfuse("app", "secret", 5, "--to", path)

    assert refused.code == ExitCode.BAD_INPUT
    assert "--force" in refused.err
    assert path.read_text() == "precious"
    assert hookfuse("app", "secret", 5, "--to", path, "--force").code == 0
    assert path.read_text() == "not-to-be-shown"
    assert path.stat().st_mode & 0o777 == 0o600


def test_secret_never_replaces_what_is_no_regular_file(hookfuse: Hookfuse, registry: Path, tmp_path: Path) -> None:
    hookfuse("apply", registry)
    link = tmp_path / "link"
    link.symlink_to("/dev/null")

    ended = hookfuse("app", "secret", 5, "--to", link, "--force")

    assert ended.code == ExitCode.BAD_INPUT
    assert link.is_symlink()


def test_secret_of_an_unknown_app_is_not_found(hookfuse: Hookfuse, registry: Path, tmp_path: Path) -> None:
    hookfuse("apply", registry)

    ended = hookfuse("app", "secret", 6, "--to", tmp_path / "x")

    assert ended.code == ExitCode.NOT_FOUND
    assert ended.err == "hookfuse: app 6 is not known: see `hookfuse apply`\n"
    assert not (tmp_path / "x").exists()


def test_a_secret_that_cannot_be_written_leaves_nothing(hookfuse: Hookfuse, registry: Path, tmp_path: Path) -> None:
    hookfuse("apply", registry)

    ended = hookfuse("app", "secret", 5, "--to", tmp_path / "no" / "such" / "folder")

    assert ended.code == ExitCode.BAD_INPUT
    assert "cannot be written: No such file or directory" in ended.err


def test_headers_and_secrets_are_in_no_output(hookfuse: Hookfuse, registry: Path, tmp_path: Path) -> None:
    hookfuse("apply", registry)
    with Store(tmp_path / "home" / "events.db") as store:
        kept = read_secrets(store.connection, 5)
    assert kept is not None

    for words in (["status"], ["show", "7c1f0a52"], ["events"], ["audit"], ["requests"], ["deliveries"]):
        for json_flag in ([], ["--json"]):
            shown = hookfuse(*words, *json_flag)
            assert shown.code == 0
            assert "not-to-be-shown" not in shown.out + shown.err


def test_standard_input_is_a_registry_file_too(hookfuse: Hookfuse) -> None:
    assert hookfuse("apply", "-", stdin=REGISTRY).out.startswith("registered organization 17")
    wrong = hookfuse("apply", "-", stdin="x")

    assert wrong.code == ExitCode.BAD_INPUT
    assert wrong.err.startswith("hookfuse: standard input: not TOML: ")


def test_a_byte_order_mark_is_no_part_of_either_file(hookfuse: Hookfuse, registry: Path, tmp_path: Path) -> None:
    registry.write_text(REGISTRY, encoding="utf-8-sig")
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "hookfuse.toml").write_text("[guard]\nallow_http = true\n", encoding="utf-8-sig")

    ended = hookfuse("apply", registry)

    assert (ended.code, ended.err) == (ExitCode.OK, "")


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://pager.example/", "its scheme is http; allow_http would allow it"),
        ("https://127.0.0.1/", "127.0.0.1 is loopback (127.0.0.0/8); allow_networks would allow it"),
        ("https://localhost:8443/", "localhost is loopback (127.0.0.0/8); allow_networks would allow it"),
        ("https://[64:ff9b:1::a00:1]/", "64:ff9b:1::a00:1 is local NAT64 (64:ff9b:1::/48); allow_networks would"),
    ],
)
def test_a_url_that_the_guard_would_block_is_taken_and_warned_of_once(
    hookfuse: Hookfuse, registry: Path, url: str, reason: str
) -> None:
    registry.write_text(REGISTRY.replace("https://pager.example/hook", url))

    first, second = hookfuse("apply", registry), hookfuse("apply", registry)

    assert (first.code, first.err.count("\n")) == (ExitCode.OK, 1)
    assert f"warning: app 5 (pager): nothing will be sent to its webhook_url, because of [guard]: {reason}" in first.err
    assert (second.out, second.err) == ("nothing to change\n", "")


def test_what_the_settings_of_the_home_allow_is_not_warned_of(
    hookfuse: Hookfuse, registry: Path, tmp_path: Path
) -> None:
    registry.write_text(REGISTRY.replace("https://pager.example", "http://10.1.2.3"))
    (tmp_path / "home").mkdir()
    settings = tmp_path / "home" / "hookfuse.toml"
    settings.write_text('[guard]\nallow_http = true\nallow_networks = ["10.0.0.0/8"]\n')

    document = hookfuse("apply", registry, "--json").json

    assert document["warnings"] == []


def test_settings_that_cannot_be_read_are_a_warning_where_only_a_warning_needs_them(
    hookfuse: Hookfuse, registry: Path, tmp_path: Path
) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "hookfuse.toml").write_text("[guard\n")

    ended = hookfuse("apply", registry)

    assert ended.code == ExitCode.OK
    assert "the URLs were not checked against [guard], which cannot be read: " in ended.err


def with_certificate(registry: Path, *lines: str) -> None:
    hook = 'webhook_url = "https://pager.example/hook"'
    registry.write_text(REGISTRY.replace(hook, "\n".join([hook, *lines])))


def test_a_client_certificate_is_checked_and_kept_with_the_app(
    hookfuse: Hookfuse, registry: Path, tmp_path: Path
) -> None:
    certificate, key = PrivateCa(tmp_path).issue("hookfuse")
    with_certificate(registry, f'client_certificate = "{certificate}"', f'client_key = "{key}"')

    assert hookfuse("apply", registry).code == ExitCode.OK
    with Store(tmp_path / "home" / "events.db") as store:
        app = find_app(store.connection, 5)
    assert (app.client_certificate, app.client_key) == (str(certificate), str(key))


@pytest.mark.parametrize(
    ("break_it", "fault"),
    [
        (lambda certificate, _: certificate.unlink(), "cannot be read: No such file"),
        (lambda _, key: key.chmod(0o640), "others than its owner may read this private key: chmod 600"),
        (
            lambda certificate, key: key.write_bytes(certificate.read_bytes()),
            "no certificate in PEM with its private key",
        ),
        (lambda certificate, _: certificate.write_bytes(b"#" * 1_048_577), "over 1,048,576 bytes"),
    ],
)
def test_a_client_certificate_that_cannot_be_used_is_refused(
    hookfuse: Hookfuse, registry: Path, tmp_path: Path, break_it: Callable[[Path, Path], None], fault: str
) -> None:
    certificate, key = PrivateCa(tmp_path).issue("hookfuse")
    break_it(certificate, key)
    with_certificate(registry, f'client_certificate = "{certificate}"', f'client_key = "{key}"')

    ended = hookfuse("apply", registry)

    assert ended.code == ExitCode.BAD_INPUT
    assert "app 5 (pager): client_certificate: " in ended.err
    assert fault in ended.err


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ('client_certificate = "hookfuse.pem"', "client_certificate is not an absolute path"),
        ('client_key = "/hookfuse.key"', "client_key is there without client_certificate"),
    ],
)
def test_the_files_of_a_client_certificate_are_named_in_full(
    hookfuse: Hookfuse, registry: Path, line: str, fault: str
) -> None:
    with_certificate(registry, line)

    assert fault in hookfuse("apply", registry).err


@pytest.mark.parametrize(
    ("days", "said"),
    [(60, ("good", "is valid until")), (20, ("warning", "expires on")), (-1, ("fault", "has expired on"))],
)
def test_a_check_up_says_until_when_a_client_certificate_is_valid(
    hookfuse: Hookfuse, registry: Path, tmp_path: Path, days: int, said: tuple[str, str]
) -> None:
    certificate, key = PrivateCa(tmp_path).issue("hookfuse", days=days)
    with_certificate(registry, f'client_certificate = "{certificate}"', f'client_key = "{key}"')
    hookfuse("apply", registry)
    with Store(tmp_path / "home" / "events.db") as store:
        (finding,) = check_client_certificates(read_client_certificates(store.connection), datetime.now(UTC))

    level, text = said
    assert (finding.subject, finding.level) == ("certificates", level)
    assert f"app pager: {certificate} {text}" in finding.text
