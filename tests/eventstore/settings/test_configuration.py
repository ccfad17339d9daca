import traceback
from pathlib import Path

import pytest

from eventstore.errors import ConfigurationError
from eventstore.settings.configuration import Configuration, load_configuration
from eventstore.settings.sections import PolicySettings

PASSWORD = "hush-hush"


def load(folder: Path, text: str) -> Configuration:
    path = folder / "hookfuse.toml"
    path.write_text(text)
    return load_configuration(path)


def fault_of(folder: Path, text: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load(folder, text)
    return str(caught.value)


def test_file_that_is_not_there_means_the_defaults(tmp_path: Path) -> None:
    configuration = load_configuration(tmp_path / "nowhere.toml")

    assert configuration.policy.name == "balanced"
    assert configuration.disabling.apps == "internal"
    assert configuration == load(tmp_path, "")


def test_file_changes_what_it_names(tmp_path: Path) -> None:
    timeouts = load(tmp_path, "[timeouts]\nread_s = 9\n").timeouts

    assert (timeouts.read_s, timeouts.connect_s) == (9.0, 5.0)


def test_environment_wins_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOKFUSE_TIMEOUTS__READ_S", "3")
    timeouts = load(tmp_path, "[timeouts]\nread_s = 9\ntotal_s = 8\n").timeouts

    assert (timeouts.read_s, timeouts.total_s) == (3.0, 8.0)


def test_list_in_the_environment_is_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOKFUSE_RETRY__SCHEDULE", "[1, 2]")

    assert load(tmp_path, "").retry.schedule == (1.0, 2.0)


def test_home_in_the_environment_is_no_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOKFUSE_HOME", "/srv/hooks")

    assert load(tmp_path, "") == Configuration()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("foo = 1", "foo: "),
        ("[timeouts]\nraed_s = 1", "timeouts.raed_s: "),
        ("[timeouts]\nread_s = 'x'", "timeouts.read_s: "),
        ("[timeouts]\nread_s = 0", "timeouts.read_s: "),
        ("[timeouts]\nread_s = nan", "timeouts.read_s: "),
        ("[timeouts]\nread_s = 86401", "timeouts.read_s: "),
        ("timeouts = 1", "timeouts: "),
        ("[policy]\nname = 'strict'", "there are: balanced, sentry-2024"),
        ("[guard]\nallow_networks = ['10.0.0.0/8', 'home']", "guard.allow_networks.1: "),
        ("[guard]\nallow_networks = ['10.0.0.1/8']", "guard.allow_networks.0: "),
        ("[retry]\nschedule = [-1]", "retry.schedule.0: "),
        ("[retry]\njitter = 1.1", "retry.jitter: "),
        ("[mail]\nsender = 'nobody'", "mail.sender: "),
        ("[mail]\nretry = []", "mail.retry: "),
        ("[disabling]\napps = 'none'", "disabling.apps: "),
        ("[smtp]\nport = 65536", "smtp.port: "),
        ("[timeouts\n", "not TOML: "),
    ],
)
def test_wrong_setting_is_named(tmp_path: Path, text: str, expected: str) -> None:
    fault = fault_of(tmp_path, text)

    assert expected in fault
    assert "hookfuse.toml" in fault
    assert "\n" not in fault


def test_all_faults_are_named_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOKFUSE_LIMITS__RESPONSE_BYTES", "many")
    fault = fault_of(tmp_path, "foo = 1\n[timeouts]\nread_s = 'x'\n[smtp]\nsecurity = 'yes'\n")

    assert all(name in fault for name in ("foo", "timeouts.read_s", "smtp.security", "limits.response_bytes"))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HOOKFUSE_RETRY__SCHEDULE", "5, 10"),
        ("HOOKFUSE_SMTP", PASSWORD),
        ("HOOKFUSE_SMTP", f'{{"password":"{PASSWORD}"'),
    ],
)
def test_list_or_table_that_is_no_json_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    fault = fault_of(tmp_path, "")

    assert name.removeprefix("HOOKFUSE_").partition("__")[0].lower() in fault
    assert PASSWORD not in fault


def test_file_that_is_no_text_is_explained(tmp_path: Path) -> None:
    (tmp_path / "hookfuse.toml").write_bytes(b"\xff\xfe")

    with pytest.raises(ConfigurationError, match="not UTF-8 text"):
        load_configuration(tmp_path / "hookfuse.toml")


