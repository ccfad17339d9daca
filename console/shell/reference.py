"""The reference pages of docs/, made from the code: `python -m console.shell.reference` writes them."""

import ast
import inspect
import json
import textwrap
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import click
import msgspec
from msgspec import Struct, structs

from console.output.tables import print_line
from console.shell import exit_codes
from console.shell.cli import cli
from console.shell.lazy_command import LazyCommand

__all__ = ["commands_page", "configuration_page", "walk_commands"]

_DOCS = Path(__file__).parents[2] / "docs"
_WIDTH = 100
_NO_BOUND = f"<={2**63 - 1}"  # what SQLite holds, and nobody types

_CONFIGURATION_HEAD = """\
# Configuration

<!-- Made by `python -m console.shell.reference`; a test fails when it is not what the code gives. -->

Settings stand in `hookfuse.toml` in the home folder. A setting that is left out has its default.
An environment variable wins over the file; lists are written as JSON there:

```sh
HOOKFUSE_RETRY__SCHEDULE='[5, 60, 600]' hookfuse run
```

* The daemon reads the settings when it starts. Restart it after a change.
* An unknown table or key, a wrong type and a value outside its limits are errors. The command names all of
  them on one line and exits with 3.
* Names say the unit: `_s` is seconds, `_bytes` is bytes. Days are UTC days.
* `HOOKFUSE_HOME` names the home folder (default `.hookfuse`). It is not a setting of the file.
* `HOOKFUSE_DEBUG=1` adds a traceback to an error that was not foreseen.

An example for trying things out on one machine:

```toml
[guard]
allow_networks = ["127.0.0.0/8"]
allow_http = true

[retry]
schedule = [1, 5, 30]
```
"""

_COMMANDS_HEAD = """\
# Commands

<!-- Made by `python -m console.shell.reference`; a test fails when it is not what the code gives. -->

`hookfuse --home DIR COMMAND`. All commands but `run` and `restore` work while a daemon runs, and while none does. What
`apply`, `disable`, `enable`, `breaker close`, `app rotate-secret` and `deliveries resend` change takes effect in a
running daemon within a second. `test` and `enable --probe` need a running daemon.
Results go to standard output, everything else to standard error. `--json` prints one document for a program.
"""

