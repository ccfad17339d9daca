"""Registry files as a person writes them."""

from pathlib import Path

from eventstore.registry.apply import Change, apply_document
from eventstore.registry.document import RegistryDocument, read_registry_document
from eventstore.unit_of_work import Store

SECRET = "hush-hush-client-secret"
HEADER_VALUE = "hush-hush-header-value"
ORGANIZATION = """
[[organizations]]
id = 17
slug = "acme"
name = "Acme"
url = "https://acme.example"
owners = ["ada@acme.example"]
"""
APP = """
[[apps]]
id = 42
slug = "pager"
name = "Pager"
organization = 17
webhook_url = "https://pager.example/hook"
"""
INSTALLATION = """
[[installations]]
app = 42
organization = 17
"""
SECRETS = f'secret = "{SECRET}"\nheaders = ["X-Token: {HEADER_VALUE}"]\n'
WHOLE = ORGANIZATION + APP + INSTALLATION
WITH_SECRETS = ORGANIZATION + APP + SECRETS + INSTALLATION


def read_text(folder: Path, text: str) -> RegistryDocument:
    path = folder / "registry.toml"
    path.write_text(text, encoding="utf-8")
    return read_registry_document(path)


def apply_text(store: Store, folder: Path, text: str, *, is_pruned: bool = False) -> list[Change]:
    document = read_text(folder, text)
    with store.transaction() as transaction:
        return apply_document(transaction, document, is_pruned=is_pruned)
