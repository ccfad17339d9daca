import pytest

from console.shell.exit_codes import ExitCode, exit_code_of
from eventstore import errors


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.DocumentError(""), 3),
        (errors.RejectedError(""), 3),
        (errors.ConfigurationError(""), 3),
        (errors.NotFoundError(""), 4),
        (errors.HomeError(""), 5),
        (errors.DaemonRunningError(""), 6),
        (errors.DiskFullError(""), 7),
        (errors.NewerSchemaError(""), 7),
        (errors.NotADatabaseError(""), 7),
        (errors.DamagedLogError(""), 12),
        (errors.UnknownEventError(""), 12),
        (errors.ConflictError(""), 70),
        (ValueError(""), 70),
    ],
)
def test_every_error_of_the_store_has_its_exit_code(error: Exception, code: int) -> None:
    assert exit_code_of(error) == ExitCode(code)
