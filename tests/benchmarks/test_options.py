"""What the benchmarks are told to do."""

import sys

import pytest

from benchmarks import __main__ as benchmarks


@pytest.mark.parametrize(
    ("words", "runs"), [([], 3), (["--quick"], 1), (["--quick", "--runs", "2"], 2), (["--runs", "5"], 5)]
)
def test_what_only_shows_that_it_works_is_run_once(
    monkeypatch: pytest.MonkeyPatch, words: list[str], runs: int
) -> None:
    monkeypatch.setattr(sys, "argv", ["benchmarks", *words])

    assert benchmarks._options().runs == runs


@pytest.mark.parametrize("words", [["--runs", "0"], ["--runs", "-1"], ["--processes", "0"], ["--runs", "few"]])
def test_less_than_once_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["benchmarks", *words])

    with pytest.raises(SystemExit, match="2"):
        benchmarks._options()
    assert words[0] in capsys.readouterr().err