_DOCUMENTS = """\
## What `--json` prints

| Command | Document |
|---|---|
| `breaker close` | an object: `installation_id`, `is_changed`, `position` of the event, `strict_until` |
| `disable` | an object: `installation_id`, `is_changed`, `position` of the event, `mails` (a count) |
| `enable` | an object: `installation_id`, `is_changed`, `position` of the event, `recovering` and `missed` (counts); \
with a test delivery that failed the first three alone |
| `alert` | an object: `event`, `app_id`, `installation_id` |
| `send` | an object: `delivery_id`, `installation_id`, `event`; with `--batch`: `queued`, `duplicates` (counts) |
| `deliveries resend` | an object: `resent`, `without_payload` (counts) |
| `deliveries drop` | an object: `dropped` (a count) |
| `app rotate-secret` | an object: `app_id`, `secret_version`, `overlap_until`, `is_first` |
| `backup` | an object: `file`, `events`, `bytes`, `has_secrets` |
| `restore` | an object: `database`, `events`, `kept` (the folder of what was there before, or null) |
| `status` | an object: `home`, `daemon_pid`, `is_running`, `policy`, `policy_version`, \
`pending_settings` (what a restart would change, in words, or empty), `last_position`, \
`installations`, `deliveries`, `oldest_waiting_s`, `mails`, `in_trouble` (closest to being disabled first; \
`--limit`), `in_trouble_count`, \
`disabled` and `warned` (with `level`), which are cut at 100, with \
`disabled_count` and `warned_count`, `outage` (`is_frozen`, `since`, \
`active`, `failing`), `frozen_by` (hosts), `open_breakers`, \
`breakers` (counts of `open`, `half_open`, `recovering`), `paused` (a count), \
`missed` (`count`, `first_enqueued_at`, `last_enqueued_at`, `without_payload`, \
`recovering`), `failures` (by error class, of 24 hours of the clock), \
`redis` (`url`, `lag_events`, `error`; null without one), \
`stream` (`url`, `unread`, `pending`, `dead`, `error`; null without one), `apps_without_secret` (ids, cut at 100) with \
`apps_without_secret_count`, `worker_pids`, \
`clock` (`now`, `expected`, `doubt_left_s` (null = it is believed), `newest_event`, `events_ahead`, `waits_ahead`: \
of each `what`, `count`, `latest`) |
| `show` | an object: `installation_id`, `as_of` (`at`, `position`; null without `--as-of`), `app`, \
`organization`, `state`, `since`, `disabled`, `buffer` (a list of `day`, `success`, `error`, `timeout` and the \
classes), `evaluation`, `deliveries` (of the past `waiting` is null), `requests`, `warned_level`, `breaker` \
(`state`, `open_until`, `strict_until`), `hold_until`, `failures` (`days`, `by_class`, `latest`), `missed`, \
`outage` |
| `installations` | a list: `installation_id`, `app`, `app_id`, `app_status`, `organization`, `organization_id`, \
`state`, `since` |
| `why` | an object: `installation_id`, `as_of`, `app`, `webhook_url`, `state`, `since`, `disabled`, `policy`, \
`policy_version`, `rule`, `explanation`, `progress`, `days`, `first_failure`, `last_failure`, `remediation`, \
`warned_level`, `breaker` (with `explanation`), `hold_until`, `outage`, `positions` (of the events named) |
| `policy check` | an object: `policy`, `policy_version`, `window_days`, `errors`, `gone_disables`, `rules` (a list of \
`name`, `kind`, `fires`: yes, never, imported or in part), `faults` (a list of `rule`, `fires`, `reason`), \
`notes` (a list of `rule`, `note`: what the breaker leaves out of reach) |
| `replay diff` | an object: `installation_id`, `from`, `to` (each `at`, `position`), `changes` (a list of `name`, \
`before`, `after`), `counters` (a list of `day`, `counted`, `before`, `after`), `entries` (as `replay timeline`) |
| `replay timeline` | an object: `installation_id`, `since`, `until`, `entries` (a list of `kind`, `first_at`, \
`last_at`, `first_position`, `last_position`, `count`, and what its kind holds) |
| `replay what-if` | an object: `policy`, `policy_version`, `since`, `until`, `events`, `summary` \
(counts of installations: `evaluated`, `different`, `disabled`, `actually_disabled`, `warned`, `actually_warned`; \
sums: `missed`, `avoided`, \
`delivered`, `attempts_saved`), `notes` (as `policy check`), `installations` (all of them: `installation_id`, `app`, \
`is_different`, `episodes`). An episode: `begins_at`, `begins_position`, `disabled` and `actually_disabled` (`at`, \
`position`, `cause`, `rule`, `explanation`), `warned` and `actually_warned` (lists, with `level`), and the counts |
| `test` | an object: `installation_id`, `is_success`, `position`, `recorded_at`, `delivery_id`, `webhook_url`, \
`response_code`, `error_class`, `detail`, `duration_ms`, `response_body`; nothing when there was no outcome |
| `requests` | a list: `date`, `response_code`, `webhook_url`, `event`, `app_id`, `installation_id`, `delivery_id`, \
`attempt`, `duration_ms`, `error_class`, `detail`, `position`; from code 400 on, and for code 0, also \
`request_headers`, `request_body`, `response_body`; `organization_id` of published apps; `error_id` and \
`project_id` where the endpoint gave them |
| `audit` | a list: `event`, `actor`, `target`, `data`, `recorded_at`, `position` |
| `events` | a list: `position`, `stream`, `version`, `type`, `recorded_at`, `data` |
| `events import` | an object: `lines`, `imported`, `skipped`, `pending_mails`, `given_up_mails`, \
`apps_without_secret` \
(ids), `faults` (the first 50: `line`, `text`), `fault_count`, `is_dry_run`; with `--counts`: `imported`, `unchanged`, \
`too_old`, `ahead`, `unknown` (counts of days), `smaller` and `faults` (the first 50: `place`, `text`), \
`smaller_count`, `fault_count`, `is_dry_run` |
| `replay rebuild` | an object: `projections`, `up_to_position`, `repaired` (a list of `table`, `inserted`, `updated`, \
`deleted`), `lock_ms` (for how long nobody else wrote), `waiting`, `without_payload` (null where the ledger was not \
asked for) |
| `replay rebuild --to redis` | an object: `url`, `events` |
| `replay verify --against redis` | a list: `key`, `field`, `live`, `rebuilt` |
| `replay verify` | an object: `projections`, `up_to_position`, `difference_count`, `counts` (by table), \
`differences` (a list of `table`, `key`, `field` (null = the whole row or table), `live`, `rebuilt`), `truncation`, \
`waiting`, `without_payload`; with `--log` also `log` (`events`, `last_position`, `last_hash`, `fault_count`, \
`faults`: a list of `position`, `text`), and with a fault there all others are null |
| `deliveries` | a list: `delivery_id`, `state`, `installation_id`, `event`, `ordering_key`, `attempts`, \
`enqueued_at`, `due_at`, `held_by` (breaker, pause or key), `held_until` (null: a half-open \
breaker lets one at a time through), `held_behind` (a delivery), `last_error`, \
`is_probe`, `is_recovery`, `is_expired`; with `--payload` also `data` |
| `logs` | no document, but the lines as they are, one object a line; a broken line is `{"broken_line": TEXT}` |
| `logs delivery` | an object: `delivery_id`, `installation_id`, `event`, `state`, `due_at`, `held_by` (a list of \
texts), \
`entries` (a list of `at`, `sources`: events, log, queue or id, `text`, `position`, `is_decision`, `exception`), \
`notes` |
| `logs summary` | an object: `first_at`, `last_at`, `lines` (that were wanted), `lines_read`, `broken_lines`, \
`bytes_read`, `faults`, `latencies` (a list of `outcome`, null = all, `attempts`, `p50_ms`, `p95_ms`, `p99_ms`), and \
`levels`, `events`, `event_names`, `outcomes`, `error_classes`, `installations`, each with `top` (a list of names and \
counts), `others` (what the names beyond them come to), `other_names` |
| `app signing-key` | an object: `app_id`, `public_key`, `is_changed` |
| `doctor` | a list: `subject`, `level` (`good`, `warning` or `fault`), `text`, `fix` |
| `apply` | an object: `changes` (a list of `action`, `what`, `fields`), `unlisted` (a count of installations), \
`warnings` (texts), `home` |

Times are UTC, ISO 8601 with microseconds and `Z`.
"""