def test_password_is_in_no_repr(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOKFUSE_SMTP__PASSWORD", PASSWORD)
    configuration = load(tmp_path, "")

    assert configuration.smtp.password.get_secret_value() == PASSWORD
    assert PASSWORD not in f"{configuration!r} {configuration} {configuration.smtp!r}"


@pytest.mark.parametrize(
    "text",
    [
        f"[smtp]\npassword = ['{PASSWORD}']\n",
        f"[smtp]\npassword = '{PASSWORD}'\nport = 'x'\n",
        f"[smtp]\npasswrod = '{PASSWORD}'\n",
        f"[smtp]\npassword = '{PASSWORD}\n",
        f"[smtp]\npassword = {PASSWORD}\n",
        f"smtp = '{PASSWORD}'\n",
        f"smtp = ['{PASSWORD}']\n",
        f"smtp_password = '{PASSWORD}'\n",
    ],
)
def test_password_is_in_no_error(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path, text)

    assert PASSWORD not in str(caught.value)
    assert PASSWORD not in "".join(traceback.format_exception_only(caught.value.__cause__))


def test_configuration_cannot_be_changed() -> None:
    with pytest.raises(AttributeError, match="immutable"):
        Configuration().policy = PolicySettings()  # type: ignore[misc]


def test_a_misspelt_section_in_the_environment_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOKFUSE_TIMEOUT__READ_S", "3")

    with pytest.raises(ConfigurationError, match="HOOKFUSE_TIMEOUT__READ_S"):
        load_configuration(tmp_path / "hookfuse.toml")


def test_a_setting_of_the_environment_with_one_underscore_too_few_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOOKFUSE_SMTP_PASSWORD", PASSWORD)

    with pytest.raises(ConfigurationError, match="two underscores are needed: HOOKFUSE_SMTP__PASSWORD") as raised:
        load_configuration(tmp_path / "hookfuse.toml")
    assert PASSWORD not in str(raised.value)


def test_a_variable_of_another_s_is_none_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOKFUSE_LOG_SHIPPER", "on")
    monkeypatch.setenv("HOOKFUSE_TEST_REDIS_URL", "redis://localhost")

    assert load_configuration(tmp_path / "hookfuse.toml").log == Configuration().log


def test_infinity_is_no_duration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOKFUSE_MAIL__GIVE_UP_AFTER_S", "inf")

    with pytest.raises(ConfigurationError, match="give_up_after_s"):
        load_configuration(tmp_path / "hookfuse.toml")


def test_a_configuration_that_is_no_file_is_not_passed_over(tmp_path: Path) -> None:
    folder, dangling = tmp_path / "folder.toml", tmp_path / "dangling.toml"
    folder.mkdir()
    dangling.symlink_to(tmp_path / "nowhere")

    for path in (folder, dangling):
        with pytest.raises(ConfigurationError, match="cannot be read as a file"):
            load_configuration(path)


@pytest.mark.parametrize(
    "url",
    [
        "proxy.internal:3128",
        "https://proxy.internal:3128",
        "http://proxy.internal",
        "http://:3128",
        "http://proxy:0",
        "http://ada:hush@proxy:x",
        "http://ada:hush@proxy:3128/path",
        "http://ada:hüsh@proxy:3128",
        "http://ada:hush@pro xy:3128",
    ],
)
def test_what_is_no_proxy_is_refused_and_not_shown(tmp_path: Path, url: str) -> None:
    fault = fault_of(tmp_path, f'[proxy]\nurl = "{url}"\n')

    assert "proxy.url: it is http://HOST:PORT" in fault
    assert "hush" not in fault


@pytest.mark.parametrize("host", ["ada:hush@mail.example", "smtp://hush/", "mail.example/hush", "hush mail", "hush\\t"])
@pytest.mark.parametrize(
    "text",
    ['[smtp]\nhost = "{}"\n', '[metrics]\nlisten = "{}:9464"\n', '[statsd]\naddress = "{}:8125"\n'],
    ids=["mail", "metrics", "statsd"],
)
def test_what_is_more_than_a_host_is_refused_and_not_shown(tmp_path: Path, text: str, host: str) -> None:
    fault = fault_of(tmp_path, text.format(host))

    assert "it is " in fault
    assert "hush" not in fault


def test_the_credentials_of_a_proxy_are_in_no_repr(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOKFUSE_PROXY__URL", f"http://ada:{PASSWORD}@proxy.internal:3128")
    configuration = load(tmp_path, '[proxy]\nby = "name"\n')

    assert configuration.proxy.by == "name"
    assert PASSWORD in configuration.proxy.url.get_secret_value()
    assert PASSWORD not in f"{configuration!r}"
