import json
import os
import pty
import subprocess
import sys
import threading

import pytest
from rich.cells import cell_len

from console.output import tables as output
from console.output.progress import SlowProgress
from console.output.tables import Column, print_facts, print_json, print_json_rows, print_table, shown_id
from tests.console.conftest import CHAT, World
from tests.console.shell.test_command_line import SCRIPT

COLUMNS = (Column("id", is_whole=True), Column("count", is_number=True), Column("text"), Column("more", is_extra=True))


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "is_terminal", lambda: True)
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("TERM", "xterm")


def test_a_plain_table_is_aligned_and_whole(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(COLUMNS, [("a", 1, "x" * 200, None), ("bb", 100, "", 0.256)], title="title")

    assert capsys.readouterr().out.splitlines() == [
        "title",
        "id  count  text".ljust(213) + "more",
        "a       1  " + "x" * 200 + "  -",
        "bb    100  -".ljust(213) + "0.26",
    ]


def test_nothing_of_a_cell_moves_the_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(COLUMNS, [("a\x1b[2J", 1, "b\nc", "\u202e")])
    print_facts({"name": "a\x1b[2J", "none": None, "empty": ""})

    assert capsys.readouterr().out.splitlines()[1:] == ["a\\x1b[2J      1  b\\nc  \\u202e", "name  a\\x1b[2J"]


@pytest.mark.usefixtures("terminal")
def test_markup_is_text_on_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(COLUMNS, [("[red]a[/red]", 1, "b\x1b[2J", ":smile:")])

    shown = capsys.readouterr().out
    assert "[red]a[/red]" in shown
    assert "\\x1b[2J" in shown
    assert ":smile:" in shown
    assert "\x1b[2J" not in shown


@pytest.mark.usefixtures("terminal")
def test_a_narrow_terminal_folds_text_and_puts_what_is_extra_below(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(COLUMNS, [("0123456789", 1, "words " * 10, "and more")])

    shown = capsys.readouterr().out
    assert "0123456789" in shown
    assert shown.count("words") == 10
    assert "and more" in shown.splitlines()[-1]
    assert max(len(line.rstrip()) for line in shown.splitlines()) <= 40 + len("\x1b[1m\x1b[0m") * 6


WIDE = (
    Column("id", is_whole=True),
    Column("count", is_number=True),
    Column("text"),
    Column("when", is_whole=True, is_extra=True),
    Column("error", is_extra=True),
)


@pytest.mark.usefixtures("terminal")
@pytest.mark.parametrize("width", [12, 20, 30, 40, 50, 60, 80, 100, 200])
def test_at_no_width_anything_is_lost(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    rows = [(f"id{n}", 100 + n, f"text{n}", f"at{n}", f"error{n}") for n in range(3)]
    print_table(WIDE, rows)
    shown = capsys.readouterr().out

    assert [str(cell) for row in rows for cell in row if str(cell) not in shown] == []


@pytest.mark.usefixtures("terminal")
@pytest.mark.parametrize("width", range(12, 60))
def test_of_letters_that_are_two_columns_wide_none_is_lost_at_any_width(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    print_table(WIDE, [("漢字漢字漢字", 1, "文", "時刻時刻時刻", "誤り"), ("id", 2, "text", "at", "error")])

    shown = "".join(capsys.readouterr().out.split())
    assert [shown.count(letter) for letter in "漢字文時刻誤り"] == [3, 3, 1, 3, 3, 1, 1]


def test_in_a_pipe_columns_stand_below_each_other_whatever_the_letters(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(COLUMNS, [("漢字", 1, "e\u0301", "x"), ("id", 22, "text", "y")])

    lines = capsys.readouterr().out.splitlines()[1:]
    assert [cell_len(line[: line.index(last)]) for line, last in zip(lines, "xy", strict=True)] == [19, 19]


def test_ids_are_shortened_for_a_person_only(monkeypatch: pytest.MonkeyPatch) -> None:
    assert shown_id(CHAT) == CHAT
    monkeypatch.setattr(output, "is_terminal", lambda: True)

    assert shown_id(CHAT) == "7c1f0a99"
    assert shown_id(f"installation-{CHAT}") == "installation-7c1f0a99"
    assert shown_id("organization-17") == "organization-17"


def test_json_rows_are_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    print_json_rows({"n": number} for number in range(3))
    assert json.loads(capsys.readouterr().out) == [{"n": 0}, {"n": 1}, {"n": 2}]

    print_json_rows([])
    assert json.loads(capsys.readouterr().out) == []


def test_json_is_indented_on_a_terminal_and_obeyed_by_none(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    print_json({"a": "\x9b2J"})
    assert capsys.readouterr().out == '{"a":"\\u009b2J"}\n'

    monkeypatch.setattr(output, "is_terminal", lambda: True)
    print_json({"a": 1})
    assert capsys.readouterr().out == '{\n  "a": 1\n}\n'


def test_progress_is_quiet_while_it_is_quick_and_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    seconds = iter([0.0, 0.5, 10.0])
    with SlowProgress("checking", 3, lambda: next(seconds)) as progress:
        progress.advance(1)
        progress.advance(1)

    assert capsys.readouterr().err == ""


def test_progress_is_shown_once_it_takes_long(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    seconds = iter([0.0, 2.0])
    with SlowProgress("checking", 3, lambda: next(seconds)) as progress:
        progress.advance(1)
        progress.advance(2)

    assert "checking" in capsys.readouterr().err


def _on_a_terminal(world: World, *words: str) -> str:
    controller, terminal = pty.openpty()
    shown: list[bytes] = []

    def read() -> None:
        try:
            while piece := os.read(controller, 65_536):
                shown.append(piece)
        except OSError:  # the other side is closed
            pass

    reader = threading.Thread(target=read)
    reader.start()
    environment = os.environ | {"COLUMNS": "100", "TERM": "xterm-256color"}
    command = [sys.executable, "-c", SCRIPT, "--home", str(world.home.path), *words]
    ended = subprocess.run(command, stdin=terminal, stdout=terminal, stderr=terminal, env=environment, check=False)
    os.close(terminal)
    reader.join()
    os.close(controller)
    assert ended.returncode == 0
    return b"".join(shown).decode()


def test_a_person_at_a_real_terminal_sees_a_table_that_fits(world: World) -> None:
    shown = _on_a_terminal(world, "deliveries") + _on_a_terminal(world, "show", CHAT)

    assert "7c1f0a99" in shown
    assert "\x1b[1m" in shown  # the header is bold
    assert "\x1b[2J" not in shown
    assert "[bold]oops[/bold]" in shown


def test_json_at_a_real_terminal_is_one_document(world: World) -> None:
    document = json.loads(_on_a_terminal(world, "events", "--json"))

    assert len(document) == 29
