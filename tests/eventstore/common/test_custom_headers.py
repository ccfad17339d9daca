"""What `apply` takes for a custom header is what the sender sends."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from eventstore.common.custom_headers import CUSTOM_HEADERS
from eventstore.errors import DocumentError
from eventstore.registry.document import read_registry_document
from webhook import HeaderRefusedError, parse_custom_headers

if TYPE_CHECKING:
    from pathlib import Path

APP = """
[[organizations]]
id = 17
slug = "acme"
name = "Acme"
url = "https://acme.example"

[[apps]]
id = 42
slug = "pager"
name = "Pager"
organization = 17
webhook_url = "https://pager.example/hook"
headers = [{}]
"""

REFUSED = {
    "Proxy-Authorization: Basic s3cret": r"header 1 \(Proxy-Authorization\) belongs to the connection",
    "HTTP2-Settings: s3cret": r"header 1 \(HTTP2-Settings\) belongs to the connection",
    "TE: s3cret": "belongs to",
    "s3cret": 'header 1 is not of the form "Name: value"',
    "X Token: s3cret": "header 1 is not of the form",
    "X-Token : s3cret": "header 1 is not of the form",
    "X-Token: s3cret\\u0007": "control character",
    "X-Token: s3cret\\u20ac": "outside latin-1",
    "X-Token: " + "s3cret" * 1400: "longer than 8192 bytes",
    "X" * 101 + ": s3cret": "header 1 has a name of more than 100 characters",
}


@pytest.mark.parametrize(("line", "fault"), REFUSED.items(), ids=lambda text: text[:20])
def test_what_the_sender_would_refuse_is_refused_by_apply_and_never_shown(
    tmp_path: Path, line: str, fault: str
) -> None:
    path = tmp_path / "registry.toml"
    path.write_text(APP.format(f'"{line}"'))

    with pytest.raises(DocumentError, match=f"app 42: headers: .*{fault}") as at_apply:
        read_registry_document(path)
    with pytest.raises(HeaderRefusedError, match=fault):
        parse_custom_headers([line.encode().decode("unicode_escape")])

    assert "s3cret" not in str(at_apply.value)


def test_an_app_has_so_many_custom_headers_and_no_more(tmp_path: Path) -> None:
    path = tmp_path / "registry.toml"
    lines = [f'"X-{number}: a"' for number in range(CUSTOM_HEADERS + 1)]
    path.write_text(APP.format(",".join(lines[:-1])))

    assert len(read_registry_document(path).apps[0].header_pairs()) == CUSTOM_HEADERS

    path.write_text(APP.format(",".join(lines)))
    with pytest.raises(DocumentError, match="more than 50 custom headers"):
        read_registry_document(path)
