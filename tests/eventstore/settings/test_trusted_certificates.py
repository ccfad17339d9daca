"""A file of certificates to trust that cannot be used is named before anything is sent."""

from pathlib import Path

import pytest

from eventstore.errors import ConfigurationError
from eventstore.settings.configuration import configuration_of
from eventstore.settings.trusted_certificates import check_trusted, require_trusted
from tests.webhook.certificates import PrivateCa


@pytest.mark.parametrize(
    ("path", "fault"),
    [
        ("/dev/zero", "this is not a file of at most 16,777,216 bytes"),
        ("/", "this is not a file of at most 16,777,216 bytes"),
        ("/nowhere/ca.pem", "cannot be read: No such file or directory"),
        ("/proc/self/status", "there is no certificate in PEM in it"),
        ("a\0b", "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_with_its_setting(path: str, fault: str) -> None:
    configuration = configuration_of({"tls": {"ca_file": path}, "smtp": {"host": "mail.example", "ca_file": path}})

    with pytest.raises(ConfigurationError) as caught:
        require_trusted(configuration)
    assert str(caught.value).startswith(f"[tls] ca_file ({path}): {fault}")
    assert [(one.level, one.text.partition(" ca_file")[0]) for one in check_trusted(configuration)] == [
        ("fault", "[tls]"),
        ("fault", "[smtp]"),
    ]


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    large = tmp_path / "large.pem"
    with large.open("wb") as file:
        file.truncate(1 << 40)

    with pytest.raises(ConfigurationError, match="not a file of at most"):
        require_trusted(configuration_of({"tls": {"ca_file": str(large)}}))


def test_one_that_can_be_used_and_one_of_a_mail_server_that_is_not_asked_are_not_spoken_of(tmp_path: Path) -> None:
    trusted = configuration_of(
        {"tls": {"ca_file": str(PrivateCa(tmp_path).file)}, "smtp": {"ca_file": "/nowhere/ca.pem"}}
    )

    require_trusted(trusted)
    assert list(check_trusted(trusted)) == []
