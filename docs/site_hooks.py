"""What makes the site whole: papers of the root are pages too, and links to what is not in it become plain text."""  # noqa: INP001

import os
import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

_ROOT = Path(__file__).parent.parent
_PAPERS = {
    "README.md": "first-alert.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "reporting.md",
    "CHANGELOG.md": "changelog.md",
}
_SOURCES = {page: paper for paper, page in _PAPERS.items()}
_LINK = re.compile(r"\[([^][]+)\]\(([^)\s#]+)(#[^)\s]+)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the papers of the root."""
    for paper, page in _PAPERS.items():
        files.append(File.generated(config, page, content=(_ROOT / paper).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Lead each link to where its page is in the site; the text of one to another file of the repository stays."""
    del config
    source = _SOURCES.get(page.file.src_uri, f"docs/{page.file.src_uri}")

    def lead(link: re.Match[str]) -> str:
        text, target, anchor = link[1], link[2], link[3] or ""
        if "://" in target or target.startswith("mailto:"):
            return link[0]
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
        here = _PAPERS.get(path, path.removeprefix("docs/"))
        if (path in _PAPERS or path.startswith("docs/")) and files.get_file_from_path(here):
            return f"[{text}]({os.path.relpath(here, posixpath.dirname(page.file.src_uri) or '.')}{anchor})"
        return text if (_ROOT / path).exists() else link[0]

    return _LINK.sub(lead, markdown)
