"""The configuration: hookfuse.toml in the home, and HOOKFUSE_… variables over it.

A setting `read_s` of `[timeouts]` is HOOKFUSE_TIMEOUTS__READ_S in the environment.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from eventstore.common.bounded_file import read_toml
from eventstore.errors import ConfigurationError, DocumentError
from eventstore.settings import sections

__all__ = ["Configuration", "load_configuration"]

# Some 5 KiB with each setting in it.
_FILE_BYTES = 1024 * 1024


class Configuration(BaseSettings):
    """All settings, with their defaults."""

    model_config = SettingsConfigDict(
        env_prefix="HOOKFUSE_",
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
    )

    timeouts: sections.TimeoutSettings = sections.TimeoutSettings()
    guard: sections.GuardSettings = sections.GuardSettings()
    tls: sections.TlsSettings = sections.TlsSettings()
    proxy: sections.ProxySettings = sections.ProxySettings()
    retry: sections.RetrySettings = sections.RetrySettings()
    policy: sections.PolicySettings = sections.PolicySettings()
    disabling: sections.DisablingSettings = sections.DisablingSettings()
    delivery: sections.DeliverySettings = sections.DeliverySettings()
    breaker: sections.BreakerSettings = sections.BreakerSettings()
    outage: sections.OutageSettings = sections.OutageSettings()
    warnings: sections.WarningSettings = sections.WarningSettings()
    missed: sections.MissedSettings = sections.MissedSettings()
    probing: sections.ProbingSettings = sections.ProbingSettings()
    redis: sections.RedisSettings = sections.RedisSettings()
    smtp: sections.SmtpSettings = sections.SmtpSettings()
    mail: sections.MailSettings = sections.MailSettings()
    limits: sections.LimitsSettings = sections.LimitsSettings()
    queue: sections.QueueSettings = sections.QueueSettings()
    log: sections.LogSettings = sections.LogSettings()
    metrics: sections.MetricsSettings = sections.MetricsSettings()
    statsd: sections.StatsdSettings = sections.StatsdSettings()
    daemon: sections.DaemonSettings = sections.DaemonSettings()


def load_configuration(path: Path) -> Configuration:
    """Read the configuration; a file that is not there means the defaults.

    Raises ConfigurationError that names every setting that is wrong, on one line.
    """
    if (path.is_symlink() or path.exists()) and not path.is_file():
        raise ConfigurationError(f"{path}: this is no file that can be read")
    _check_variables(os.environ)
    try:
        return _configuration(read_toml(path, _FILE_BYTES) if path.exists() else {})
    except DocumentError as error:
        raise ConfigurationError(str(error)) from error
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(str(part) for part in fault['loc'])}: {_fault_text(fault['type'], fault['msg'])}"
            for fault in error.errors(include_input=False, include_url=False)
        )
        raise ConfigurationError(f"{path} or the environment: {faults}") from error
    except SettingsError as error:
        raise ConfigurationError(f"the environment: {error} (lists and tables are written as JSON there)") from error


def _configuration(table: dict[str, Any]) -> Configuration:
    """Return what a file's table says, and the environment over it."""

    class FileConfiguration(Configuration):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,  # noqa: ARG003
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
            file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return env_settings, InitSettingsSource(settings_cls, table)

    return FileConfiguration()


def _check_variables(variables: Iterable[str]) -> None:
    unknown = sorted(name for name in variables if _is_unknown_section(name))
    if unknown:
        raise ConfigurationError(f"the environment: there is no section for {', '.join(unknown)}")
    for name in sorted(variables):
        meant = _meant_variable(name)
        if meant:
            raise ConfigurationError(f"the environment: {name} is no setting; two underscores are needed: {meant}")


def _meant_variable(variable: str) -> str:
    """Return the variable that one with a single underscore between section and setting was to be, else nothing."""
    # pydantic passes over this one too, and a password would be missing without a word.
    section, _, setting = variable.removeprefix("HOOKFUSE_").partition("_")
    model = Configuration.model_fields.get(section.lower())
    is_meant = (
        variable.startswith("HOOKFUSE_") and model is not None and setting.lower() in type(model.default).model_fields
    )
    return f"HOOKFUSE_{section}__{setting}" if is_meant else ""


def _is_unknown_section(variable: str) -> bool:
    # pydantic passes over a variable whose section it does not know: a typing error would go unseen.
    section, separator, _ = variable.removeprefix("HOOKFUSE_").partition("__")
    is_ours = variable.startswith("HOOKFUSE_") and bool(separator)
    return is_ours and section.lower() not in Configuration.model_fields


def _fault_text(kind: str, text: str) -> str:
    return "there is no such setting" if kind == "extra_forbidden" else text.removeprefix("Value error, ")
