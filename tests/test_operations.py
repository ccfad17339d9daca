"""What is shipped for operations is true: every metric that is named exists, and every one that exists is named."""

import json
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from actors.observability.metrics import Metrics, Readings
from actors.observability.process_stats import ProcessStats
from console.shell.exit_codes import ExitCode
from eventstore.redis.stream_depth import StreamDepth
from eventstore.settings.configuration import Configuration
from eventstore.views.system_overview import SystemOverview
from tests.exposition import Exposition

_ROOT = Path(__file__).parent.parent
_SHIPPED = _ROOT / "docs" / "operations"
# What a process says of itself, in the names that all Prometheus clients use.
_OF_PROCESS = "process_"
_NAME = re.compile(r"\b((?:hookfuse|process|node)_[a-z_]+)\b")


def exposition() -> Exposition:
    """Return all that a daemon can say, with all that can be configured."""
    signs = SystemOverview(
        last_position=0,
        deliveries={"waiting": 0, "missed": 0, "dead": 0},
        oldest_waiting_s=0.0,
        overdue_s=0.0,
        installations={"active": 0, "disabled": 0, "removed": 0},
        breakers={"open": 0},
        paused=0,
        warned={50: 0},
        mails={"requested": 0, "sent": 0, "failed": 0},
        is_frozen=False,
        is_clock_doubted=False,
    )
    readings = Readings(
        is_ready=True, signs=signs, process_stats=ProcessStats(), redis_lag=0, stream=StreamDepth("redis://localhost")
    )
    return Exposition(Metrics().expose(readings))


def table_rows(shown: Exposition) -> list[str]:
    """Return the rows that docs/metrics.md has to have."""
    rows = []
    for name, labels in shown.shape().items():
        family = shown.families[name]
        if not name.startswith(_OF_PROCESS):
            full = f"{name}_total" if family.type == "counter" else name
            told = ", ".join(f"`{label}`" for label in labels)
            rows.append(f"| `{full}` | {family.type} | {told} | {family.documentation} |")
    return sorted(rows)


def _text(name: str) -> str:
    return (_SHIPPED / name).read_text(encoding="utf-8")


def _dashboard() -> dict[str, Any]:
    return dict(json.loads(_text("grafana-dashboard.json")))


def _expressions(dashboard: dict[str, Any]) -> Iterator[str]:
    for panel in dashboard["panels"]:
        yield from (target["expr"] for target in panel.get("targets", ()))
    yield from (one["expr"] for one in dashboard["annotations"]["list"])


def _alert_expressions() -> dict[str, str]:
    """Return the expressions of the rules; each ends where its next key begins."""
    rules = re.split(r"^      - alert: ", _text("alerts.yml"), flags=re.MULTILINE)[1:]
    found = {}
    for rule in rules:
        match = re.search(r"^        expr: (.*?)^        (?:for|labels): ", rule, re.DOTALL | re.MULTILINE)
        assert match, rule
        found[rule.partition("\n")[0]] = match[1]
    return found


