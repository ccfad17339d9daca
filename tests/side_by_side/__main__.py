"""Live the same random histories with the code of before and of now, and compare what came of them.

`python -m tests.side_by_side CHECKOUT [HISTORIES]` names a checkout of before, which has a virtual environment of its
own in `.venv`. It exits with 1 where something differs that is not among what is meant to.
"""

import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_HERE = Path(__file__).parent
_ROOT = _HERE.parent.parent
_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[1-9a-f][0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}|\b[0-9a-f]{32}\b")
# Before, what is one was said in the plural.
_ONE = re.compile(r"\b(1) (day|failure|time-out|attempt|fatal outcome)s\b")
# What is meant to differ, and is left out of the comparison or brought to its new form; all of it is in the output.
RENAMED = {"nearness": "progress"}
REWORDED = {
    "installation.calmed": "installation.warning_lifted",
    "mails.gathered": "mail.digested",
    "counts.imported": "installation.counts_imported",
    "Another answer than 410 Gone": "Any answer other than 410 Gone",
}
LEFT_OUT = {
    "schema": "that of `installation.warned` moved with the name of a field",
    "checksum": "it is made from the ids too, which are random",
    "remediation": "evidence holds what would help, where each mail made it again; the mails' sentences are compared",
}


def main() -> int:
    """Compare, and print what was seen, in the form of docs/proofs.md."""
    before, histories = Path(sys.argv[1]).resolve(), int(sys.argv[2]) if len(sys.argv) > 2 else 200
    seen: Counter[str] = Counter()
    apart: dict[str, list[str]] = {}
    for old, new in zip(_lived(before, histories), _lived(_ROOT, histories), strict=True):
        assert old["seed"] == new["seed"]
        plain = _plain(new)
        _count(plain, seen)
        for place, ours, theirs in _differences(_plain(old), plain):
            apart.setdefault(place, []).append(f"history {new['seed']}: before {ours!r}, now {theirs!r}")
    _print(before, histories, seen, apart)
    return 1 if apart else 0


def _lived(checkout: Path, histories: int) -> Iterator[dict[str, Any]]:
    own = checkout / ".venv/bin/python"
    python = str(own) if own.is_file() else sys.executable
    command = [python, str(_HERE / "lived.py"), str(checkout), "0", str(histories)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=checkout) as process:
        assert process.stdout is not None
        for line in process.stdout:
            yield json.loads(line)
    assert process.returncode == 0, f"{checkout}: {process.returncode}"


def _plain(lived: dict[str, Any]) -> dict[str, Any]:
    """Return what came of a history with its data as values, its keys by the words of now, and ids by their order."""
    for row in lived["tables"]["events"]:
        row["data"] = json.loads(row["data"])
    events = lived["tables"]["events"]
    ids: dict[str, str] = {}
    for found in _ID.finditer(json.dumps([_in_words_of_now(row) for row in events])):
        ids.setdefault(found[0], f"id-{len(ids)}")
    text = json.dumps(_in_words_of_now(lived))
    plain: dict[str, Any] = json.loads(_ID.sub(lambda found: ids.get(found[0], "id"), text))
    for rows in plain["tables"].values():
        rows.sort(key=lambda row: (row.get("position", 0), json.dumps(row)))
    return plain


def _in_words_of_now(value: Any) -> Any:
    if isinstance(value, dict):
        kept = {RENAMED.get(key, key): _in_words_of_now(one) for key, one in value.items() if key not in LEFT_OUT}
        return dict(sorted(kept.items()))
    if isinstance(value, str):
        for old, new in REWORDED.items():
            value = value.replace(old, new)
        return _ONE.sub(r"\1 \2", value)
    return [_in_words_of_now(one) for one in value] if isinstance(value, list) else value


def _differences(old: dict[str, Any], new: dict[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    for part in ("policy", "verdicts", "mails"):
        if old[part] != new[part]:
            yield part, *_first_apart(old[part], new[part])
    for table, rows in new["tables"].items():
        ours = old["tables"][table]
        shared = set(ours[0] if ours else ()) & set(rows[0] if rows else ())
        left, right = ([{name: row[name] for name in sorted(shared)} for row in side] for side in (ours, rows))
        if left != right:
            yield table, *_first_apart(left, right)


def _first_apart(old: list[Any], new: list[Any]) -> tuple[Any, Any]:
    for one, other in zip(old, new, strict=False):
        if one != other:
            if isinstance(one, dict):
                keys = [key for key in one if one[key] != other.get(key)]
                return {key: one[key] for key in keys}, {key: other.get(key) for key in keys}
            return one, other
    return f"{len(old)} of them", f"{len(new)} of them"


def _count(lived: dict[str, Any], seen: Counter[str]) -> None:
    seen["verdicts"] += len(lived["verdicts"])
    seen["verdicts that find it broken"] += sum(1 for verdict in lived["verdicts"] if verdict[2])
    seen["mails"] += len(lived["mails"])
    for table, rows in lived["tables"].items():
        seen[f"rows of {table}"] += len(rows)
    seen.update(row["type"] for row in lived["tables"]["events"])


def _print(before: Path, histories: int, seen: Counter[str], apart: dict[str, list[str]]) -> None:
    commit = subprocess.run(
        ["git", "-C", str(before), "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    print(f"{histories} histories, lived by the code of {commit.stdout.strip()} and of now.\n")
    print("Compared: " + ", ".join(f"{count:,} {name}" for name, count in seen.items() if "." not in name) + ".")
    print("\nEvents: " + ", ".join(f"{count:,} `{name}`" for name, count in seen.items() if "." in name) + ".")
    for old, new in (RENAMED | REWORDED).items():
        print(f"\n`{old}` is compared as `{new}`.")
    for name, why in LEFT_OUT.items():
        print(f"\n`{name}` is not compared: {why}.")
    print(f"\n{len(apart) or 'No'} kinds of differences.")
    for place, examples in apart.items():
        print(f"\n{place}, in {len(examples)} histories, of which one: {examples[0]}")


if __name__ == "__main__":
    sys.exit(main())
