"""The rooms of the house, and the imports that are really there: for the test of layers, and for docs/design.md.

`python -m tests.rooms` prints the arrows that there are, in the form of the table, and writes docs/rooms.md again.
"""

import ast
from collections.abc import Iterable, Iterator
from graphlib import TopologicalSorter
from pathlib import Path

__all__ = [
    "GROUND",
    "HOUSES",
    "ROOT",
    "arrows",
    "files",
    "imports",
    "in_the_form_of_the_table",
    "may_import",
    "page",
    "room_of",
    "sorted_rooms",
]

ROOT = Path(__file__).parent.parent
HOUSES = ("eventstore", "webhook", "actors", "replay", "console")
# What everybody may import.
GROUND = {"eventstore.errors", "eventstore.common"}

# Each room, and the rooms that it imports, from the ground up: of its own house by name, of another as a whole.
_TABLE = """
eventstore.errors
eventstore.common
eventstore.events
eventstore.sqlite
eventstore.policies -> events
eventstore.home -> sqlite
eventstore.log -> events policies sqlite
eventstore.queue -> log policies sqlite
eventstore.settings -> home policies
eventstore.projections -> events log policies sqlite
eventstore.unit_of_work -> log projections sqlite
eventstore.integrity -> events home log queue sqlite unit_of_work
eventstore.registry -> events log projections unit_of_work
eventstore.wall_clock -> log policies projections sqlite unit_of_work
eventstore.views -> events log policies projections queue sqlite wall_clock
eventstore.decisions -> events log policies projections queue unit_of_work views
eventstore.deliveries -> decisions events home log policies projections queue settings sqlite unit_of_work
eventstore.ports -> deliveries log queue
eventstore.memory -> decisions deliveries events log policies queue
eventstore.backup -> home integrity sqlite
eventstore -> deliveries home queue
eventstore.redis -> deliveries events log policies projections queue settings unit_of_work
eventstore.transfer -> events log policies projections redis registry sqlite unit_of_work
webhook
actors
actors.runtime
actors.messages -> eventstore
actors.delivery -> eventstore messages runtime webhook
actors.dispatch -> eventstore messages runtime
actors.journal -> eventstore messages runtime
actors.mail -> eventstore messages runtime
actors.observability -> eventstore messages runtime webhook
actors.redis -> eventstore messages runtime
actors.supervisor -> eventstore messages runtime
actors.assembly -> delivery dispatch eventstore journal mail messages observability redis runtime supervisor webhook
actors.process -> assembly eventstore observability runtime
replay
replay.reading -> eventstore
replay.trace -> eventstore
replay.projecting -> eventstore reading
replay.as_of -> eventstore projecting reading
replay.timeline -> as_of eventstore projecting reading
replay.what_if -> eventstore reading timeline
replay.check -> eventstore projecting
replay.rebuild -> check eventstore projecting
console
console.output -> eventstore replay
console.input -> eventstore
console.daemon_log -> eventstore output
console.shell -> daemon_log eventstore output replay
console.demo -> eventstore shell
console.doctor -> eventstore output replay shell
console.logs -> eventstore output replay shell
console.commands -> demo eventstore input logs output replay shell
runner -> actors console eventstore
"""


def files() -> Iterator[Path]:
    """Yield all files of the product."""
    yield ROOT / "runner.py"
    for house in HOUSES:
        yield from sorted((ROOT / house).rglob("*.py"))