def test_every_metric_stands_in_the_docs_with_its_type_labels_and_meaning() -> None:
    page = (_ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `hookfuse_.*$", page, re.MULTILINE)

    assert rows == table_rows(exposition())


def test_every_metric_has_a_panel() -> None:
    shown = exposition()
    asked = {name for expression in _expressions(_dashboard()) for name in _NAME.findall(expression)}
    wanted = {name for name in shown.families if not name.startswith(_OF_PROCESS)}

    assert {name for name in wanted if not any(one.startswith(name) for one in asked)} == set()


def test_every_metric_that_a_panel_asks_for_exists() -> None:
    names = exposition().sample_names
    asked = {name for expression in _expressions(_dashboard()) for name in _NAME.findall(expression)}

    assert len(asked) > 20
    assert asked - names == set()


def test_every_label_value_that_a_panel_or_an_alert_asks_for_can_be() -> None:
    shown = exposition()
    known = {label for label, _ in shown.labels} | {"instance", "job", "mountpoint"}
    expressions = [*_expressions(_dashboard()), *_alert_expressions().values()]
    asked = [pair for expression in expressions for pair in re.findall(r'(\w+)(?:=|!=|=~|!~)"([^"]*)"', expression)]

    assert {label for label, _ in asked} <= known
    for label, value in asked:
        if label in ("type", "outcome", "state"):
            for option in value.split("|") if "(" not in value else [value]:
                assert any(re.fullmatch(option, one) for name, one in shown.labels if name == label), (label, option)


def test_the_dashboard_can_be_imported_anywhere() -> None:
    dashboard = _dashboard()
    ids = [panel["id"] for panel in dashboard["panels"]]
    variables = {one["name"]: one["type"] for one in dashboard["templating"]["list"]}
    sources = {json.dumps(panel["datasource"]) for panel in dashboard["panels"] if panel["type"] != "row"}

    assert "id" not in dashboard
    assert len(set(ids)) == len(ids)
    assert variables == {"datasource": "datasource", "instance": "query"}
    assert sources == {'{"type": "prometheus", "uid": "${datasource}"}'}


def test_every_metric_that_an_alert_asks_for_exists() -> None:
    names = exposition().sample_names | {"node_filesystem_avail_bytes", "node_filesystem_size_bytes"}
    alerts = _alert_expressions()

    assert len(alerts) > 10
    for alert, expression in alerts.items():
        asked = set(_NAME.findall(expression))
        assert asked or "up{" in expression, alert
        assert asked <= names, alert


def test_every_alert_is_tried() -> None:
    tried = _text("alerts.test.yml")

    assert [alert for alert in _alert_expressions() if tried.count(alert) < 2] == []


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool comes with Prometheus")
def test_prometheus_takes_the_alerts_and_they_speak_when_they_should() -> None:
    for arguments in (["check", "rules", "alerts.yml"], ["test", "rules", "alerts.test.yml"]):
        done = subprocess.run(["promtool", *arguments], cwd=_SHIPPED, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


# --- the unit and the image ---


def _unit() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in _text("hookfuse.service").splitlines():
        if line and line[0] not in "#[":
            name, _, value = line.partition("=")
            found.setdefault(name, []).append(value)
    return found


def test_the_unit_restarts_what_has_crashed_and_not_what_a_person_has_to_mend() -> None:
    codes = {int(code) for code in _unit()["RestartPreventExitStatus"][0].split()}

    assert codes == {ExitCode.USAGE, ExitCode.BAD_INPUT, ExitCode.HOME, ExitCode.ALREADY_RUNNING}
    assert ExitCode.CRASHED not in codes


def test_the_unit_waits_for_longer_than_a_stop_takes() -> None:
    # Beyond [daemon] stop_s: 5 for workers to leave, 3 each to count and to close.
    assert int(_unit()["TimeoutStopSec"][0]) > Configuration().daemon.stop_s + 5 + 3 + 3


def test_the_unit_s_watchdog_is_slower_than_the_loop() -> None:
    assert int(_unit()["WatchdogSec"][0]) / 2 > Configuration().daemon.poll_s * 10


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze comes with systemd")
def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    unit = tmp_path / "hookfuse.service"
    unit.write_text(_text("hookfuse.service").replace("/opt/hookfuse/bin/hookfuse", "/bin/true"))
    done = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")


def test_the_image_holds_what_the_package_holds() -> None:
    dockerfile = _text("Dockerfile")
    copied = {name for line in re.findall(r"^COPY (?!--)(.*) \S+$", dockerfile, re.MULTILINE) for name in line.split()}
    project = tomllib.loads((_ROOT / "pyproject.toml").read_text())
    included = set(project["tool"]["hatch"]["build"]["only-include"])

    assert copied == included | {"pyproject.toml", "README.md", "LICENSE", "requirements"}


def test_the_image_runs_as_nobody_in_particular_and_asks_for_its_own_health() -> None:
    dockerfile = _text("Dockerfile")

    assert re.search(r"^USER (\d+)$", dockerfile, re.MULTILINE)
    assert "/healthz" in dockerfile
    assert "HOOKFUSE_METRICS__LISTEN=0.0.0.0:9464" in dockerfile
