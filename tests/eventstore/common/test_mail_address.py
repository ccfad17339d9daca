"""One rule for mail addresses: what `apply` takes the mailer can send to, and the other way round."""

from email import policy
from email.message import EmailMessage

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from eventstore.common.mail_address import ascii_address
from eventstore.errors import MailAddressInvalidError


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("ada@acme.example", "ada@acme.example"),
        ("Ada.Lovelace+ops@Acme.Example", "Ada.Lovelace+ops@Acme.Example"),
        ("o'neill@localhost", "o'neill@localhost"),
        ("x=!#$%&*/?^_`{|}~-@a-b.example", "x=!#$%&*/?^_`{|}~-@a-b.example"),
        ("owner@münchen.example", "owner@xn--mnchen-3ya.example"),
        ("owner@straße.example", "owner@xn--strae-oqa.example"),
        ("a" * 64 + "@b.example", "a" * 64 + "@b.example"),
    ],
)
def test_an_address_is_given_with_its_domain_in_ascii(text: str, address: str) -> None:
    assert ascii_address(text) == address


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "name@domain"),
        ("ada", "name@domain"),
        ("ada@", "name@domain"),
        ("@acme.example", "name@domain"),
        ("a@b@c.example", "more than one @"),
        ("a@b.example, c@d.example", "more than one @"),
        ("a@b.example;c", "not a domain name"),
        ("jürgen@acme.example", "beyond ASCII"),
        ("a" * 65 + "@b.example", "longer than 64"),
        ("a@" + ".".join(["b" * 60] * 5), "longer than 254"),
        ("a@" + ".".join(["ü" * 60] * 5), "not a domain name"),
        ("a" * 60 + "@" + ".".join(["b" * 48] * 4), "longer than 254"),
        ("a b@acme.example", "a character, or a dot"),
        ('"a b"@acme.example', "a character, or a dot"),
        ("Ada <ada@acme.example>", "a character, or a dot"),
        ("<ada@acme.example>", "a character, or a dot"),
        (".ada@acme.example", "a character, or a dot"),
        ("ada.@acme.example", "a character, or a dot"),
        ("a..b@acme.example", "a character, or a dot"),
        ("ada\x00@acme.example", "a character, or a dot"),
        ("ada\x7f@acme.example", "a character, or a dot"),
        ("ada\x1b[2J@acme.example", "a character, or a dot"),
        ("ada@acme.example\n", "not a domain name"),
        ("ada@acme.example\r\nBcc: eve@evil.example", "more than one @"),
        ("ada@ac\x01me.example", "not a domain name"),
        ("ada@acme\u2028.example", "not a domain name"),
        ("ada\u200b@acme.example", "beyond ASCII"),
        ("ada@acme..example", "not a domain name"),
        ("ada@-acme.example", "not a domain name"),
        ("ada@acme_.example", "not a domain name"),
        ("ada@[192.0.2.1]", "not a domain name"),
        ("ada@\ud800.example", "not a domain name"),
    ],
)
def test_what_no_mail_can_be_sent_to_is_refused_with_a_reason_in_one_line(text: str, why: str) -> None:
    with pytest.raises(MailAddressInvalidError) as raised:
        ascii_address(text)

    said = str(raised.value)
    assert why in said
    assert "is not a mail address" in said
    assert said.isascii()
    assert said.isprintable()
    assert len(said) < 1_200


@example("ada@ac\x00me.example")
@given(st.text(max_size=40) | st.from_regex(r"[a-z.\x00-\x20]{1,8}@[a-zßü.\x00-\x20-]{1,12}", fullmatch=True))
def test_whatever_is_taken_fits_a_header_and_an_envelope_as_it_is(text: str) -> None:
    try:
        address = ascii_address(text)
    except MailAddressInvalidError:
        return
    message = EmailMessage(policy=policy.SMTP)
    message["To"] = address

    assert address.isascii()
    assert address.isprintable()
    assert " " not in address
    assert message["To"].addresses[0].addr_spec == address
    assert message["To"].defects == ()
    assert ascii_address(address) == address
