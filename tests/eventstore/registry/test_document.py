import traceback
from pathlib import Path

import pytest

from eventstore.errors import DocumentError
from eventstore.registry.document import RegistryDocument, read_registry_document
from tests.eventstore.documents import APP, HEADER_VALUE, INSTALLATION, ORGANIZATION, SECRET, WITH_SECRETS, read_text


def fault_of(folder: Path, text: str) -> str:
    with pytest.raises(DocumentError) as caught:
        read_text(folder, text)
    return str(caught.value)


def changed(table: str, field: str, value: str) -> str:
    lines = [line for line in table.splitlines() if not line.startswith(f"{field} =")]
    return "\n".join([*lines, f"{field} = {value}", ""])


def test_empty_file_is_an_empty_document(tmp_path: Path) -> None:
    assert read_text(tmp_path, "") == RegistryDocument()


def test_malformed_toml_names_file_and_line(tmp_path: Path) -> None:
    fault = fault_of(tmp_path, "\n\n[[apps]\n")

    assert "registry.toml" in fault
    assert "line 3" in fault


def test_unknown_key_is_named_with_its_place(tmp_path: Path) -> None:
    fault = fault_of(tmp_path, ORGANIZATION + 'sulg = "x"\n')

    assert "sulg" in fault
    assert "organizations" in fault


def test_unknown_table_is_refused(tmp_path: Path) -> None:
    assert "teams" in fault_of(tmp_path, "[[teams]]\nid = 1\n")


def test_missing_field_is_named(tmp_path: Path) -> None:
    assert "slug" in fault_of(tmp_path, "[[organizations]]\nid = 1\n")


def test_missing_file_and_other_bytes_than_utf8_are_explained(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match="No such file"):
        read_registry_document(tmp_path / "nowhere.toml")
    (tmp_path / "latin.toml").write_bytes(b"# caf\xe9")
    with pytest.raises(DocumentError, match="not UTF-8"):
        read_registry_document(tmp_path / "latin.toml")


@pytest.mark.parametrize(
    "url",
    [
        "pager.example",
        "ftp://pager.example",
        "https://",
        "https://:8080/",
        "https://pager.example:99999/",
        "https://pager.example:0/",
        "https://[::1/",
        "https://pager.example/a b",
        "https://pager.example/a\\nb",
        "https://ada:pass@pager.example/",
        "https://ada@pager.example/",
        "https://@pager.example/",
        "javascript:alert(1)",
        "https://pager.example/" + "x" * 2048,
        "https://*.example/",
        "https://a..b/",
        "https://a%41.example/",
        "https://pager\\u00a0.example/",
        "https://[fe80::1%25eth0]/",
        "https://0x7f.1/",
    ],
)
def test_a_url_that_nothing_can_be_sent_to_or_that_holds_credentials_is_refused(tmp_path: Path, url: str) -> None:
    fault = fault_of(tmp_path, ORGANIZATION + changed(APP, "webhook_url", f'"{url}"'))

    assert "app 42: webhook_url: the URL" in fault
    assert "pass" not in fault


@pytest.mark.parametrize("url", ["http://localhost:8080/x?y=z#w", "https://[::1]/hook", "HTTPS://PAGER.example"])
def test_url_of_any_host_and_port_is_taken(tmp_path: Path, url: str) -> None:
    assert read_text(tmp_path, ORGANIZATION + changed(APP, "webhook_url", f'"{url}"')).apps[0].webhook_url == url


@pytest.mark.parametrize(
    "owner",
    ["", "ada", "ada@", "@acme", "a b@acme", "a@b@c", "ada@acme\\n", "ada@acme\\nBcc: x@y", "Ada <a@b>", "a@b,c"],
)
def test_what_is_no_mail_address_is_refused(tmp_path: Path, owner: str) -> None:
    assert "is not a mail address" in fault_of(tmp_path, changed(ORGANIZATION, "owners", f'["{owner}"]'))


@pytest.mark.parametrize("slug", ["", "-a", "a b", "a/b", "a\\n", "é", "x" * 65])
def test_slug_that_does_not_fit_into_a_link_is_refused(tmp_path: Path, slug: str) -> None:
    assert "slug" in fault_of(tmp_path, changed(ORGANIZATION, "slug", f'"{slug}"'))


@pytest.mark.parametrize("name", ["", " ", "a\\nb", "a\\rb", "a\\u0085b", "a\\u2028b", "a\\u0000", "x" * 201])
def test_name_that_would_break_a_subject_is_refused(tmp_path: Path, name: str) -> None:
    assert "name is empty" in fault_of(tmp_path, ORGANIZATION + changed(APP, "name", f'"{name}"'))


@pytest.mark.parametrize("number", ["0", "-1", str(2**63), "true", '"17"', "1.5"])
def test_id_is_a_positive_integer_that_the_database_holds(tmp_path: Path, number: str) -> None:
    assert "organizations" in fault_of(tmp_path, changed(ORGANIZATION, "id", number))


