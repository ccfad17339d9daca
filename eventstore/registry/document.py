"""The file of `hookfuse apply`: organizations, apps and installations, as a person writes them."""

import re
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from eventstore.common.bounded_file import input_name, read_toml
from eventstore.common.custom_headers import Headers, parse_custom_headers
from eventstore.common.endpoint_url import parse_url
from eventstore.common.identifiers import parse_uuid
from eventstore.common.mail_address import ascii_address
from eventstore.errors import DocumentError, HeaderInvalidError, MailAddressInvalidError, RejectedError, UrlInvalidError
from eventstore.events.catalogue import AppSettings

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
# Control characters, and the line breaks of Unicode: a mail's subject refuses them.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
# Some 10,000 apps, each with its installations; reading that takes seconds.
_FILE_BYTES = 16 * 1024 * 1024
# What SQLite holds as an integer.
_Id = Annotated[int, Meta(ge=1, le=2**63 - 1)]


class OrganizationEntry(Struct, frozen=True, forbid_unknown_fields=True):
    """One `[[organizations]]`; `owners` are mail addresses."""

    id: _Id
    slug: str
    name: str
    url: str
    owners: tuple[str, ...] = ()


class AppEntry(AppSettings, frozen=True, forbid_unknown_fields=True):
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

    def __repr__(self) -> str:  # without secret and headers
        return f"AppEntry(id={self.id!r}, slug={self.slug!r})"

    def header_pairs(self) -> Headers:
        """Return the custom headers as names and values. Raises HeaderInvalidError for one that may not go out."""
        return parse_custom_headers(self.headers)


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
    """Read and check a registry file; `-` = standard input.

    Raises DocumentError that names the file and the place; the values of secrets and headers are never in it.
    """
    table, name = read_toml(path, _FILE_BYTES), input_name(path)
    try:
        document = msgspec.convert(table, RegistryDocument)
    except msgspec.ValidationError as error:
        raise DocumentError(f"{name}: {error}") from error
    for place, fault in _faults(document):
        raise DocumentError(f"{name}: {place}: {fault}")
    return document


def _faults(document: RegistryDocument) -> "list[tuple[str, str]]":
    faults: list[tuple[str, str]] = []
    for organization in document.organizations:
        texts = _owner_faults(organization) + organization_faults(organization) + _url_faults("url", organization.url)
        faults += [(f"organization {organization.id}", text) for text in texts]
    for app in document.apps:
        faults += [(f"app {app.id}", text) for text in app_faults(app) + _request_faults(app)]
    for installation in document.installations:
        if installation.uuid is not None and not _is_uuid(installation.uuid):
            place = f"installation of app {installation.app} in organization {installation.organization}"
            faults.append((place, "uuid is not a UUID"))
    faults += _repeated(document)
    return faults


def organization_faults(entry: OrganizationEntry) -> list[str]:
    """Return what is wrong with an organization by itself, its URL apart.

    Of its owners only what no version has taken: a mail to another is refused by the mailer, and that is recorded.
    """
    faults = _name_faults(entry.slug, entry.name)
    return faults + [f"owner {owner!a} is not a mail address" for owner in entry.owners if not _is_address_like(owner)]


def app_faults(entry: AppEntry) -> list[str]:
    """Return what is wrong with an app by itself, its URL and headers apart."""
    faults = _name_faults(entry.slug, entry.name)
    if entry.uuid is not None and not _is_uuid(entry.uuid):
        faults.append("uuid is not a UUID")
    if entry.secret is not None and not entry.secret.strip():
        faults.append("secret is empty: leave it out to have one made")
    for limit in ("connect_s", "read_s", "total_s"):
        seconds = getattr(entry, limit)
        if seconds is not None and not 0 < seconds <= 86_400:
            faults.append(f"{limit} is not between 0 and 86400 seconds")
    return faults


def _name_faults(slug: str, name: str) -> list[str]:
    faults = []
    if not _SLUG.fullmatch(slug):
        faults.append("slug has other characters than a-z, A-Z, 0-9, '.', '_' and '-', or over 64 of them")
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


def _is_address_like(text: str) -> bool:
    return bool(_ADDRESS.fullmatch(text)) and text.rpartition("@")[0].isascii()


def _owner_faults(entry: OrganizationEntry) -> list[str]:
    """Return to which owners the mailer could send nothing."""
    faults = []
    for owner in entry.owners:
        try:
            ascii_address(owner)
        except MailAddressInvalidError as error:
            faults.append(f"owner {error}")
    return faults


def _is_uuid(text: str) -> bool:
    try:
        parse_uuid(text)
    except RejectedError:
        return False
    return True


def _request_faults(entry: AppEntry) -> list[str]:
    """Return what the sender would always refuse."""
    faults = _url_faults("webhook_url", entry.webhook_url)
    try:
        parse_custom_headers(entry.headers)
    except HeaderInvalidError as error:
        faults.append(f"headers: {error}")
    return faults + _certificate_faults(entry)


def _certificate_faults(entry: AppEntry) -> list[str]:
    if entry.client_key is not None and entry.client_certificate is None:
        return ["client_key is there without client_certificate"]
    paths = {"client_certificate": entry.client_certificate, "client_key": entry.client_key}
    # The daemon's folder may be another than that of `apply`.
    faults = [name for name, path in paths.items() if path is not None and not Path(path).is_absolute()]
    return [f"{name} is not an absolute path" for name in faults]


def _url_faults(name: str, url: str) -> list[str]:
    try:
        parse_url(url)
    except UrlInvalidError as error:
        return [f"{name}: {error}"]
    return []
