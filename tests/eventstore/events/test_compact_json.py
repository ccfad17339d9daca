import pytest

from eventstore.deliveries.admission import compact_json_object
from eventstore.errors import DocumentError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"a": 10.0, "b": 1E5, "c": -0, "d": 0.10}', '{"a":10.0,"b":1E5,"c":-0,"d":0.10}'),
        ('\n{ "a" :\t[ ] }\r\n', '{"a":[]}'),
        ('{"a": "\\u0000 \\/ é \\u00e9"}', '{"a":"\\u0000 \\/ é \\u00e9"}'),
        ('{"b": 1, "a": 2}', '{"b":1,"a":2}'),
    ],
)
def test_white_space_goes_and_spelling_stays(text: str, expected: str) -> None:
    assert compact_json_object(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "line 1, column 1"),
        ('{\n  "a": 1,\n}', "line 2, column 9|line 3, column 1"),
        ('{"a": 1} x', "line 1, column 10"),
        ('{"a": "\x00"}', "line 1, column 8: Invalid control character"),
        ('{"a": "\\x"}', "line 1, column 8"),
        ("{'a': 1}", "line 1, column 2"),
        ("\ufeff{}", "not JSON"),
    ],
)
def test_malformed_json_names_line_and_column(text: str, expected: str) -> None:
    with pytest.raises(DocumentError, match=expected):
        compact_json_object(text)


@pytest.mark.parametrize("text", ["[]", "1", '"a"', "null", "true"])
def test_what_is_no_object_is_refused(text: str) -> None:
    with pytest.raises(DocumentError, match="not an object"):
        compact_json_object(text)


@pytest.mark.parametrize("text", ["[" * 500_000, '{"a":' * 200_000, '{"a":' * 200_000 + "1" + "}" * 200_000])
def test_json_that_is_nested_too_deeply_is_refused(text: str) -> None:
    with pytest.raises(DocumentError, match="nested too deeply"):
        compact_json_object(text)


@pytest.mark.parametrize(
    "text",
    ['{"a":"\ud800"}', '{"a":"\\ud800"}', '{"a":"\\udfff x"}', '{"a":NaN}', '{"a":1e999}', f'{{"a":{"9" * 5000}}}'],
)
def test_what_other_parsers_choke_on_is_refused(text: str) -> None:
    with pytest.raises(DocumentError):
        compact_json_object(text)


@pytest.mark.parametrize(
    "text", ['{"a":"\ud800"}', '{"a":"\\ud800"}', '{"\\udfff x":1}', '{"a":["\\ud83d","\\ude00"]}']
)
def test_half_a_character_is_named_as_such(text: str) -> None:
    with pytest.raises(DocumentError, match=r"has half of a surrogate pair"):
        compact_json_object(text)


@pytest.mark.parametrize("text", ['{"a":1e999}', '{"a":[-1e400]}'])
def test_a_number_that_is_too_large_is_named_as_such(text: str) -> None:
    with pytest.raises(DocumentError, match="a number in the data is too large for a 64-bit float"):
        compact_json_object(text)


def test_two_halves_of_one_character_are_one() -> None:
    assert compact_json_object('{"a":"\\ud83d\\ude00"}') == '{"a":"\\ud83d\\ude00"}'