@pytest.mark.parametrize("seconds", ["0", "-1.0", "86400.1", "nan", "inf"])
@pytest.mark.parametrize("field", ["connect_s", "read_s", "total_s"])
def test_timeout_is_between_0_and_a_day(tmp_path: Path, field: str, seconds: str) -> None:
    assert f"app 42: {field} is not between" in fault_of(tmp_path, APP + f"{field} = {seconds}\n")


@pytest.mark.parametrize("table", [ORGANIZATION, APP, INSTALLATION])
def test_what_is_there_twice_is_refused(tmp_path: Path, table: str) -> None:
    assert "is there twice" in fault_of(tmp_path, table * 2)


def test_uuid_of_two_is_refused(tmp_path: Path) -> None:
    uuid = 'uuid = "7C1f0a52-3d0e-4f2c-9a55-0f3f6f2a1b10"\n'

    assert "is there twice" in fault_of(tmp_path, APP + uuid + INSTALLATION + uuid.lower())


@pytest.mark.parametrize("table", [APP, INSTALLATION])
def test_what_is_no_uuid_is_refused(tmp_path: Path, table: str) -> None:
    assert "uuid is not a UUID" in fault_of(tmp_path, table + 'uuid = "x"\n')


def test_unknown_status_is_refused(tmp_path: Path) -> None:
    assert "status" in fault_of(tmp_path, APP + 'status = "retired"\n')


@pytest.mark.parametrize(
    "header",
    [
        f"X Token: {HEADER_VALUE}",
        f": {HEADER_VALUE}",
        f"X-Token: {HEADER_VALUE}\\nX-Other: b",
        f"X-Token: {HEADER_VALUE}\\u2028x",
        f"X-Token: {HEADER_VALUE}\\u0000",
        f"{HEADER_VALUE} with blanks",
    ],
)
def test_bad_header_is_named_by_its_number_and_never_by_its_value(tmp_path: Path, header: str) -> None:
    fault = fault_of(tmp_path, APP + f'headers = ["X-Good: a", "{header}"]\n')

    assert "app 42: headers: header 2 " in fault
    assert HEADER_VALUE not in fault


def test_header_is_split_at_its_first_colon(tmp_path: Path) -> None:
    (app,) = read_text(tmp_path, APP + 'headers = ["X-Token:  a:b ", "X-Empty:"]\n').apps

    assert app.header_pairs() == (("X-Token", "a:b"), ("X-Empty", ""))


def test_blank_secret_is_refused(tmp_path: Path) -> None:
    assert "secret is empty" in fault_of(tmp_path, APP + 'secret = "  "\n')


def test_secrets_are_in_no_repr(tmp_path: Path) -> None:
    document = read_text(tmp_path, WITH_SECRETS)

    assert "pager" in repr(document)
    assert SECRET not in repr(document)
    assert HEADER_VALUE not in f"{document}{document.apps[0]}{document.apps!r}"


@pytest.mark.parametrize(
    "text",
    [
        f'secret = ["{SECRET}"]',
        f'secret = "{SECRET}',
        f'secret = "{SECRET}" x',
        f'secret = "{SECRET}"\nsecret = "{SECRET}"',
        f'secret = "{SECRET}"\nsulg = 1',
        f'secret = "{SECRET}"\nslug = 1',
        f'headers = "{SECRET}"',
        f'headers = [["{SECRET}"]]',
        f'headers = {{ X = "{SECRET}" }}',
        f"secret = {SECRET}",
    ],
)
def test_secrets_are_in_no_error(tmp_path: Path, text: str) -> None:
    with pytest.raises(DocumentError) as caught:
        read_text(tmp_path, ORGANIZATION + APP + text)

    assert SECRET not in "".join(traceback.format_exception_only(caught.value))
    assert SECRET not in repr(caught.value.__cause__)


def test_a_header_without_a_colon_is_refused_and_not_taken_for_a_name(tmp_path: Path) -> None:
    path = tmp_path / "registry.toml"
    path.write_text(
        '[[apps]]\nid = 5\nslug = "a"\nname = "A"\norganization = 17\n'
        'webhook_url = "https://a.example"\nheaders = ["my-secret-token"]\n'
    )

    with pytest.raises(DocumentError) as refused:
        read_registry_document(path)

    assert "header 1" in str(refused.value)
    assert "my-secret-token" not in str(refused.value)


@pytest.mark.parametrize("name", ["Transfer-Encoding", "host", "Expect", "Content-Length", "Connection"])
def test_a_header_that_frames_the_request_cannot_be_set(tmp_path: Path, name: str) -> None:
    fault = fault_of(tmp_path, ORGANIZATION + changed(APP, "headers", f'["{name}: x"]'))

    assert name in fault
    assert "can't be set" in fault


def test_a_header_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    assert "twice" in fault_of(tmp_path, ORGANIZATION + changed(APP, "headers", '["Cookie: a=1", "cookie: b=2"]'))


def test_an_owner_that_the_mailer_would_refuse_is_refused_here(tmp_path: Path) -> None:
    fault = fault_of(tmp_path, changed(ORGANIZATION, "owners", '["jürgen@münchen.example"]'))

    assert "is not a mail address" in fault
