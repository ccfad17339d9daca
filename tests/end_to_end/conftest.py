"""A stage for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.stage import Stage, serving


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with (
        serving("receiver.py", tmp_path / "receiver.jsonl") as receiver,
        serving("mail_server.py", tmp_path / "mails.jsonl") as mail_server,
    ):
        stage = Stage(tmp_path / "home", receiver, mail_server)
        stage.configure()
        yield stage
