"""What the daemon says at its start can be typed, and where nothing would arrive it says so."""

from pathlib import Path

import pytest

from console.shell.greeting import greeting
from eventstore.common.clock import SystemClock
from eventstore.home.folder import Home
from eventstore.registry.apply import apply_document
from eventstore.registry.document import read_registry_document
from eventstore.settings.configuration import Configuration
from eventstore.settings.sections import MetricsSettings
from eventstore.unit_of_work import Store

EXAMPLE = Path(__file__).parents[3] / "console" / "examples" / "registry.toml"


@pytest.mark.parametrize(
    ("url", "is_warned_of"),
    [(None, True), ("https://pager.example/webhook", True), ("http://127.0.0.1:8080/webhook", False)],
)
def test_an_example_that_leads_nowhere_says_so(tmp_path: Path, url: str | None, is_warned_of: bool) -> None:
    home = Home(tmp_path / "home")
    home.prepare()
    registry = tmp_path / "registry.toml"
    registry.write_text(EXAMPLE.read_text().replace("https://pager.example/webhook", url or ""))
    with Store(home.database, SystemClock()) as store:
        if url is not None:
            with store.transaction() as transaction:
                apply_document(transaction, read_registry_document(registry))
    told = greeting(home, Configuration(), 1)

    assert ("nothing arrives" in told) is is_warned_of
    assert "alert --app 5 --organization 17" in told


@pytest.mark.parametrize(
    ("listen", "told"),
    [
        ("127.0.0.1:9464", "  metrics   http://127.0.0.1:9464/metrics"),
        ("127.0.0.1:0", "  metrics   on a free port of 127.0.0.1: the log's line observer_listening names it"),
        ("[::1]:0", "  metrics   on a free port of [::1]: the log's line observer_listening names it"),
    ],
)
def test_where_the_metrics_are_is_told_and_never_as_port_0(tmp_path: Path, listen: str, told: str) -> None:
    home = Home(tmp_path / "home")
    home.prepare()
    configuration = Configuration(metrics=MetricsSettings(listen=listen))

    assert told in greeting(home, configuration, 1).splitlines()
