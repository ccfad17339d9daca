"""README.md, CHANGELOG.md and docs/ say what is true: names, numbers, commands and snippets are checked."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import click
import msgspec
import pytest

import runner
from console.shell.cli import cli
from console.shell.reference import commands_page, configuration_page, walk_commands
from eventstore.events.catalogue import EVENT_CLASSES, DayRecord, DisableEvidence, Event, FailureRecord
from eventstore.policies.breaker import Breaker, BreakerRule
from eventstore.policies.day_counts import COUNTED_CLASSES, DayCounts
from eventstore.policies.evaluation import evaluate
from eventstore.policies.lint import check_policy
from eventstore.policies.policy import POLICIES, DayRule, NoSuccessRule, Policy, StreakRule
from eventstore.policies.policy_file import read_policy_document
from eventstore.projections.registry import read_installations
from eventstore.queue.queries import read_deliveries
from eventstore.registry.document import AppEntry
from eventstore.registry.rotation import public_key_text
from eventstore.settings.configuration import Configuration, load_configuration
from eventstore.sqlite.database import open_database
from tests.api_page import api_page
from webhook import ErrorClass, sentry_signature, standard_signature
from webhook.headers import platform_headers

_ROOT = Path(__file__).parent.parent
_DOCS = sorted((_ROOT / "docs").rglob("*.md"))
_PAPERS = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"]
_PAGES = [*(_ROOT / name for name in _PAPERS), _ROOT / "examples" / "README.md", *_DOCS]
_NAMED_TEST = re.compile(r"`(test_[a-z0-9_]+)`")
_TODAY = date(2025, 2, 8)
_SECRET = "a secret, ünd not in ASCII"
_BODY = '{"action":"critical","data":{"title":"ä"}}'.encode()

Verify = Callable[[str, Mapping[str, str], bytes], bool]


def _page(name: str) -> str:
    return (_ROOT / name).read_text(encoding="utf-8")


def _blocks(text: str, language: str, mark: str = "") -> list[str]:
    return re.findall(rf"{re.escape(mark)}```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def _toml_blocks() -> list[str]:
    return [block for page in _PAGES for block in _blocks(page.read_text(encoding="utf-8"), "toml")]


def _commands() -> Iterator[tuple[Path, str]]:
    for page in _PAGES:
        for block in _blocks(page.read_text(encoding="utf-8"), "sh"):
            for line in block.splitlines():
                for part in re.split(r" \| | && ", line):
                    if re.match(r"([A-Z_]+=\S+ )?hookfuse ", part):
                        yield page, part


# --- made from the code ---


def test_the_configuration_page_is_what_the_code_gives() -> None:
    assert _page("docs/configuration.md") == configuration_page(), "run: python -m console.shell.reference"


def test_the_commands_page_is_what_the_code_gives() -> None:
    assert "run" in cli.commands, runner  # which adds its command to the group
    assert _page("docs/commands.md") == commands_page(cli), "run: python -m console.shell.reference"


def test_the_python_page_is_what_the_code_gives() -> None:
    assert _page("docs/api.md") == api_page(), "run: python -m tests.api_page"


def test_every_command_stands_in_the_docs() -> None:
    names = {" ".join(path) for path, _ in walk_commands(cli)}

    assert {"run", "app secret", "deliveries resend"} <= names
    assert {name for name in names if f"\n## hookfuse {name}\n" not in _page("docs/commands.md")} == set()


def test_the_configuration_of_the_docs_is_accepted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("HOOKFUSE_")]:
        monkeypatch.delenv(name)
    texts = [block for block in _toml_blocks() if "[[rules]]" not in block]
    texts += re.findall(r"<<'END'\n(.*?)^END$", _page("README.md"), re.DOTALL | re.MULTILINE)

    assert len(texts) >= 3
    for text in texts:
        file = tmp_path / "hookfuse.toml"
        file.write_text(text, encoding="utf-8")
        load_configuration(file)


@pytest.mark.parametrize(("page", "line"), list(_commands()), ids=lambda value: getattr(value, "name", value))
def test_every_command_line_of_the_docs_is_one_that_the_command_takes(page: Path, line: str) -> None:
    words = shlex.split(line, comments=True)
    words = words[1 + words.index("hookfuse") :]
    command: click.Command = cli
    context = click.Context(cli, info_name="hookfuse")
    commands = dict(walk_commands(cli))
    path: tuple[str, ...] = ()

    while True:
        _, rest, _ = command.make_parser(context).parse_args(args=list(words))
        if not isinstance(command, click.Group) or not rest:
            break
        path, words = (*path, rest[0]), rest[1:]
        assert path in commands, f"{page.name}: {line}"
        command = commands[path]
        context = click.Context(command, info_name=path[-1], parent=context)

    assert path, f"{page.name}: {line}"


# --- events ---


def _section(heading: str) -> str:
    """Return the text of the event page below the heading that names a type."""
    parts = re.split(r"^##+ ", _page("docs/events.md"), flags=re.MULTILINE)
    return "\n".join(part for part in parts if heading in part.partition("\n")[0].split(", "))


@pytest.mark.parametrize("event_class", EVENT_CLASSES.values(), ids=EVENT_CLASSES)
def test_every_event_and_each_of_its_fields_is_described(event_class: type[Event]) -> None:
    section = _section(event_class.type_name)

    assert section, f"{event_class.type_name} has no heading"
    assert [field for field in event_class.__struct_fields__ if f"`{field}`" not in section] == []


def test_the_evidence_is_described() -> None:
    section = _section("installation.disabled")
    fields = {field for part in (DisableEvidence, DayRecord, FailureRecord) for field in part.__struct_fields__}

    assert {field for field in fields if f"`{field}`" not in section} == set()


def test_no_event_is_described_that_there_is_not() -> None:
    headings = re.findall(r"^### (.+)$", _page("docs/events.md"), re.MULTILINE)

    assert {name for heading in headings for name in heading.split(", ")} == set(EVENT_CLASSES)


def test_every_error_class_is_described() -> None:
    section = _section("delivery.failed")

    assert {one for one in ErrorClass if f"| `{one}` |" not in section} == set()


def test_columns_triggers_and_tables_are_those_of_the_database(tmp_path: Path) -> None:
    text = _page("docs/events.md")
    with closing(open_database(tmp_path / "events.db", is_writer=False)) as connection:
        names = [row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE sql IS NOT NULL")]
        columns = [row[1] for row in connection.execute("PRAGMA table_info(events)")]
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        hidden = (
            "sqlite_",
            "_sqlite",
            "idx__sqlite",
            "queue_by",
            "installations_by",
            "outbox_by",
            "buffer_of",
            "idempotency_keys_by",
        )
        named = [name for name in names if not name.startswith(hidden)]

        assert [name for name in [*named, *columns] if f"`{name}`" not in text] == []
        assert f"`user_version`, {version} today" in text
        for block in _blocks(text, "sql"):
            connection.execute(block)


def test_the_program_that_checks_the_chain_holds_and_breaks(home_with_an_app: Path) -> None:
    (program,) = _blocks(_page("docs/events.md"), "python")
    database = home_with_an_app / "events.db"
    good = _run_program(program, database)
    with closing(open_database(database, is_writer=True)) as connection:
        connection.execute("DROP TRIGGER events_refuse_update")
        connection.execute("UPDATE events SET data = replace(data, 'Acme', 'Evil') WHERE position = 1")

    bad = _run_program(program, database)

    assert (good.returncode, good.stdout) == (0, "the chain holds\n")
    assert (bad.returncode, bad.stderr) == (1, "the chain breaks at position 1\n")


def _run_program(program: str, *arguments: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)], capture_output=True, text=True, check=False
    )


# --- policies ---


def _examples() -> Iterator[tuple[str, str, list[str]]]:
    for part in _page("docs/policy-examples.md").split("\n## Worked examples: ")[1:]:
        policy = part.partition("\n")[0].strip("`")
        rows = [line for line in part.splitlines() if line.startswith("| ")][1:]
        for row in rows:
            example, *cells = [cell.strip() for cell in row.strip("|").split("|")]
            yield policy, example, cells


def _days(cells: list[str]) -> Iterator[DayCounts]:
    for days_ago, cell in zip(range(len(cells) - 1, -1, -1), cells, strict=True):
        if cell != "-":
            counts = {name: int(count) for count, name in (part.split() for part in cell.split(", "))}
            yield DayCounts((_TODAY - timedelta(days=days_ago)).isoformat(), **counts)


@pytest.mark.parametrize(("policy", "example", "cells"), list(_examples()), ids=lambda value: str(value)[:50])
def test_a_worked_example_is_judged_as_the_table_says(policy: str, example: str, cells: list[str]) -> None:
    *days, is_broken, rule, progress = cells

    evaluation = evaluate(POLICIES[policy], list(_days(days)), _TODAY)

    assert len(days) == POLICIES[policy].window_days, example
    assert ("yes" if evaluation.is_broken else "no") == is_broken
    assert (f"`{evaluation.rule}`" if evaluation.rule else "-") == rule
    assert f"{evaluation.progress:.2f}" == progress


def test_there_are_examples_of_both_policies() -> None:
    assert {policy for policy, _, _ in _examples()} == set(POLICIES)


def test_the_policies_of_the_docs_are_those_of_the_code() -> None:
    blocks = _blocks(_page("docs/policies.md"), "json")

    assert {msgspec.json.decode(block, type=Policy) for block in blocks} == set(POLICIES.values())


def test_the_policy_files_of_the_docs_are_read_and_every_rule_can_fire(tmp_path: Path) -> None:
    texts = [block for block in _toml_blocks() if "[[rules]]" in block]

    assert texts
    for text in texts:
        (tmp_path / "policy.toml").write_text(text, encoding="utf-8")
        assert check_policy(read_policy_document(tmp_path / "policy.toml")) == ()


def test_every_key_of_a_policy_file_is_described() -> None:
    section = _page("docs/own-policies.md")
    keys = {key for part in (Policy, DayRule, StreakRule, NoSuccessRule) for key in part.__struct_fields__} - {"rules"}

    assert {key for key in keys if f"`{key}`" not in section} == set()


def test_every_setting_of_an_app_is_described() -> None:
    assert [name for name in AppEntry.__struct_fields__ if f"`{name}`" not in _page("docs/registry.md")] == []


def test_every_counted_class_is_described() -> None:
    assert [name for name in COUNTED_CLASSES if f"| `{name}` |" not in _page("docs/policies.md")] == []


# --- receivers ---


def _signed(*secrets: str, timestamp_s: int | None = None, signing_key: bytes | None = None) -> dict[str, str]:
    headers = platform_headers(
        host_header="pager.example",
        resource="metric_alert",
        request_id="r",
        delivery_id="01a20a65-72b7",
        timestamp_s=int(time.time()) if timestamp_s is None else timestamp_s,
        secrets=secrets or (_SECRET,),
        body=_BODY,
        signing_key=signing_key,
    )
    return {name.lower(): value for name, value in headers}


def _insist_on_verifying(verify_sentry: Verify, verify_standard: Verify) -> None:
    good = _signed()
    late = _signed(timestamp_s=int(time.time()) - 600)
    rotated = good | {"webhook-signature": f"v1,AAAA {good['webhook-signature']}"}
    for verify in (verify_sentry, verify_standard):
        assert verify(_SECRET, good, _BODY)
        assert not verify(_SECRET, good, _BODY + b" ")
        assert not verify(_SECRET, _signed("another"), _BODY)
        assert not verify(_SECRET, {}, _BODY)
    assert verify_sentry(_SECRET, late, _BODY)
    assert not verify_standard(_SECRET, late, _BODY)
    assert not verify_standard(_SECRET, good | {"webhook-id": "another"}, _BODY)
    assert not verify_standard(_SECRET, good | {"webhook-timestamp": "soon"}, _BODY)
    assert verify_standard(_SECRET, rotated, _BODY)


def test_the_python_snippet_verifies_both_signatures() -> None:
    block = _blocks(_page("docs/receivers.md"), "python", mark="<!-- runs -->\n")[0]
    names: dict[str, Any] = {}

    exec(compile(block, "receivers.md", "exec"), names)

    _insist_on_verifying(names["verify_sentry"], names["verify_standard"])


def test_the_snippets_for_receivers_are_those_of_the_receiver() -> None:
    source = _page("examples/receiver.py")
    verifying = source.partition("# --- verifying ---\n")[2].partition("\n\n# --- end ---")[0].strip()

    assert verifying in _page("docs/receivers.md")


def test_during_a_rotation_a_receiver_with_either_secret_verifies_as_the_page_says() -> None:
    block = _blocks(_page("docs/receivers.md"), "python", mark="<!-- runs -->\n")[0]
    names: dict[str, Any] = {}
    exec(compile(block, "receivers.md", "exec"), names)
    both = _signed("the old one", "the new one")

    assert both["webhook-signature"].count("v1,") == 2
    assert names["verify_standard"]("the old one", both, _BODY)
    assert names["verify_standard"]("the new one", both, _BODY)
    assert names["verify_sentry"]("the old one", both, _BODY)
    assert not names["verify_sentry"]("the new one", both, _BODY)


def test_the_snippet_for_public_keys_verifies_the_last_signature() -> None:
    (snippet,) = [block for block in _blocks(_page("docs/receivers.md"), "python") if "def verify_public" in block]
    names: dict[str, Any] = {"Mapping": Mapping}
    seed, another = bytes(range(32)), bytes(32)
    headers = _signed(signing_key=seed)

    exec(compile(snippet, "receivers.md", "exec"), names)

    assert headers["webhook-signature"].split()[-1].startswith("v1a,")
    assert names["verify_public"](public_key_text(seed), headers, _BODY)
    assert not names["verify_public"](public_key_text(seed), headers, _BODY + b" ")
    assert not names["verify_public"](public_key_text(another), headers, _BODY)
    assert not names["verify_public"](public_key_text(seed), _signed(), _BODY)


_NODE_CHECK = """
const { headers, body, secret, late } = JSON.parse(require("node:fs").readFileSync(0));
const bytes = Buffer.from(body);
const more = Buffer.concat([bytes, Buffer.from(" ")]);
const found = [];
for (const verify of [verifySentry, verifyStandard])
  found.push(verify(secret, headers, bytes), verify(secret, headers, more), verify("another", headers, bytes),
    verify(secret, {}, bytes), verify(secret, late, bytes));
