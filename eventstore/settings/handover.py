"""What a daemon hands on to its worker processes: the settings as they were when it started."""

from collections.abc import Mapping

import msgspec
from pydantic import SecretStr

from eventstore.policies.policy import Policy
from eventstore.settings.configuration import Configuration

__all__ = ["pack_settings", "unpack_settings"]


class _Settings(msgspec.Struct):
    configuration: Mapping[str, object]
    policy: Policy


def pack_settings(configuration: Configuration, policy: Policy) -> bytes:
    """Write settings as one line of JSON, with their secrets: for a pipe to a process of our own, and nothing else."""
    return msgspec.json.encode(_Settings(configuration.model_dump(), policy), enc_hook=_reveal)


def unpack_settings(packed: bytes) -> tuple[Configuration, Policy]:
    """Read what pack_settings() wrote; no file is looked at, and the environment names nothing that is left out.

    Raises msgspec.DecodeError when it was cut off.
    """
    settings = msgspec.json.decode(packed, type=_Settings)
    return Configuration.model_validate(settings.configuration), settings.policy


def _reveal(value: object) -> str:
    if not isinstance(value, SecretStr):
        raise NotImplementedError(f"a setting of type {type(value).__name__} cannot be handed on")
    return value.get_secret_value()
