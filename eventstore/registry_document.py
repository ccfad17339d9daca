"""The file of `hookfuse apply`: organizations, apps and installations, as a person writes them."""

import re
import tomllib
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta, Struct

from eventstore.errors import DocumentError, RejectedError
from eventstore.identifiers import parse_uuid

__all__ = [
    "AppEntry",
    "InstallationEntry",
    "OrganizationEntry",
    "RegistryDocument",
    "app_faults",
    "organization_faults",
    "read_registry_document",
]

# To be matched in full: "$" would let a line break at the end through.
_SLUG = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}", re.IGNORECASE | re.ASCII)
_ADDRESS = re.compile(r"[^@\s<>,;\"]+@[^@\s<>,;\"]+")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")  # a token of RFC 9110 section 5.6.2
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e\xa0-\xff]{0,8000}")
# Those that say how the request is framed, or that are of one connection only (RFC 9110 sections 7.6.1 and 10.1.1).
_FRAMING_HEADERS = {
    *("connection", "content-length", "expect", "host", "keep-alive", "proxy-connection", "te", "trailer"),
    *("transfer-encoding", "upgrade"),
}
_URL_CHARACTERS = 2048
# Control characters, and the line breaks of Unicode: a mail's subject refuses them.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
# What SQLite holds as an integer.
_Id = Annotated[int, Meta(ge=1, le=2**63 - 1)]


class OrganizationEntry(Struct, frozen=True, forbid_unknown_fields=True):
    """One `[[organizations]]`; `owners` are mail addresses."""

    id: _Id
    slug: str
    name: str
    url: str
    owners: tuple[str, ...] = ()


class AppEntry(Struct, frozen=True, forbid_unknown_fields=True):
    """One `[[apps]]`; a uuid or secret that is left out is made at the first apply and kept afterwards."""

    id: _Id
    slug: str
    name: str
    organization: _Id
    webhook_url: str
    status: Literal["internal", "published"] = "internal"
    uuid: str | None = None
    secret: str | None = None
    headers: tuple[str, ...] = ()
    events: tuple[str, ...] = ()
    connect_s: float | None = None
    read_s: float | None = None
    total_s: float | None = None

    def __repr__(self) -> str:  # without secret and headers
        return f"AppEntry(id={self.id!r}, slug={self.slug!r})"

    def header_pairs(self) -> tuple[tuple[str, str], ...]:
        """Give the custom headers as names and values."""
        pairs = (line.partition(":") for line in self.headers)
        return tuple((name.strip(), value.strip()) for name, _, value in pairs)


class InstallationEntry(Struct, frozen=True, forbid_unknown_fields=True):
    """One `[[installations]]`; a uuid that is left out is made at the first apply and kept afterwards."""

    app: _Id
    organization: _Id
    uuid: str | None = None


class RegistryDocument(Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file."""

    organizations: tuple[OrganizationEntry, ...] = ()
    apps: tuple[AppEntry, ...] = ()
    installations: tuple[InstallationEntry, ...] = ()


def read_registry_document(path: Path) -> RegistryDocument:
    """Read and check a registry file.

    Raises DocumentError that names the file and the place; the values of secrets and headers are never in it.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        document = msgspec.convert(table, RegistryDocument)
    except tomllib.TOMLDecodeError as error:
        raise DocumentError(f"{path}: not TOML: {error}") from error
    except msgspec.ValidationError as error:
        raise DocumentError(f"{path}: {error}") from error
    except UnicodeDecodeError as error:
        raise DocumentError(f"{path}: not UTF-8 text: {error.reason} at byte {error.start}") from error
    except OSError as error:
        raise DocumentError(f"{path}: cannot be read: {error.strerror}") from error
    for place, fault in _faults(document):
        raise DocumentError(f"{path}: {place}: {fault}")
    return document


def _faults(document: RegistryDocument) -> "list[tuple[str, str]]":
    faults: list[tuple[str, str]] = []
    for organization in document.organizations:
        faults += [(f"organization {organization.id}", fault) for fault in organization_faults(organization)]
    for app in document.apps:
        faults += [(f"app {app.id}", fault) for fault in app_faults(app)]
    for installation in document.installations:
        if installation.uuid is not None and not _is_uuid(installation.uuid):
            place = f"installation of app {installation.app} in organization {installation.organization}"
            faults.append((place, "uuid is not a UUID"))
    faults += _repeated(document)
    return faults


def organization_faults(entry: OrganizationEntry) -> list[str]:
    """Say what is wrong with an organization by itself."""
    faults = _name_faults(entry.slug, entry.name)
    if not _is_url(entry.url):
        faults.append("url is not an http or https URL")
    return faults + [f"owner {owner!r} is not a mail address" for owner in entry.owners if not _is_mail_address(owner)]


def app_faults(entry: AppEntry) -> list[str]:
    """Say what is wrong with an app by itself."""
    faults = _name_faults(entry.slug, entry.name)
    if not _is_url(entry.webhook_url):
        faults.append("webhook_url is not an http or https URL (credentials belong into headers)")
    if entry.uuid is not None and not _is_uuid(entry.uuid):
        faults.append("uuid is not a UUID")
    if entry.secret is not None and not entry.secret.strip():
        faults.append("secret is empty: leave it out to have one made")
    for number, (line, (name, value)) in enumerate(zip(entry.headers, entry.header_pairs(), strict=True), start=1):
        if name.lower() in _FRAMING_HEADERS:
            faults.append(f"header {number} ({name}) belongs to the request itself and cannot be set")
        if ":" not in line or not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(value):
            faults.append(f'header {number} is not of the form "Name: value"')
    names = [name.lower() for name, _ in entry.header_pairs()]
    faults += [f"header {name} is there twice" for name in sorted({name for name in names if names.count(name) > 1})]
    for limit in ("connect_s", "read_s", "total_s"):
        seconds = getattr(entry, limit)
        if seconds is not None and not 0 < seconds <= 86_400:
            faults.append(f"{limit} is not between 0 and 86400 seconds")
    return faults


def _name_faults(slug: str, name: str) -> list[str]:
    faults = []
    if not _SLUG.fullmatch(slug):
        faults.append("slug has other characters than letters, digits, '.', '_' and '-', or over 64 of them")
    if not name.strip() or len(name) > 200 or _CONTROL.search(name):
        faults.append("name is empty, over 200 characters, or has control characters")
    return faults


def _repeated(document: RegistryDocument) -> list[tuple[str, str]]:
    keys = [f"organization {entry.id}" for entry in document.organizations]
    keys += [f"app {entry.id}" for entry in document.apps]
    keys += [f"installation of app {one.app} in organization {one.organization}" for one in document.installations]
    uuids = [app.uuid for app in document.apps] + [one.uuid for one in document.installations]
    keys += [f"uuid {uuid.lower()}" for uuid in uuids if uuid]
    return [(key, "is there twice") for key in sorted({key for key in keys if keys.count(key) > 1})]


def _is_mail_address(text: str) -> bool:
    # As the mailer takes them: a domain may be of any script, as it has an ASCII form; a name may not.
    name, _, domain = text.rpartition("@")
    try:
        domain.encode("idna")
    except UnicodeError:
        return False
    return bool(_ADDRESS.fullmatch(text)) and name.isascii()


def _is_uuid(text: str) -> bool:
    try:
        parse_uuid(text)
    except RejectedError:
        return False
    return True


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return False
    return (
        parts.scheme in ("http", "https")
        and bool(parts.hostname)
        and port != 0
        and parts.username is None
        and parts.password is None
        and len(text) <= _URL_CHARACTERS
        and not _CONTROL.search(text)
        and " " not in text
    )
