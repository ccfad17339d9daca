"""The configuration: hookfuse.toml in the home, and HOOKFUSE_… variables over it.

A setting `read_s` of `[timeouts]` is HOOKFUSE_TIMEOUTS__READ_S in the environment.
"""

import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import msgspec
from msgspec import Struct, structs

from eventstore.common.bounded_file import read_toml
from eventstore.errors import ConfigurationError, DocumentError
from eventstore.settings import sections
from eventstore.settings.values import Check, Secret

__all__ = ["Configuration", "configuration_of", "load_configuration", "read_secret"]

_PREFIX = "HOOKFUSE_"
# Some 5 KiB with each setting in it.
_FILE_BYTES = 1024 * 1024
# Where in a list a fault is, as msgspec says it: "... - at `$[1]`".
_PLACE = re.compile(r" - at `\$(?:\[(\d+)\])?`$")


class Configuration(Struct, frozen=True, kw_only=True):
    """All settings, with their defaults."""

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


_SECTIONS = {one.name: one.type for one in structs.fields(Configuration)}


def load_configuration(path: Path) -> Configuration:
    """Read the configuration; a file that is not there means the defaults.

    Raises ConfigurationError that names every setting that is wrong, on one line.
    """
    if (path.is_symlink() or path.exists()) and not path.is_file():
        raise ConfigurationError(f"{path}: this cannot be read as a file")
    _check_variables(os.environ)
    try:
        table = read_toml(path, _FILE_BYTES) if path.exists() else {}
    except DocumentError as error:
        raise ConfigurationError(str(error)) from error
    return configuration_of(table, os.environ, f"{path} or the environment")


def configuration_of(
    table: Mapping[str, object], variables: Mapping[str, str] | None = None, source: str = "the settings"
) -> Configuration:
    """Return what a file's table says, and variables over it. Raises ConfigurationError, which begins with `source`."""
    faults = [f"{name}: there is no such setting" for name in table if name not in _SECTIONS]
    ours = {name: value for name, value in (variables or {}).items() if name.lower().startswith(_PREFIX.lower())}
    found = {
        name: _section(name, kind, table.get(name, {}), named, faults)
        for name, kind in _SECTIONS.items()
        if (named := _of_section(name, ours)) or name in table
    }
    if faults:
        raise ConfigurationError(f"{source}: {'; '.join(faults)}")
    return Configuration(**found)


def _of_section(name: str, variables: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of a section by the rest of their names in lower case; "" = the whole table."""
    prefix = f"{_PREFIX}{name}".lower()
    return {
        variable.lower().removeprefix(prefix).removeprefix("__"): value
        for variable, value in variables.items()
        if variable.lower() == prefix or variable.lower().startswith(f"{prefix}__")
    }


def _section(name: str, kind: Any, given: object, variables: Mapping[str, str], faults: list[str]) -> Any:
    """Return a section, or None where there are faults, which are added to the others."""
    whole = _json_of(name, variables[""], faults) if "" in variables else {}
    if not isinstance(given, Mapping) or not isinstance(whole, Mapping):
        faults.append(f"{name}: it is a table, [{name}]")
        return None
    fields = {field.name: field.type for field in structs.fields(kind)}
    named = {key: value for key, value in variables.items() if key}
    table = {**given, **whole, **named}
    before = len(faults)
    faults += [f"{name}.{key}: there is no such setting" for key in table if key not in fields]
    values = {}
    for key in table.keys() & fields.keys():
        try:
            values[key] = _value(fields[key], table[key], is_text=key in named)
        except ValueError as error:
            text, place = str(error), _PLACE.search(str(error))
            number = f".{place[1]}" if place and place[1] else ""
            faults.append(f"{name}.{key}{number}: {_PLACE.sub('', text)}")
    if name == "policy" and table.get("file") and "name" in table:
        faults.append("policy: name and file are mutually exclusive: leave one of them out")
    return kind(**values) if len(faults) == before else None


def _json_of(name: str, text: str, faults: list[str]) -> object:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        faults.append(f"{name}: it is not JSON, as which tables are written in the environment")
        return {}


def _value(kind: Any, given: object, *, is_text: bool) -> Any:
    """Return a setting of a type. Raises ValueError that says what it is to be, with its place in a list."""
    plain = get_args(kind)[0] if hasattr(kind, "__metadata__") else kind
    items = get_args(plain)[:1] if getattr(plain, "__origin__", None) is tuple else ()
    if is_text and items:
        try:
            given = msgspec.json.decode(str(given))
        except msgspec.DecodeError as error:
            raise ValueError("it is not JSON, as which lists are written in the environment") from error
    value = msgspec.convert(given, kind, strict=not is_text, dec_hook=read_secret)
    for check in _checks(kind):
        value = check(value)
    for one in items:
        for number, item in enumerate(value):
            for check in _checks(one):
                try:
                    check(item)
                except ValueError as error:
                    raise ValueError(f"{error} - at `$[{number}]`") from error
    return value


def _checks(kind: Any) -> Iterator[Any]:
    yield _finite
    yield from (one.passed for one in getattr(kind, "__metadata__", ()) if isinstance(one, Check))


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("it is a finite number")
    return value


def read_secret(kind: type, given: object) -> Secret:
    """Return a secret that was read as a text; of anything else nothing is told. It is a `dec_hook` of msgspec."""
    if kind is not Secret or not isinstance(given, str):
        raise ValueError("it is a text")
    return Secret(given)


def _check_variables(variables: Iterable[str]) -> None:
    unknown = sorted(name for name in variables if _is_unknown_section(name))
    if unknown:
        raise ConfigurationError(f"the environment: there is no section for {', '.join(unknown)}")
    for name in sorted(variables):
        meant = _meant_variable(name)
        if meant:
            raise ConfigurationError(f"the environment: {name} is not a setting; two underscores are needed: {meant}")


def _meant_variable(variable: str) -> str:
    """Return the variable that one with a single underscore between section and setting was to be, else nothing."""
    # It would be passed over, and a password be missing without a word.
    section, _, setting = variable.removeprefix(_PREFIX).partition("_")
    known = _SECTIONS.get(section.lower())
    is_meant = variable.startswith(_PREFIX) and known is not None and setting.lower() in known.__struct_fields__
    return f"{_PREFIX}{section}__{setting}" if is_meant else ""


def _is_unknown_section(variable: str) -> bool:
    # Others' variables are passed over: of a section that is not known a typing error would go unseen.
    section, separator, _ = variable.removeprefix(_PREFIX).partition("__")
    return variable.startswith(_PREFIX) and bool(separator) and section.lower() not in _SECTIONS
