import json
import sys
from typing import Any

import pytest
import structlog

from console.daemon_log.log_output import _encode, _exception
from console.logs.exception_text import exception_lines
from console.logs.log_entry import read_entry
from console.logs.shown_line import json_line, shown_line
from tests.console.logs.lines import DELIVERY, INSTALLATION, line


def _shown(raw: bytes, *, is_short: bool = False) -> str:
    return shown_line(raw.rstrip(b"\n"), read_entry(raw), is_short=is_short)


def test_fields_stand_in_a_fixed_order_and_the_rest_behind_them() -> None:
    shown = _shown(line(3723, outcome="failed", status_code=500, error_class="server_error", more="two words", n=None))

    assert shown.split() == [
        "2025-02-08",
        "01:02:03.000",
        "info",
        "delivery_attempted",
        INSTALLATION,
        DELIVERY,
        "issue.created",
        "#1",
        "failed",
        "500",
        "12.5",
        "ms",
        "server_error",
        "position=3723",
        'more="two',
        'words"',
    ]


def test_columns_are_aligned_and_what_is_missing_at_the_end_takes_no_room() -> None:
    whole = _shown(line(1), is_short=True)
    missed = _shown(
        line(2, event="delivery_missed", outcome="missed", attempt=None, status_code=None, duration_ms=None)
    )
    started = _shown(b'{"event":"daemon_started","level":"warning","timestamp":"2025-02-08T00:00:00.123456Z","pid":7}')

    assert whole.index("succeeded") == whole.index("#1") + 5
    assert "  -    missed     position=2" in missed
    assert started == "2025-02-08 00:00:00.123  warning   daemon_started         pid=7"
    assert whole.index(INSTALLATION[:8]) == started.index("pid=")


def test_an_installation_is_short_where_a_person_looks() -> None:
    assert f"  {INSTALLATION[:8]}  {DELIVERY}" in _shown(line(), is_short=True)


def test_nothing_of_a_line_moves_the_cursor() -> None:
    shown = _shown(line(level="error", outcome="failed", event="a\x1b[2Jb", x="\u202e\r\n\x9b"))

    assert "a\\x1b[2Jb" in shown
    assert "\\u202e" in shown
    assert shown.isprintable()


def test_values_are_shown_as_they_would_be_read() -> None:
    shown = _shown(b'{"a":true,"b":[1,"x"],"c":{"d":null},"e":"","f":1.5,"g":"x=\\"y\\" z","logger":"urllib3"}')

    assert shown.endswith('a=true  b=[1,"x"]  c={"d":null}  e=""  f=1.5  g="x="y" z"  logger=urllib3')


def test_a_long_value_is_shortened() -> None:
    assert len(_shown(line(x="y" * 100_000))) < 1000


def _fail() -> None:
    try:
        int("first \x1b[2J")
    except ValueError as error:
        raise ExceptionGroup("both", [KeyError("k"), OSError(5, "io")]) from error


def _raised() -> Any:
    try:
        _fail()
    except ExceptionGroup:
        return _exception(sys.exc_info())


def test_an_exception_is_indented_below_with_what_it_came_of() -> None:
    raw = _encode({"event": "actor_crashed", "level": "error", "exception": _raised()})
    first, *below = _shown(raw).split("\n")

    assert first.endswith("error     actor_crashed")
    assert all(one.startswith("    ") for one in below)
    texts = [one[4:] for one in below]
    assert texts[0].startswith("ExceptionGroup: both")
    assert texts[1].startswith("  ")
    assert "test_shown_line.py:" in texts[1]
    assert texts[1].endswith(" in _raised")
    assert texts[2].endswith(" in _fail")
    assert [text for text in texts if text.startswith("  | ")] == ["  | KeyError: 'k'", "  | OSError: [Errno 5] io"]
    assert "caused by ValueError: invalid literal for int() with base 10: 'first \\x1b[2J'" in texts


@pytest.mark.parametrize("exception", ["text", 7, {"exc_type": "x"}, [1], [{"frames": 1, "exceptions": "x"}], [[]]])
def test_an_exception_of_another_form_is_shown_as_it_is(exception: object) -> None:
    assert all(text.isprintable() for text in exception_lines(exception))
    assert exception_lines(exception)


def test_a_long_exception_is_cut() -> None:
    frames = [{"filename": "f", "lineno": number, "name": "n"} for number in range(500)]

    lines = exception_lines([{"exc_type": "E", "exc_value": "", "frames": frames}])

    assert (len(lines), lines[-1]) == (201, "... and 301 more lines")


def test_groups_within_groups_end_somewhere() -> None:
    stack: dict[str, object] = {"exc_type": "E"}
    for _ in range(200):
        stack = {"exc_type": "E", "exceptions": [[stack]]}

    assert len(exception_lines([stack])) < 20


def test_a_broken_line_is_shown_escaped() -> None:
    assert _shown(b"\x00\xff\x1b[2J rubbish") == " " * 17 + "broken  \\x00\\xff\\x1b[2J rubbish"


def test_json_is_the_line_itself() -> None:
    raw = line(x="\\").rstrip(b"\n")

    assert json_line(raw, read_entry(raw)) == raw


def test_json_hides_from_a_terminal_what_it_would_obey_and_means_the_same() -> None:
    raw = '{"x":"\u202eä\x7f",\r"y":1}\r'.encode()

    shown = json_line(raw, read_entry(raw))

    assert shown.decode() == '{"x":"\\u202eä\\u007f", "y":1}'
    assert json.loads(shown) == json.loads(raw)


def test_json_of_a_broken_line_says_so() -> None:
    assert json.loads(json_line(b"\xffhalf", None)) == {"broken_line": "\\xffhalf"}


def test_what_structlog_makes_of_any_value_is_shown() -> None:
    structlog.reset_defaults()
    raw = _encode({"event": "e", "level": "info", "timestamp": "t", "x": object(), "y": {1, 2}})

    assert 'x="<object object' in _shown(raw)
