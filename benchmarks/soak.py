"""`make soak`: minutes under load with faults, and a restart each minute; nothing may grow, and nothing be lost.

python -m benchmarks.soak --minutes 10
"""

import argparse
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.alert import INSTALLATIONS
from benchmarks.conditions import Conditions
from benchmarks.endpoints import Endpoints
from benchmarks.hookfuse_flow import HookfuseFlow, has_processes
from benchmarks.latency import latencies_ms
from benchmarks.load import finished, start_load
from benchmarks.machine import commit_of_checkout, describe_machine
from benchmarks.page import benchmarks_page
from benchmarks.process_group import ROOT, BenchmarkError, ProcessGroup
from benchmarks.readings import percentile
from benchmarks.receiver import Answering
from benchmarks.record import Record, SoakResult, merged, read_record, write_record
from benchmarks.sustained_pace import sustained_per_s
from benchmarks.system_overview import VitalSign, growth_faults, highest, lives_of
from eventstore.home.folder import Home

_ANSWERING = Answering(failing=0.02, hanging_up=0.005, ignoring=0.001)
# So that what fails is over within the soak. Each attempt fails by chance: eleven in a row do not.
_SETTINGS = "\n[retry]\nschedule = [1, 1, 2, 2, 4, 4, 8, 8, 16, 16]\n"
_LOAD = 0.7
_LOOK_S = 1.0
# A producer that is later than that was held up, and not only by a commit.
_LATE_S = 1.0
_DRAIN_S = 180.0
# From the last delivery: by then all kept connections are closed, which are kept for a minute.
_CLOSED_S = 90.0
_ORPHANS_S = 10.0
_RECORD = ROOT / "docs" / "benchmarks.json"
_PAGE = ROOT / "docs" / "benchmarks.md"


def main() -> int:
    """Return 0 when nothing was found wrong."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    options.folder.mkdir(exist_ok=True)
    conditions = Conditions(options.folder.resolve(), options.processes, options.quick)
    facts, faults = _soak(conditions, options)
    for name, value in facts.items():
        print(f"{name:<34}{value}")
    for fault in faults:
        print(f"FAULT: {fault}", file=sys.stderr)
    if not options.quick:
        _write(conditions, facts, faults)
    return 1 if faults else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description="Soak hookfuse.")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--restart-s", type=float, default=60.0, help="seconds from one restart to the next")
    parser.add_argument(
        "--per-s", type=float, default=0.0, help="load; 0 = 70%% of what the producer and the daemon sustain"
    )
    parser.add_argument("--processes", type=int, default=2 if has_processes() else 1, help="of hookfuse run")
    parser.add_argument("--quick", action="store_true", help="write nothing")
    parser.add_argument("--folder", type=Path, default=ROOT / ".benchmarks", help="where the home is made, on a disk")
    return parser.parse_args()


def _write(conditions: Conditions, facts: dict[str, str], faults: list[str]) -> None:
    taken_at = datetime.now(UTC).isoformat(timespec="minutes").replace("+00:00", "Z")
    result = SoakResult(facts, tuple(faults), taken_at, commit_of_checkout(), conditions.processes)
    record = merged(read_record(_RECORD), Record(describe_machine(conditions.folder), soak=result))
    write_record(_RECORD, record)
    _PAGE.write_text(benchmarks_page(record), encoding="utf-8")


def _soak(conditions: Conditions, options: argparse.Namespace) -> tuple[dict[str, str], list[str]]:
    """Return what there is to say, and what is wrong."""
    per_s, pace = options.per_s, "as it was told to"
    if not per_s:
        sustained = sustained_per_s(conditions, _ANSWERING, apps=INSTALLATIONS, settings=_SETTINGS)
        per_s, pace = round(_LOAD * sustained), f"{_LOAD:.0%} of the {sustained:.0f} that producer and daemon sustain"
    seconds = options.minutes * 60
    with (
        conditions.scratch() as folder,
        Endpoints(folder, _ANSWERING, capacity=int(per_s * seconds * 1.5) + 100_000) as endpoints,
    ):
        flow = HookfuseFlow.on_new_home(
            folder, endpoints, processes=conditions.processes, apps=INSTALLATIONS, settings=_SETTINGS
        )
        before_bytes = _size_bytes(flow.home)
        with start_load("paced", flow.home, per_s=float(per_s), seconds=seconds) as load:
            signs, faults = _keep_running(flow, load, options.restart_s)
            sent = finished(load)
        total, unique = flow.successes()
        facts = {
            "load": f"{per_s:.0f} deliveries a second for {seconds / 60:.1f} minutes, {sent['sent']:.0f} in all",
            "pace": pace,
            "faults": f"{_ANSWERING.failing:.1%} answered 500, {_ANSWERING.hanging_up:.1%} hung up on,"
            f" {_ANSWERING.ignoring:.1%} not answered",
            "restarts": f"{len(lives_of(signs)) - 1}, by SIGTERM and by SIGKILL in turn",
            "kept up": _kept_up(sent["late_s"]),
            **_arrival_facts(endpoints, int(sent["sent"]), faults),
            "recorded as successful": f"{unique} deliveries, by {total} events",
            **_sign_facts(signs),
            "growth of the database": f"{(_size_bytes(flow.home) - before_bytes) / sent['sent']:.0f} bytes a delivery",
        }
    if not total == unique == sent["sent"]:
        faults.append(f"{sent['sent']:.0f} deliveries were queued, {unique} are recorded, by {total} events")
    return facts, faults + growth_faults(signs)


def _keep_running(flow: HookfuseFlow, load: ProcessGroup, restart_s: float) -> tuple[list[VitalSign], list[str]]:
    """Run a daemon and restart it again and again, until all that is queued is delivered."""
    signs: list[VitalSign] = []
    faults: list[str] = []
    end_s = None
    for life, number in enumerate(_in_turn(signal.SIGTERM, signal.SIGKILL)):
        daemon = flow.start()
        try:
            while True:
                time.sleep(_LOOK_S)
                daemon.require_running()
                age_s = time.monotonic() - daemon.started_s
                signs.append(_look(daemon, flow.home, life, age_s))
                if load.is_over():
                    end_s = end_s or time.monotonic() + _DRAIN_S
                    if not flow.count_waiting():
                        return signs, faults + _left_open(daemon)
                    if time.monotonic() > end_s:
                        faults.append(f"{flow.count_waiting()} deliveries still wait {_DRAIN_S:.0f} s after the load")
                        return signs, faults
                elif age_s > restart_s:
                    break
            faults += _end(daemon, number)
        finally:
            daemon.stop()
    raise AssertionError("there is always a next signal")


def _left_open(daemon: ProcessGroup) -> list[str]:
    """Wait until the daemon, which has nothing to send any more, has closed all that it kept."""
    end_s = time.monotonic() + _CLOSED_S
    while count := daemon.descriptors().connections:
        if time.monotonic() > end_s:
            return [f"{count} connections are still open {_CLOSED_S:.0f} s after the last delivery"]
        daemon.require_running()
        time.sleep(_LOOK_S)
    return []


def _kept_up(late_s: float) -> str:
    if late_s > _LATE_S:
        return f"**no**: the producer was late by up to {late_s:.1f} s, and so the load was less than that"
    return f"yes: the producer was late by {late_s:.2f} s at most"


def _in_turn(*numbers: signal.Signals) -> Iterator[signal.Signals]:
    while True:
        yield from numbers


def _end(daemon: ProcessGroup, number: signal.Signals) -> list[str]:
    """End the daemon's first process, and see that the others end by themselves."""
    os.kill(daemon.process_id, number)
    if daemon.wait_for_all(_ORPHANS_S + 20.0 * (number == signal.SIGTERM)):
        return []
    return [f"processes of the daemon outlived its {number.name}"]


