"""`replay timeline --plot`: what stands in the picture, read from the SVG itself."""

import os
import re
import struct
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from console.output import plot
from console.shell.exit_codes import ExitCode
from eventstore.common.identifiers import app_stream, installation_stream
from eventstore.events.catalogue import (
    AppChanged,
    BreakerClosed,
    BreakerOpened,
    DeliveryMissed,
    DeliverySucceeded,
    InstallationCreated,
    InstallationDisabled,
    InstallationEnabled,
    InstallationRemoved,
    InstallationWarned,
)
from eventstore.events.catalogue import DisableEvidence as Evidence
from eventstore.log.event_log import NewEvent
from eventstore.policies.day_counts import COUNTED_CLASSES
from replay.timeline.outcome_days import MISSED, OTHER
from tests.console.conftest import CHAT, PAGER, Ended, Hookfuse, World, attempt

EVIDENCE = Evidence("balanced", 1, "no-success", "no success for 3 days", (), 5)
SVG = "{http://www.w3.org/2000/svg}"


class Drawn:
    """A picture, by the ids and texts within it."""

    def __init__(self, path: Path) -> None:
        self.root = ET.fromstring(path.read_text(encoding="utf-8"))
        self.ids = [element.get("id", "") for element in self.root.iter()]
        self.texts = ["".join(element.itertext()).strip() for element in self.root.iter(f"{SVG}text")]

    def bars(self) -> Counter[str]:
        return Counter(one.split("-")[1] for one in self.ids if re.fullmatch(r"bar-\w+-\d{4}-\d\d-\d\d", one))

    def of(self, prefix: str) -> list[str]:
        return [one for one in self.ids if one.startswith(prefix)]


@pytest.fixture
def drawn(hookfuse: Hookfuse, world: World, tmp_path: Path) -> Callable[..., Drawn]:
    def draw(*arguments: object) -> Drawn:
        path = tmp_path / "story.svg"
        ended = hookfuse("replay", "timeline", *arguments, "--plot", path)
        assert ended.code == ExitCode.OK, ended.err
        return Drawn(path)

    return draw


def append(world: World, stream: str, *events: object) -> None:
    with world.store() as store, store.transaction() as transaction:
        transaction.append(*(NewEvent(stream, event) for event in events))  # type: ignore[arg-type]


def test_each_counted_class_is_drawn_and_has_a_title() -> None:
    assert plot._LOOKS.keys() == plot._TITLES.keys() == {*COUNTED_CLASSES, OTHER, MISSED}


def test_each_day_has_a_bar_for_each_class_and_each_decision_a_mark(drawn: Callable[..., Drawn]) -> None:
    picture = drawn(CHAT)

    assert picture.bars() == {"server_error": 3}
    assert [one.rpartition("-")[0] for one in picture.of("mark-")] == ["mark-disabled"]
    assert {"5xx", "disabled", "a day"} <= set(picture.texts)
    assert "Success" not in picture.texts  # the legend has what there is, and no more
    assert "6 chat (Chat), installation 7c1f0a99, 2025-02-02 to 2025-02-08 (UTC)" in picture.texts


def test_what_happens_is_in_the_picture(drawn: Callable[..., Drawn], world: World) -> None:
    stream = installation_stream(PAGER)
    until = "2025-02-08T12:05:00.000000Z"
    warned = InstallationWarned(PAGER, 5, 17, "https://x", 50, 0.5, EVIDENCE)
    disabled = InstallationDisabled(PAGER, 5, 17, "https://x", "person", "person:ann", "moving")
    changed = AppChanged(5, "pager", "Pager", "u", "internal", 17, "https://new.example", secret_version=2)
    append(world, stream, BreakerOpened(PAGER, until, "10 in a row"), warned)
    world.clock.advance(days=2)
    append(world, stream, BreakerClosed(PAGER, until), disabled)
    world.clock.advance(days=1)
    append(world, stream, *[DeliveryMissed("d", "issue.created", until)] * 3)
    append(world, stream, InstallationEnabled(PAGER, "person:ann", "fixed"))
    append(world, app_stream(5), changed)
    append(world, stream, InstallationRemoved(PAGER, "gone"))
    world.clock.advance(days=1)
    append(world, stream, InstallationCreated(PAGER, 5, 17))
    picture = drawn(PAGER)

    assert picture.bars() == {"success": 3, "missed": 1}
    marks = Counter(one.rpartition("-")[0].removeprefix("mark-") for one in picture.of("mark-"))
    assert marks == dict.fromkeys(("warned-50%", "disabled", "enabled", "removed", "new-URL", "new-secret"), 1)
    assert {"warned 50%", "disabled", "enabled", "removed", "new URL"} <= set(picture.texts)
    assert (picture.of("breaker-open-"), picture.of("disabled-")) == (["breaker-open-0"], ["disabled-0", "disabled-1"])
    assert {"Success", "Missed", "breaker open"} <= set(picture.texts)


def test_a_long_story_has_bars_of_weeks(drawn: Callable[..., Drawn], world: World) -> None:
    for _ in range(200):
        world.clock.advance(days=1)
        append(world, installation_stream(PAGER), DeliverySucceeded(**attempt(5, "pager", status_code=200)))
    picture = drawn(PAGER)

    assert "a week" in picture.texts
    assert 28 <= picture.bars()["success"] <= 31
    assert drawn(PAGER, "--since", "19d").bars()["success"] == 20


