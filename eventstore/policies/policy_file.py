"""Policies as files: TOML that a person writes, checked at the border, and written back."""

import re
from collections.abc import Iterator, Sequence
from math import isfinite
from pathlib import Path

import msgspec

from eventstore.common.bounded_file import read_toml
from eventstore.errors import DocumentError, NotFoundError
from eventstore.policies.day_counts import EVALUATED_CLASSES
from eventstore.policies.policy import POLICIES, DayRule, NoSuccessRule, Policy, Rule

__all__ = ["ERROR_CLASSES", "given_policy", "policy_text", "read_policy_document"]

# What a policy may call an error.
ERROR_CLASSES = tuple(name for name in EVALUATED_CLASSES if name != "success")

# What a policy may call a connection that ended before there was an answer.
_NO_ANSWER = ("protocol", "timeout")

_FILE_BYTES = 65_536
_RULES = 32
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}", re.ASCII)
# In evidence these stand where the name of a rule does, when no rule has spoken.
_RESERVED_NAMES = ("person", "receiver")
_WINDOW_DAYS = 366
# What every count stays below, of outcomes in a day too.
_COUNT = 1_000_000_000


def read_policy_document(path: Path) -> Policy:
    """Read and check a policy file.

    Raises DocumentError that names the file and the place.
    """
    if _is_other_than_a_file(path):  # it may be one that nobody ever writes into
        raise DocumentError(f"{path}: this cannot be read as a file")
    try:
        policy = msgspec.convert(read_toml(path, _FILE_BYTES), Policy)
    except msgspec.ValidationError as error:
        raise DocumentError(f"{path}: {error}") from error
    for place, fault in _faults(policy):
        raise DocumentError(f"{path}: {place}: {fault}")
    return policy


def _is_other_than_a_file(path: Path) -> bool:
    try:
        return path.exists() and not path.is_file()
    except (OSError, ValueError):  # to be explained when it is opened
        return False


def given_policy(text: str) -> Policy:
    """Return the policy that ships with hookfuse under a name or, where none has it, the one of a file.

    Raises NotFoundError, DocumentError.
    """
    if text in POLICIES:
        return POLICIES[text]
    if _NAME.fullmatch(text) and not text.endswith(".toml") and not Path(text).exists():
        raise NotFoundError(f"there is no policy and no file {text!r}; the policies are: {', '.join(sorted(POLICIES))}")
    return read_policy_document(Path(text))


def policy_text(policy: Policy) -> str:
    """Write a policy as a file that `read_policy_document` reads back."""
    # Names and classes need no escaping: the characters that they may have are known.
    lines = [
        f'name = "{policy.name}"',
        f"version = {policy.version}",
        f"window_days = {policy.window_days}  # UTC days, today among them",
        f"errors = [{', '.join(_toml(name) for name in policy.errors)}]",
        f"gone_disables = {_toml(policy.gone_disables)}  # 410 Gone disables at once",
    ]
    if policy.checked_after:
        lines.append(f"checked_after = [{', '.join(_toml(name) for name in policy.checked_after)}]")
    if policy.no_answer != Policy.no_answer:
        lines.append(f'no_answer = "{policy.no_answer}"  # what a connection is that ended before an answer')
    if not policy.rules:
        lines.append("rules = []")
    for rule in policy.rules:
        lines += ["", "[[rules]]", f'kind = "{rule.__struct_config__.tag}"']
        values = ((name, getattr(rule, name)) for name in rule.__struct_fields__)
        lines += [f"{name} = {_toml(value)}" for name, value in values if value is not None]
    return "\n".join(lines) + "\n"


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return f'"{value}"' if isinstance(value, str) else repr(value)


def _faults(policy: Policy) -> Iterator[tuple[str, str]]:
    yield from _name_faults("name", policy.name)
    yield from _out_of_range("version", policy.version, _COUNT)
    yield from _out_of_range("window_days", policy.window_days, _WINDOW_DAYS)
    for field, names in (("errors", policy.errors), ("checked_after", policy.checked_after)):
        for name in names:
            if name not in ERROR_CLASSES:
                yield field, f"{name[:60]!r} is not an error class; there are: {', '.join(ERROR_CLASSES)}"
        yield from ((field, f"{name} is given twice") for name in _repeated(names))
    if policy.no_answer not in _NO_ANSWER:
        yield "no_answer", f"{policy.no_answer[:60]!r} is none of: {', '.join(_NO_ANSWER)}"
    if len(policy.rules) > _RULES:
        yield "rules", f"there are more than {_RULES}"
    for number, rule in enumerate(policy.rules, start=1):
        yield from ((f"rule {number} ({rule.name[:60]!r}), {field}", fault) for field, fault in _rule_faults(rule))
    yield from (("rules", f"two have the name {name!r}") for name in _repeated([rule.name for rule in policy.rules]))
    if POLICIES.get(policy.name, policy) != policy:
        yield "name", f"{policy.name} ships with hookfuse, and this is another policy: give it a name of its own"


def _rule_faults(rule: Rule) -> Iterator[tuple[str, str]]:
    yield from _name_faults("name", rule.name)
    if rule.name in _RESERVED_NAMES:
        yield "name", "it says who decided where no rule has: take another one"
    if isinstance(rule, DayRule):
        limits = {"fatal_min": rule.fatal_min, "timeout_min": rule.timeout_min}
        share = rule.timeout_share_above
        if not isfinite(share) or not (share == -1 or 0 <= share <= 1):
            yield "timeout_share_above", "it is between 0 and 1, or -1 for any share"
    elif isinstance(rule, NoSuccessRule):
        limits = {"failures_min": rule.failures_min}
        yield from _out_of_range("failing_days_min", rule.failing_days_min, _WINDOW_DAYS)
    else:
        limits = {}
        yield from _out_of_range("days", rule.days, _WINDOW_DAYS)
    for name, limit in limits.items():
        if limit is not None:
            yield from _out_of_range(name, limit, _COUNT)


def _out_of_range(name: str, value: int, largest: int) -> Iterator[tuple[str, str]]:
    if not 1 <= value <= largest:
        yield name, f"it is between 1 and {largest}"


def _name_faults(field: str, name: str) -> Iterator[tuple[str, str]]:
    if not _NAME.fullmatch(name):
        yield field, "it has 1 to 64 lower-case letters, digits, '.', '_' and '-', and begins with a letter or digit"


def _repeated(names: Sequence[str]) -> list[str]:
    return sorted({name for name in names if names.count(name) > 1})
