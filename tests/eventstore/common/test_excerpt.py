import msgspec
from hypothesis import given
from hypothesis import strategies as st

from eventstore.common.excerpt import shorten, shorten_all, stored_bytes

TEXTS = st.text(st.characters(codec="utf-8"), max_size=300)


@given(TEXTS, st.integers(0, 400))
def test_a_text_is_cut_at_a_character_s_border_to_what_it_takes_as_stored(text: str, limit: int) -> None:
    short = shorten(text, limit)

    assert text.startswith(short)
    assert len(msgspec.json.encode(short)) - 2 <= limit
    assert short == text or stored_bytes(text[: len(short) + 1]) > limit


def test_control_characters_count_as_they_are_stored() -> None:
    assert (stored_bytes("\x01" * 10), stored_bytes("\x00"), stored_bytes('"'), stored_bytes("ä")) == (60, 6, 2, 2)
    assert shorten("\x01" * 10, 30) == "\x01" * 5


@given(st.dictionaries(st.text(max_size=3), TEXTS, max_size=5), st.integers(-10, 1000))
def test_texts_take_no_more_together_than_they_may_and_short_ones_are_whole(texts: dict[str, str], limit: int) -> None:
    shortened = shorten_all(texts, limit)

    assert sum(map(stored_bytes, shortened.values())) <= max(0, limit)
    assert list(shortened) == list(texts)
    even = max(0, limit) // max(1, len(texts))
    assert all(shortened[name] == text for name, text in texts.items() if stored_bytes(text) <= even)