def _look(daemon: ProcessGroup, home: Home, life: int, age_s: float) -> VitalSign:
    memory, descriptors = daemon.memory(), daemon.descriptors()
    return VitalSign(
        life,
        age_s,
        sum(one.resident_mb for one in memory),
        descriptors.others,
        descriptors.connections,
        _file_bytes(Path(f"{home.database}-wal")) / 1e6,
    )


def _arrival_facts(endpoints: Endpoints, sent: int, faults: list[str]) -> dict[str, str]:
    arrivals = list(endpoints.arrivals.read())
    answered = Counter(arrival.number for arrival in arrivals if arrival.status == 200)
    if lost := sent - len(answered):
        faults.append(f"{lost} deliveries were never received and answered with success")
    took_ms = latencies_ms(arrivals)
    twice = sum(1 for count in answered.values() if count > 1)
    return {
        "received": f"{len(answered)} deliveries in {len(arrivals)} requests, {twice} of them again after a kill",
        "enqueue to first receipt": f"p50 {percentile(took_ms, 50):.0f} ms, p99 {percentile(took_ms, 99):.0f} ms,"
        " the restarts included",
    }


def _sign_facts(signs: Sequence[VitalSign]) -> dict[str, str]:
    lives = lives_of(signs)
    resident = ", ".join(f"{highest(life, 'resident_mb'):.0f}" for life in lives)
    files, connections = (
        ", ".join(f"{highest(life, name):.0f}" for life in lives) for name in ("files", "connections")
    )
    return {
        "memory, highest of each life": f"{resident} MB, all processes",
        "files and pipes, highest of each life": files,
        "connections, highest of each life": connections,
        "WAL, highest": f"{highest(signs, 'wal_mb'):.1f} MB",
    }


def _size_bytes(home: Home) -> int:
    return _file_bytes(home.database) + _file_bytes(Path(f"{home.database}-wal"))


def _file_bytes(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BenchmarkError as error:
        sys.exit(f"soak: {error}")