console.log(JSON.stringify(found));
"""


def test_the_policy_and_the_receiver_for_node_among_the_examples_are_those_of_the_docs() -> None:
    (snippet,) = _blocks(_page("docs/receivers.md"), "js")
    strict = [block for block in _toml_blocks() if 'name = "strict"' in block]

    assert snippet in _page("examples/receiver.cjs")
    assert [_page("examples/strict.toml").partition("\n")[2]] == strict


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_the_node_snippet_verifies_both_signatures() -> None:
    (snippet,) = _blocks(_page("docs/receivers.md"), "js")
    late = _signed(timestamp_s=int(time.time()) - 600)
    told = json.dumps({"headers": _signed(), "late": late, "secret": _SECRET, "body": _BODY.decode()})

    done = subprocess.run(["node", "-e", snippet + _NODE_CHECK], input=told, capture_output=True, text=True, check=True)

    assert json.loads(done.stdout) == [True, False, False, False, True, True, False, False, False, False]


def test_every_header_that_is_sent_is_described() -> None:
    names = set(_signed()) - {"host", "accept"}

    assert {name for name in names if f"| `{name}` |" not in _page("docs/receivers.md").lower()} == set()


def test_the_signatures_are_made_as_the_page_says() -> None:
    assert _signed(timestamp_s=7)["sentry-hook-signature"] == sentry_signature(_SECRET, _BODY)
    assert _signed(timestamp_s=7)["webhook-signature"] == standard_signature([_SECRET], "01a20a65-72b7", 7, _BODY)


# --- delivering ---


def _failures_until_open(breaker: Breaker, now: datetime) -> int:
    return next(count for count in range(1, 100) if breaker.note(now, is_success=False))


def test_the_waits_of_the_breaker_are_those_of_the_table() -> None:
    rows = re.findall(r"^\| (\d+) \| (\d+) min \|$", _page("docs/delivering.md"), re.MULTILINE)
    now = datetime(2025, 2, 8, tzinfo=UTC)
    breaker = Breaker(BreakerRule(), failed_trials=0)

    assert [int(number) for number, _ in rows] == list(range(6))
    assert int(rows[0][1]) * 60 == breaker.rule.open_s
    for _, minutes in rows[1:]:
        trip = breaker.probe_failed(now)
        assert trip.until - now == timedelta(minutes=int(minutes))
        breaker.opened(trip)


def test_the_limits_of_the_breaker_are_those_of_the_page() -> None:
    page, now, rule = _page("docs/delivering.md"), datetime(2025, 2, 8, tzinfo=UTC), BreakerRule()
    recovering = Breaker(rule)
    recovering.closed(now)
    usual, strict = _failures_until_open(Breaker(rule), now), _failures_until_open(recovering, now)

    assert (
        f"{usual} failures in a row; or, within {rule.window_s / 60:.0f} minutes, {rule.failures_min} failures" in page
    )
    assert f"{strict} in a row, or {rule.failures_min // rule.recovery_factor} within" in page
    assert f"after {rule.recovery_s / 60:.0f} minutes: closed" in page
    assert rule.failure_share_min == 0.5, "half of the attempts"


def test_the_defaults_that_the_page_names_are_those_of_the_configuration() -> None:
    page, defaults = _page("docs/delivering.md") + _page("docs/kept-deliveries.md"), Configuration()
    named = {
        f"(`[delivery] slow_down_s` ({defaults.delivery.slow_down_s:.0f} s)": "slow_down_s",
        f"{defaults.delivery.in_flight} requests are under way at once (`[delivery] in_flight`)": "in_flight",
        f"{defaults.delivery.per_installation} to one installation (`per_installation`)": "per_installation",
        f"the last {defaults.delivery.idle_s:.0f} s": "idle_s",
        f"more than {defaults.outage.share:.0%} of them".replace("%", " percent"): "share",
        f"at least {defaults.outage.installations_min}, have begun": "installations_min",
        f"within {defaults.outage.window_s / 60:.0f} minutes (`[outage]`)": "window_s",
        f"`[missed] recover_per_s` ({defaults.missed.recover_per_s:.0f})": "recover_per_s",
        f"{defaults.missed.keep_s / 86_400:.0f} days from its queueing (`[missed] keep_s`": "keep_s",
    }

    assert [name for text, name in named.items() if text.lstrip("(") not in page] == []
    assert (defaults.probing.first_s, defaults.probing.factor, defaults.probing.max_s) == (3_600, 2, 86_400)
    assert defaults.probing.cool_down_s == 86_400
    assert not defaults.probing.enabled
    assert not defaults.delivery.rate_per_s


# --- README ---


@pytest.fixture
def home_with_an_app(tmp_path: Path) -> Path:
    home = tmp_path / "home"
    registry = _ROOT / "console" / "examples" / "registry.toml"
    subprocess.run(
        [sys.executable, "-m", "runner", "--home", home, "apply", registry], check=True, capture_output=True, cwd=_ROOT
    )
    return home


def test_the_snippets_that_send_queue_what_they_say(home_with_an_app: Path) -> None:
    alert, issue = _blocks(_page("docs/sending.md"), "python", mark="<!-- runs -->\n")
    with closing(open_database(home_with_an_app / "events.db", is_writer=False)) as connection:
        (installation,) = read_installations(connection)
        twice = f"for _ in range(2):\n    send_issue({installation.installation_id!r})\n"
        program = f"{alert}\nassert is_queued\n{issue}\n{twice}"
        environment = os.environ | {"HOOKFUSE_HOME": str(home_with_an_app)}

        subprocess.run([sys.executable, "-W", "error", "-c", program], check=True, env=environment, cwd=_ROOT)

        queued = [one.event_name for one in read_deliveries(connection)]
    assert queued == ["metric_alert.resolved", "issue.created"]


def test_all_python_of_the_docs_compiles() -> None:
    for page in _PAGES:
        for block in _blocks(page.read_text(encoding="utf-8"), "python"):
            compile(block, page.name, "exec")


# --- glossary ---


def test_each_name_of_the_code_in_the_glossary_is_there() -> None:
    words = re.findall(r"^\| (.+?) \|", _page("docs/glossary.md").partition("## What engineers meet")[2], re.MULTILINE)
    names = [name for word in words for name in re.findall(r"\b[A-Z][a-z]+[A-Z]\w+\b|\b[A-Z]{3,}_[A-Z_]+\b", word)]
    rooms = ("actors", "console", "eventstore", "replay", "webhook")
    code = "\n".join(path.read_text(encoding="utf-8") for room in rooms for path in (_ROOT / room).rglob("*.py"))

    assert len(names) > 20
    assert [name for name in names if not re.search(rf"^ *(?:class )?{name}\b(?: =|[:(])", code, re.MULTILINE)] == []


def test_the_glossary_is_in_the_order_of_the_alphabet() -> None:
    for part in _page("docs/glossary.md").split("\n## ")[1:]:
        words = re.findall(r"^\| (?!Word)([^|]+?) \|", part, re.MULTILINE)

        assert words == sorted(words, key=str.casefold)


# --- all pages ---


def _anchor(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: page.name)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if target.startswith("https://"):
            continue
        name, _, anchor = target.partition("#")
        path = (page.parent / name).resolve() if name else page
        assert path.is_file(), f"{page.name}: {target}"
        assert path.is_relative_to(_ROOT), f"{page.name}: {target}"
        if anchor:
            headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in map(_anchor, headings), f"{page.name}: {target}"


def test_every_page_is_in_the_nav_of_the_site_and_the_start_page_leads_to_it() -> None:
    pages = [str(page.relative_to(_ROOT / "docs")) for page in _DOCS]
    decisions = [name for name in pages if name.startswith("adr/0")]  # which their own page lists
    nav = re.findall(r"([\w/-]+\.md)$", _page("mkdocs.yml"), re.MULTILINE)

    assert [name for name in pages if name not in nav] == []
    assert [name for name in pages if f"]({name})" not in _page("docs/index.md")] == [*decisions, "index.md"]
    assert [one for one in decisions if f"]({one.removeprefix('adr/')})" not in _page("docs/adr/README.md")] == []


def test_the_readme_is_read_at_one_go() -> None:
    assert len(_page("README.md").splitlines()) < 200


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: page.name)
def test_every_test_that_a_page_names_exists(page: Path) -> None:
    defined = {
        name
        for path in (_ROOT / "tests").rglob("*.py")
        for name in re.findall(r"^def (test_\w+)\(", path.read_text(encoding="utf-8"), re.MULTILINE)
    }

    assert set(_NAMED_TEST.findall(page.read_text(encoding="utf-8"))) - defined == set()


def test_no_page_but_the_proofs_names_a_test() -> None:
    naming = [page.name for page in _PAGES if _NAMED_TEST.search(page.read_text(encoding="utf-8"))]

    assert naming == ["proofs.md"]


def test_every_promise_names_a_test() -> None:
    rows = re.findall(r"^\| .*$", _page("docs/proofs.md"), re.MULTILINE)
    promises = [row for row in rows if not row.startswith(("| Promise |", "| # |"))]

    assert [row for row in promises if not _NAMED_TEST.search(row.rpartition(" | ")[2])] == []


def test_all_that_is_promised_and_each_of_the_faults_has_its_proof() -> None:
    proofs = _page("docs/proofs.md")
    promises = re.findall(r"^\| (.+?) \| .+ \|$", _page("docs/promises.md").split("\n\n")[2], re.MULTILINE)[1:]
    faults = re.findall(r"^\| (\d+) \|", _page("docs/design.md"), re.MULTILINE)

    assert len(promises) == 15
    assert len(faults) == 12
    assert [one for one in promises if f"\n| {one[0].upper()}{one[1:]}: " not in proofs] == []
    assert [number for number in faults if f"\n| {number} | " not in proofs] == []


def test_the_picture_needs_nothing_from_outside() -> None:
    picture = _page("docs/way-of-a-delivery.svg").replace('xmlns="http://www.w3.org/2000/svg"', "")

    assert "http" not in picture
    assert "@import" not in picture
    assert "prefers-color-scheme: dark" in picture


def _files() -> Iterator[Path]:
    tops = [*_PAPERS, "LICENSE", "Makefile", "pyproject.toml", "runner.py", "mkdocs.yml"]
    tops += [".gitignore", ".pre-commit-config.yaml"]
    yield from (_ROOT / name for name in tops)
    folders = ["actors", "benchmarks", "console", "docs", "eventstore", "examples", "replay", "tests", "webhook", ".ci"]
    for folder in folders:
        yield from (path for path in (_ROOT / folder).rglob("*") if path.is_file() and "__pycache__" not in path.parts)


def test_no_file_names_a_path_of_this_machine_or_a_package_index() -> None:
    # Put together here, so that this file does not hold them either.
    indexes = [
        "pypi" + ".org",
        "python" + "hosted",
        "npm" + "js",
        "artif" + "actory",
        "index" + "-url",
        "find" + "-links",
    ]
    paths = [f"/{'work'}/", f"/{'root'}/", f"/{'home'}/", f"/{'Users'}/", f"../{'shared'}"]
    paths += [f"{_ROOT}/"] * (len(_ROOT.parts) > 2)

    found = [
        f"{path.relative_to(_ROOT)}: {word}"
        for path in _files()
        for word in (*indexes, *paths)
        if word in path.read_text(encoding="utf-8", errors="replace")
    ]

    assert found == []
