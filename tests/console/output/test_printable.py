import json

from hypothesis import given
from hypothesis import strategies as st

from console.output.printable import one_line, printable, safe_json


def test_escape_characters_are_shown_and_not_obeyed() -> None:
    assert printable("a\x1b[2J\r\nb\x9b\u202e") == "a\\x1b[2J\\r\\nb\\x9b\\u202e"


def test_letters_of_all_scripts_stay() -> None:
    assert printable("Grüße 日本 — ok") == "Grüße 日本 — ok"


def test_a_long_text_is_shortened_to_one_line() -> None:
    assert one_line("a\n b" * 10, 5) == "a ba…"


@given(st.text())
def test_printable_text_has_no_control_characters(text: str) -> None:
    assert printable(text).isprintable()


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_safe_json_means_the_same_and_holds_nothing_that_a_terminal_obeys(text: str) -> None:
    document = safe_json(json.dumps({"text": text}, ensure_ascii=False))

    assert json.loads(document) == {"text": text}
    assert not any(0x7F <= ord(char) < 0xA0 or ord(char) < 0x20 for char in document)
