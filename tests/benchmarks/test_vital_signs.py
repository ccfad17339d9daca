from collections.abc import Iterator

from benchmarks.vital_signs import VitalSign, growth_faults, highest, lives_of


def _life(number: int, resident_mb: float, *, growing_mb: float = 0.0, files: int = 60) -> Iterator[VitalSign]:
    for age_s in range(60):
        yield VitalSign(number, age_s, resident_mb + growing_mb * age_s, files, age_s, 4.0)


def test_what_stays_as_it_is_grows_not() -> None:
    assert growth_faults([sign for life in range(10) for sign in _life(life, 80.0 + life % 2)]) == []


def test_memory_that_grows_within_a_life_is_a_fault() -> None:
    (fault,) = growth_faults(list(_life(0, 80.0, growing_mb=1.0)))

    assert fault.startswith("resident_mb grows within a life")


def test_what_grows_from_life_to_life_is_a_fault() -> None:
    (fault,) = growth_faults([sign for life in range(10) for sign in _life(life, 80.0, files=60 + 20 * life)])

    assert fault.startswith("files grows from the earlier lives to the later")


def test_connections_follow_what_is_sent_and_not_the_time() -> None:
    busier = [VitalSign(0, age_s, 80.0, 60, 70 if age_s < 40 else 110, 4.0) for age_s in range(60)]

    assert growth_faults(busier) == []


def test_growing_up_is_no_growth() -> None:
    young = [VitalSign(0, age_s, 40.0 + min(age_s, 15) * 10, 60, 0, 4.0) for age_s in range(60)]

    assert growth_faults(young) == []


def test_a_soak_too_short_to_say_anything_finds_nothing() -> None:
    assert growth_faults([VitalSign(0, age_s, 40.0 * (1 + age_s), 60, 0, 4.0) for age_s in range(10)]) == []


def test_lives_are_parted_by_restarts() -> None:
    signs = [*_life(0, 80.0), *_life(1, 90.0)]

    assert [highest(life, "resident_mb") for life in lives_of(signs)] == [80.0, 90.0]