def test_marks_that_find_no_room_have_no_label(drawn: Callable[..., Drawn], world: World) -> None:
    warned = InstallationWarned(PAGER, 5, 17, "https://x", 50, 0.5, EVIDENCE)
    disabled = InstallationDisabled(PAGER, 5, 17, "https://x", "person", "person:ann", "moving")
    enabled = InstallationEnabled(PAGER, "person:ann", "fixed")
    for _ in range(60):
        append(world, installation_stream(PAGER), warned, disabled, enabled)
        world.clock.advance(days=1)
    picture = drawn(PAGER)

    labels = Counter(picture.texts)
    assert len(picture.of("mark-")) == 180
    assert 10 < labels["disabled"] + labels["enabled"] < 60
    assert labels["warned 50%"] == 0  # decisions come first


def test_a_story_without_traffic_says_so(drawn: Callable[..., Drawn]) -> None:
    picture = drawn(PAGER, "--until", "5")

    assert picture.bars() == {}
    assert "no traffic" in picture.texts


def test_a_name_is_text_whatever_it_holds(drawn: Callable[..., Drawn], world: World) -> None:
    name = "<script>&$x^2$\u202e\x1b"
    append(world, app_stream(5), AppChanged(5, "pager", name, "u", "internal", 17, "https://x"))

    assert any(text.startswith("5 pager (<script>&$x^2$\\u202e\\x1b)") for text in drawn(PAGER).texts)


def test_a_png_has_the_size_that_it_is_made_for(hookfuse: Hookfuse, world: World, tmp_path: Path) -> None:
    path = tmp_path / "story.PNG"
    ended = hookfuse("replay", "timeline", CHAT, "--json", "--plot", path)
    image = path.read_bytes()

    assert (ended.code, ended.json["installation_id"]) == (ExitCode.OK, CHAT)
    assert image[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", image[16:24]) == (1000, 400)
    assert path.stat().st_mode & 0o777 == 0o600


def test_the_same_story_is_the_same_file(hookfuse: Hookfuse, world: World, tmp_path: Path) -> None:
    for name in ("one.svg", "other.svg"):
        hookfuse("replay", "timeline", CHAT, "--plot", tmp_path / name)

    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "other.svg").read_bytes()


def refused(hookfuse: Hookfuse, path: object) -> Ended:
    return hookfuse("replay", "timeline", CHAT, "--plot", path)


def test_what_cannot_be_drawn_into_is_said_so(hookfuse: Hookfuse, world: World, tmp_path: Path) -> None:
    ended = [refused(hookfuse, path) for path in (tmp_path / "story.pdf", tmp_path / "none" / "story.svg", tmp_path)]

    assert [one.code for one in ended] == [ExitCode.USAGE, ExitCode.BAD_INPUT, ExitCode.USAGE]
    assert "--plot draws .svg and .png, and 'story.pdf' ends with neither" in ended[0].err
    assert "cannot be written: No such file or directory" in ended[1].err
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


def test_without_matplotlib_it_says_how_to_install_it(
    hookfuse: Hookfuse, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    ended = refused(hookfuse, tmp_path / "story.svg")

    assert (ended.code, ended.out) == (ExitCode.BAD_INPUT, "")
    assert f"{sys.executable} -m pip install 'matplotlib" in ended.err
    assert hookfuse("replay", "timeline", CHAT).code == ExitCode.OK


def test_an_installation_that_is_not_known_leaves_no_file(hookfuse: Hookfuse, world: World, tmp_path: Path) -> None:
    ended = hookfuse("replay", "timeline", "ffffff", "--plot", tmp_path / "story.svg")

    assert ended.code == ExitCode.NOT_FOUND
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


def test_drawing_needs_no_display_and_leaves_no_setting_behind(
    hookfuse: Hookfuse, world: World, tmp_path: Path
) -> None:
    program = (
        "import os, sys; from console.shell.cli import cli\n"
        "try: cli(sys.argv[1:])\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "import matplotlib; from matplotlib import rcParams\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
        "assert rcParams['svg.fonttype'] == 'path' and rcParams['axes.facecolor'] == 'red', rcParams\n"
        "assert os.environ['MPLBACKEND'] == 'rubbish'\n"
    )
    (tmp_path / "matplotlibrc").write_text("axes.facecolor: red\n")
    for path, settings in (("own.svg", tmp_path / "matplotlibrc"), ("plain.svg", None)):
        environment = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "HOOKFUSE_HOME")}
        if settings:
            environment |= {"MATPLOTLIBRC": str(settings), "MPLBACKEND": "rubbish"}
        arguments = ("--home", world.home.path, "replay", "timeline", CHAT, "--until", 28, "--plot", tmp_path / path)
        checked = program if settings else program.partition("import matplotlib")[0]
        done = subprocess.run(
            [sys.executable, "-c", checked, *map(str, arguments)],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")

    assert (tmp_path / "own.svg").read_bytes() == (tmp_path / "plain.svg").read_bytes()
