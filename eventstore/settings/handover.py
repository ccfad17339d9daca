"""What a daemon hands on to its worker processes: the settings as they were when it started."""

import msgspec

from eventstore.policies.policy import Policy
from eventstore.settings.configuration import Configuration, read_secret
from eventstore.settings.values import Secret

__all__ = ["pack_settings", "unpack_settings"]


class _Settings(msgspec.Struct):
    configuration: Configuration
    policy: Policy


def pack_settings(configuration: Configuration, policy: Policy) -> bytes:
    """Write settings as one line of JSON, with their secrets: for a pipe to a process of our own, and nothing else."""
    return msgspec.json.encode(_Settings(configuration, policy), enc_hook=_reveal)


def unpack_settings(packed: bytes) -> tuple[Configuration, Policy]:
    """Read what pack_settings() wrote; no file is looked at, and the environment names nothing that is left out.

    Raises msgspec.DecodeError when it was cut off.
    """
    settings = msgspec.json.decode(packed, type=_Settings, dec_hook=read_secret)
    return settings.configuration, settings.policy


def _reveal(value: object) -> str:
    if not isinstance(value, Secret):
        raise NotImplementedError(f"a setting of type {type(value).__name__} cannot be handed on")
    return value.get_secret_value()
