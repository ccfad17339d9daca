from pathlib import Path

import pytest

from benchmarks.page import benchmarks_page, number_text
from benchmarks.readings import Result
from benchmarks.record import Record, SoakResult, merged, read_record, write_record

_DOCS = Path(__file__).parents[2] / "docs"
_MACHINE = {"processor": "a processor", "memory": "24 GiB", "system": "Linux", "file system": "ext4", "SQLite": "3"}


def _result(*values: float, others: tuple[float, ...] = ()) -> Result:
    return Result(values, others, "2026-03-01T10:00Z", "0123abc", 2)


def test_the_page_is_what_the_results_make_of_it() -> None:
    record = read_record(_DOCS / "benchmarks.json")

    assert record is not None
    page = (_DOCS / "benchmarks.md").read_text(encoding="utf-8")
    assert page == benchmarks_page(record), "run: python -m benchmarks.page"


def test_what_is_not_reached_is_said() -> None:
    page = benchmarks_page(Record(_MACHINE, {"1-dramatiq": _result(2100.0, others=(1000.0,)), "6-p50": _result(4.0)}))

    (slow, quick) = (line for line in page.splitlines() if line.startswith(("| 1 |", "| 6 |")))
    assert "| 2,100 /s |" in slow
    assert "| 2.10 | ≥ 2.20 | ≥ 3.00 | **no** |" in slow
    assert "| 4.00 ms |" in quick
    assert "| ≤ 10.0 ms | ≤ 3.00 ms | yes |" in quick


def test_what_a_peer_does_not_do_stands_beside_its_figure() -> None:
    page = benchmarks_page(Record(_MACHINE, {"1-dramatiq": _result(2100.0, others=(1000.0,))}))

    assert "durable outcomes" in next(line for line in page.splitlines() if line.startswith("| 1 |"))


def test_a_soak_s_faults_stand_in_the_page() -> None:
    soak = SoakResult({"deliveries": "10"}, ("2 were lost",), "2026-03-01T10:00Z", "0123abc", 2)

    assert "* **2 were lost**" in benchmarks_page(Record(_MACHINE, soak=soak))


@pytest.mark.parametrize(
    ("value", "text"), [(3912.4, "3,912"), (39.12, "39.1"), (2.345, "2.35"), (0.5, "0.50"), (None, "")]
)
def test_a_number_has_as_many_digits_as_say_something(value: float | None, text: str) -> None:
    assert number_text(value) == text


def test_results_of_a_part_replace_theirs_and_leave_the_others() -> None:
    before = Record(_MACHINE, {"1-rq": _result(1.0), "6-p50": _result(2.0)})
    now = Record(_MACHINE | {"SQLite": "4"}, {"6-p50": _result(3.0)})

    assert merged(before, now) == Record(now.machine, {"1-rq": _result(1.0), "6-p50": _result(3.0)})


def test_results_of_another_machine_are_not_mixed_with_these() -> None:
    before = Record(_MACHINE, {"1-rq": _result(1.0)})
    now = Record(_MACHINE | {"processor": "another"}, {"6-p50": _result(3.0)})

    assert merged(before, now) == now


def test_results_are_kept_as_they_were_written(tmp_path: Path) -> None:
    record = Record(_MACHINE, {"1-rq": _result(1.0, others=(2.0,))}, SoakResult({}, (), "now", "0123abc", 2))
    write_record(tmp_path / "results.json", record)

    assert read_record(tmp_path / "results.json") == record
    assert read_record(tmp_path / "none.json") is None