def imports(path: Path) -> set[str]:
    """Return what a file imports, at its top and within functions, as full names."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def room_of(name: str) -> str | None:
    """Return the room of a module, or of what is imported from one; None = it is not ours.

    A room is a folder of a house, or a file that stands in the house itself; webhook and runner are rooms as a whole.
    """
    parts = name.split(".")
    if parts[0] in ("webhook", "runner"):
        return parts[0]
    if parts[0] not in HOUSES:
        return None
    inner = ROOT.joinpath(*parts[:2])
    is_room = len(parts) > 1 and (inner.is_dir() or inner.with_suffix(".py").is_file())
    return ".".join(parts[:2]) if is_room else parts[0]


def arrows() -> dict[str, set[str]]:
    """Return for each room those that it imports."""
    found: dict[str, set[str]] = {}
    for path in files():
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        room = room_of(name) or name
        targets = {target for name in imports(path) if (target := room_of(name)) is not None}
        found.setdefault(room, set()).update(targets - {room})
    return found


def sorted_rooms(graph: dict[str, set[str]]) -> Iterable[str]:
    """Return the rooms from the ground up. Raises graphlib.CycleError."""
    return TopologicalSorter(graph).static_order()


def may_import() -> dict[str, set[str]]:
    """Return for each room what it may import: rooms of its own house, and other houses as a whole."""
    table: dict[str, set[str]] = {}
    for line in _TABLE.strip().splitlines():
        room, _, targets = line.partition(" -> ")
        house = room.partition(".")[0]
        table[room.strip()] = {one if one in HOUSES else f"{house}.{one}" for one in targets.split()}
    return table


def in_the_form_of_the_table(room: str, targets: set[str]) -> set[str]:
    """Return rooms of other houses as their houses, and the ground not at all."""
    house = room.partition(".")[0]
    return {one if one.startswith(f"{house}.") else one.partition(".")[0] for one in targets - GROUND}


def _line(room: str, targets: set[str]) -> str:
    house = room.partition(".")[0]
    names = sorted(one.removeprefix(f"{house}.") for one in in_the_form_of_the_table(room, targets))
    return f"{room} -> {' '.join(names)}".removesuffix(" -> ")


def page() -> str:
    """Return docs/rooms.md: the arrows of each house as a picture, and each room with a line for each file."""
    parts = [_INTRODUCTION]
    for house in HOUSES:
        parts += [f"## {house}", _first_paragraph(ROOT / house / "__init__.py"), _picture(house)]
        parts += [_files_of(ROOT / house), *map(_room, sorted(_folders(ROOT / house)))]
    return "\n\n".join(part for part in parts if part) + "\n"


_INTRODUCTION = """# Rooms

Which room a thing lives in, from the list of files. Made from the code and from the table in `tests/rooms.py`, by
`python -m tests.rooms`; `tests/test_layering.py` fails where the code does not follow the table. Everybody may import
`eventstore.errors` and `eventstore.common`: they are left out of the pictures."""


def _folders(house: Path) -> list[Path]:
    return [one.parent for one in house.rglob("__init__.py") if one.parent != house]


def _room(folder: Path) -> str:
    title = f"### {folder.relative_to(ROOT).as_posix()}"
    return "\n\n".join(part for part in (title, _whole(folder / "__init__.py"), _files_of(folder)) if part)


def _files_of(folder: Path) -> str:
    paths = sorted(path for path in folder.glob("*.py") if path.name != "__init__.py")
    rows = [f"| `{path.name}` | {_first_paragraph(path).replace('|', chr(92) + '|')} |" for path in paths]
    return "\n".join(["| | |", "|---|---|", *rows]) if rows else ""


def _whole(path: Path) -> str:
    return ast.get_docstring(ast.parse(path.read_text())) or ""


def _first_paragraph(path: Path) -> str:
    return " ".join(_whole(path).partition("\n\n")[0].split())


def _picture(house: str) -> str:
    table = may_import()
    lines = [
        f"    {room.removeprefix(f'{house}.')} --> {target.removeprefix(f'{house}.')}"
        for room, targets in table.items()
        if room.startswith(f"{house}.")
        for target in sorted(_nearest(table, targets))
        if target.startswith(f"{house}.")
    ]
    return "\n".join(["```mermaid", "graph BT", *lines, "```"]) if lines else ""


def _nearest(table: dict[str, set[str]], targets: set[str]) -> set[str]:
    """Leave out what is reached by way of another: a picture of all arrows is a web."""
    far = {one for target in targets for one in _reached(table, target)}
    return targets - far


def _reached(table: dict[str, set[str]], room: str) -> set[str]:
    direct = table.get(room, set())
    return direct | {one for target in direct for one in _reached(table, target)}


if __name__ == "__main__":
    there = arrows()
    for room in sorted_rooms(there):
        print(_line(room, there[room]))
    (ROOT / "docs" / "rooms.md").write_text(page(), encoding="utf-8")
