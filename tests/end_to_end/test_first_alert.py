"""What the README has a newcomer type, and what it says comes back."""

import re
from pathlib import Path

from tests.end_to_end.terminal import Terminal, answered, free_port, typed


def test_a_first_alert_goes_as_the_readme_says(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    terminal = Terminal(home, free_port())
    section = terminal.section("README.md", "A first alert")
    apply, configure, receive, run, send, look = typed(section)[1:]  # the first one activates .venv
    applied, greeted, queued, received = answered(section)

    assert terminal.type(apply) == applied
    terminal.type(configure)
    fetch_secret, start_receiver = receive.splitlines()
    terminal.type(fetch_secret)
    with (
        terminal.started(start_receiver) as receiver,
        terminal.started(run.replace("make", "hookfuse")) as daemon,
    ):
        next(receiver)  # where it listens
        lines = greeted.splitlines()
        assert [next(daemon) for _ in lines[:-1]] == lines[:-1]  # the last one names the command as it was called
        assert terminal.type(send) == queued
        a_delivery = "[0-9a-f-]{36}"
        assert re.sub(a_delivery, "", next(receiver)) == re.sub(a_delivery, "", received.strip())
        looked = terminal.type(look)

    assert re.search(r"metric_alert.critical +1 +200 ", looked)
    assert "installations  1 active" in looked
