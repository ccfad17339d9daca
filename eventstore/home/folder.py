"""The home folder: where everything lives, who may read it, and who runs on it."""

import os
import stat
from contextlib import suppress
from pathlib import Path

from eventstore.common.file_system import refusal
from eventstore.common.identifiers import new_id, parse_uuid
from eventstore.common.shortage import raise_shortage
from eventstore.errors import HomeError, RejectedError
from eventstore.home.doorbell import Doorbell
from eventstore.home.ownership import HomeOwnership
from eventstore.sqlite.high_water_mark import mark_path

__all__ = ["Home"]

_IDENTITY = "identity"


class Home:
    """One folder, readable by its owner only (0700, files 0600), that holds all that hookfuse keeps."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.database = self.path / "events.db"
        self.configuration = self.path / "hookfuse.toml"
        self.log = self.path / "logs" / "hookfuse.jsonl"
        self.outbox = self.path / "outbox"
        self.report = self.path / "daemon.json"
        self.doorbell = Doorbell(self.path / "doorbell")
        self.ownership = HomeOwnership(self.path)

    def require(self) -> None:
        """Raise HomeError when there is no home yet, as a mistyped one is not to be made."""
        try:
            # Where only the mark is left, it is said that the database is gone, and not that none was here.
            is_home = self.database.is_file() or mark_path(self.database).is_file()
            fault = "is not a home" if self.path.exists() else "does not exist"
        except OSError as error:  # a name that is too long, or a folder that may not be looked into
            raise HomeError(
                f"home {self.path} cannot be used ({error.strerror}): name another with --home or HOOKFUSE_HOME"
            ) from error
        if not is_home:
            raise HomeError(
                f"no home at {self.path} (it {fault}): start the daemon or apply a registry first,"
                " or name another with --home or HOOKFUSE_HOME"
            )

    @classmethod
    def from_environment(cls) -> "Home":
        """Return the home that HOOKFUSE_HOME names, `.hookfuse` where it names none."""
        return cls(os.environ.get("HOOKFUSE_HOME") or ".hookfuse")

    def prepare(self) -> None:
        """Make the folder where it is missing, and make it private. Raises HomeError."""
        try:
            self._refuse_foreign_folder()
            self.log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            if stat.S_IMODE(self.path.stat().st_mode) != 0o700:
                self.path.chmod(0o700)
            if not os.access(self.path, os.W_OK | os.X_OK):
                raise refusal(self.path)
        except OSError as error:
            raise_shortage(error, f"home {self.path}: not opened")
            place = Path(error.filename or self.path)
            fault = f"{error.strerror}" if place == self.path else f"{place.name}: {error.strerror}"
            raise HomeError(
                f"home {self.path} cannot be used ({fault}): name another with --home or HOOKFUSE_HOME"
            ) from error

    def _refuse_foreign_folder(self) -> None:
        """Raise rather than turn a folder that has another use, such as /tmp, into a private home."""
        if not self.path.is_dir() or self.database.exists() or stat.S_IMODE(self.path.stat().st_mode) == 0o700:
            return
        kept = (self.configuration, self.log.parent, self.outbox, self.report, *self.ownership.paths)
        own = {*(path.name for path in kept), self.doorbell.path.name, _IDENTITY, mark_path(self.database).name}
        foreign = sorted(entry.name for entry in self.path.iterdir() if entry.name not in own)
        if foreign:
            raise HomeError(
                f"home {self.path} is a folder with other things in it ({foreign[0][:60]}): name an empty or a new one,"
                " or make it private first (chmod 700)"
            )

    def refuse_own(self, target: Path) -> None:
        """Raise RejectedError where a file that is to be written would be one of the home's own, by whatever name."""
        own = (
            self.configuration,
            self.report,
            *self.ownership.paths,
            self.doorbell.path,
            self.path / _IDENTITY,
        )
        try:
            place = target.parent.resolve() / target.name
            home = self.path.resolve()
            is_own = (
                place in {home / path.name for path in own}
                or (place.parent == home and place.name.startswith(self.database.name))
                or (place.parent == home and place.suffix == self.configuration.suffix)  # policies too
                or any(folder in place.parents for folder in (home / "logs", home / "outbox"))
                or any(_is_same(target, path) for path in (*own, *home.glob(f"{self.database.name}*")))
            )
        except OSError as error:
            raise RejectedError(f"{target}: cannot be written ({error.strerror})") from error
        if is_own or place == home:
            raise RejectedError(f"{target} is the home's own: name another file")

    def identity(self) -> str:
        """Return the UUID that tells this home from others, made when it is first asked for. Raises HomeError."""
        path = self.path / _IDENTITY
        try:
            with suppress(FileExistsError):
                descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
                try:
                    os.write(descriptor, f"{new_id()}\n".encode())
                finally:
                    os.close(descriptor)
            return parse_uuid(path.read_text().strip())
        except (OSError, RejectedError) as error:
            raise_shortage(error, f"{path}: not opened")
            raise HomeError(f"{path} cannot be read, or is not a UUID: remove it, and a new one is made") from error


def _is_same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:  # one of the two is not there
        return False
