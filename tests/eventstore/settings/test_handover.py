from pathlib import Path

import msgspec
import pytest

from eventstore.policies.policy import BALANCED
from eventstore.policies.policy_file import policy_text, read_policy_document
from eventstore.settings.configuration import Configuration, load_configuration
from eventstore.settings.handover import pack_settings, unpack_settings

FILE = """
[guard]
allow_networks = ["127.0.0.0/8", "10.0.0.0/8"]
[retry]
schedule = [1, 2.5]
[smtp]
password = "pass\\nwörd"
[redis]
url = "redis://:hush@localhost"
[daemon]
processes = 3
"""


@pytest.fixture
def configuration(tmp_path: Path) -> Configuration:
    (tmp_path / "hookfuse.toml").write_text(FILE, encoding="utf-8")
    return load_configuration(tmp_path / "hookfuse.toml")


def test_settings_arrive_as_they_were_with_their_secrets(configuration: Configuration) -> None:
    arrived, policy = unpack_settings(pack_settings(configuration, BALANCED))

    assert arrived == configuration
    assert arrived.smtp.password.get_secret_value() == "pass\nwörd"
    assert policy == BALANCED


def test_a_change_of_the_environment_after_the_start_changes_nothing(
    configuration: Configuration, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = pack_settings(configuration, BALANCED)
    monkeypatch.setenv("HOOKFUSE_SMTP__PASSWORD", "another")
    monkeypatch.setenv("HOOKFUSE_DELIVERY__IN_FLIGHT", "7")
    arrived, _ = unpack_settings(packed)

    assert arrived == configuration


def test_they_are_one_line(configuration: Configuration) -> None:
    assert b"\n" not in pack_settings(configuration, BALANCED)


def test_a_policy_of_ones_own_arrives(tmp_path: Path, configuration: Configuration) -> None:
    (tmp_path / "own.toml").write_text(policy_text(BALANCED).replace("balanced", "own"), encoding="utf-8")
    own = read_policy_document(tmp_path / "own.toml")

    assert unpack_settings(pack_settings(configuration, own))[1] == own
    assert own.name == "own"


def test_what_was_cut_off_is_an_error(configuration: Configuration) -> None:
    with pytest.raises(msgspec.DecodeError):
        unpack_settings(pack_settings(configuration, BALANCED)[:-20])