def configuration_page() -> str:
    """Return docs/configuration.md."""
    from eventstore.settings.configuration import Configuration  # noqa: PLC0415 - only who makes the pages pays

    sections = [_section(one.name, one.type) for one in structs.fields(Configuration)]
    return "\n".join((_CONFIGURATION_HEAD, *sections))


def commands_page(group: click.Group) -> str:
    """Return docs/commands.md for a group of commands."""
    context = click.Context(group, info_name="hookfuse", max_content_width=_WIDTH)
    listed = "\n".join(
        f"* [`hookfuse {' '.join(path)}`](#hookfuse-{'-'.join(path)}): {_first_sentence(command)}"
        for path, command in walk_commands(group)
    )
    shared = "## Options of all commands\n\n" + _option_table(group, context)
    commands = [_command(path, command) for path, command in walk_commands(group)]
    return "\n".join((_COMMANDS_HEAD, listed + "\n", shared, *commands, _DOCUMENTS, _exit_codes()))


def walk_commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Return every command below a group with its words, in the order of the help."""
    for name in sorted(group.commands):
        listed = group.commands[name]
        if listed.hidden:  # of which a person has no use
            continue
        command = listed.load() if isinstance(listed, LazyCommand) else listed
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from walk_commands(command, (*path, name))


def _section(name: str, kind: type[Struct]) -> str:
    rows = []
    for field in structs.fields(kind):
        setting = msgspec.json.schema(field.type, schema_hook=lambda _secret: {"type": "string"})
        default = json.dumps(msgspec.to_builtins(field.default, enc_hook=lambda secret: secret.get_secret_value()))
        rows.append(
            f"| `{field.name}` | `HOOKFUSE_{name.upper()}__{field.name.upper()}` | `{default}`"
            f" | {_capital(setting['description'])} | {_limits(setting)} |"
        )
    head = "| Setting | Environment variable | Default | Meaning | Limits |\n|---|---|---|---|---|"
    return f"## `[{name}]`\n\n{kind.__doc__}\n\n{head}\n" + "\n".join(rows) + "\n"


def _limits(setting: Mapping[str, Any]) -> str:
    """Return in words what a JSON schema allows."""
    if "enum" in setting:
        return " or ".join(f"`{json.dumps(value)}`" for value in setting["enum"])
    bounds = _bounds(setting)
    if setting["type"] == "array":
        return ", ".join(part for part in (_length(setting), _each(setting["items"])) if part)
    kind = {"integer": "whole number", "number": "number", "boolean": "`true` or `false`", "string": "text"}
    pattern = "a mail address" if "pattern" in setting else ""
    return ", ".join(part for part in (kind[setting["type"]], bounds, pattern) if part)


def _bounds(setting: Mapping[str, Any]) -> str:
    words = {"exclusiveMinimum": "above", "minimum": "at least", "maximum": "at most", "exclusiveMaximum": "below"}
    return ", ".join(f"{word} {setting[key]:,}" for key, word in words.items() if key in setting)


def _length(setting: Mapping[str, Any]) -> str:
    words = {"minItems": "at least", "maxItems": "at most"}
    return ", ".join(f"{word} {setting[key]} in the list" for key, word in words.items() if key in setting)


def _each(items: Mapping[str, Any]) -> str:
    if items["type"] == "string":
        return "each an IP network, with host bits zero"
    return f"each {_bounds(items)}"


def _command(path: tuple[str, ...], command: click.Command) -> str:
    context = _context(path, command)
    prose, _, example = inspect.cleandoc(command.help or "").partition("\b\nExample:\n")
    parts = [
        f"## hookfuse {' '.join(path)}\n",
        f"```text\n{command.get_usage(context).removeprefix('Usage: ')}\n```\n",
        prose.strip() + "\n",
    ]
    options = _option_table(command, context)
    if options:
        parts.append(options)
    if example:
        parts.append(f"Example:\n\n```sh\n{textwrap.dedent(example).strip()}\n```\n")
    return "\n".join(parts)


def _context(path: tuple[str, ...], command: click.Command) -> click.Context:
    # The groups above it stand in the usage by their names only, without their own arguments.
    above = click.Context(click.Command(None), info_name=" ".join(("hookfuse", *path[:-1])))
    return click.Context(command, info_name=path[-1], parent=above, terminal_width=_WIDTH)


def _option_table(command: click.Command, context: click.Context) -> str:
    records = [
        record
        for parameter in command.params
        if isinstance(parameter, click.Option) and (record := parameter.get_help_record(context))
    ]
    if not records:
        return ""
    rows = [f"| `{_cell(names)}` | {_cell(text)} |" for names, text in records]
    return "| Option | Meaning |\n|---|---|\n" + "\n".join(rows) + "\n"


def _exit_codes() -> str:
    rows = [f"| {int(code)} | {meaning} |" for code, meaning in _exit_code_meanings().items()]
    intro = "Errors are one line on standard error that begins with `hookfuse: `."
    return f"## Exit codes\n\n{intro}\n\n| Code | Meaning |\n|---|---|\n" + "\n".join(rows) + "\n"


def _exit_code_meanings() -> dict[exit_codes.ExitCode, str]:
    """Read the text below each member, which Python itself does not keep."""
    (enum,) = ast.parse(textwrap.dedent(inspect.getsource(exit_codes.ExitCode))).body
    assert isinstance(enum, ast.ClassDef)  # noqa: S101
    meanings = dict.fromkeys(exit_codes.ExitCode, "Done.")
    for member, text in zip(enum.body, enum.body[1:], strict=False):
        if isinstance(member, ast.Assign) and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
            name = ast.unparse(member.targets[0])
            meanings[exit_codes.ExitCode[name]] = str(text.value.value)
    return meanings


def _first_sentence(command: click.Command) -> str:
    return command.get_short_help_str(200)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace(_NO_BOUND, "")


def _capital(text: str) -> str:
    return text[0].upper() + text[1:] + "."


def _write_pages() -> None:
    # By name, as the arrow between the two points the other way: it adds its command to the group.
    import_module("runner")
    for name, page in (("configuration.md", configuration_page()), ("commands.md", commands_page(cli))):
        (_DOCS / name).write_text(page, encoding="utf-8")
        print_line(f"wrote {_DOCS / name}")


if __name__ == "__main__":
    _write_pages()
