"""Who is next: what each installation has of the room for deliveries in flight, and the lines they wait in."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from actors.messages import Ref, Release
from actors.runtime.timers import Timers

__all__ = ["Room", "Share", "Shares"]

# Of those that do not answer so many are tried at once, and more of them one by one, so long apart: what begins in one
# moment is given up in one moment, again and again. Fifty threads wake at once then, and everybody else's deliveries
# wait for the interpreter.
_SILENT_AT_ONCE = 8
_SILENT_APART_S = 0.05


@dataclass(frozen=True, slots=True)
class Room:
    """For how many deliveries there is room.

    `first_window`: how many an installation may hold before its first answer. `new_share` and `silent_share`: how much
    of the room is for those that have not answered yet, and for those that did not answer last, all together: however
    many never answer, the others have theirs.
    """

    in_flight: int
    per_installation: int
    first_window: int = 1
    new_share: float = 0.5
    silent_share: float = 0.25


@dataclass(slots=True, eq=False)
class _Line:
    """Installations that wait to be served, and how many more deliveries all of their standing may have in flight."""

    room: int
    waiting: "deque[Share]" = field(default_factory=deque)


@dataclass(slots=True, eq=False)
class Share:
    """What one installation has of the dispatcher's attention.

    `in_flight`: sequence numbers handed out and not settled. `is_ready`: more may be due. `window`: how many it may
    hold; one that does not answer gets one at a time, so that it takes no room from those that do. `not_before`:
    until when nothing is handed out to it, as its gate is closed. `stock`: how many deliveries of packed batches are
    in the queue now and not handed out, as far as is known. `astray`: the moment, further ahead than its rule allows,
    of which the journal was told last.
    """

    installation_id: str
    window: int
    line: _Line
    ref: Ref | None = None
    in_flight: set[int] = field(default_factory=set)
    is_ready: bool = False
    is_in_line: bool = False
    not_before: str = ""
    used_s: float = 0.0
    stock: int = 0
    astray: str = ""


class Shares:
    """Owns who holds how many deliveries, who waits in which line, and the moments at which somebody is looked at."""

    def __init__(self, room: Room) -> None:
        self.timers = Timers()
        self.in_flight_count = 0
        self._room = room
        self._shares: dict[str, Share] = {}
        self._new = _Line(max(1, int(room.in_flight * room.new_share)))
        self._silent = _Line(max(1, int(room.in_flight * room.silent_share)))
        self._answering = _Line(room.in_flight)
        # Under way to those that do not answer there are `_silent_room` less the room in their line.
        self._silent_room = self._silent.room
        self._silent_again_s = 0.0

    def __iter__(self) -> Iterator[Share]:
        """Iterate over all."""
        return iter(self._shares.values())

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._shares)

    def line_up_again(self) -> None:
        """Empty the line; whoever is made ready lines up again."""
        for line in (self._silent, self._new, self._answering):
            line.waiting.clear()
        for share in self._shares.values():
            share.is_in_line = False

    def make_ready(self, installation_id: str) -> Share:
        """Put an installation, for which something may be due, into the line."""
        share = self._shares.get(installation_id)
        if share is None:
            window = min(self._room.first_window, self._room.per_installation)
            share = self._shares[installation_id] = Share(installation_id, window, self._new)
        share.is_ready = True
        self._line_up(share)
        return share

    def release(self, message: Release) -> None:
        """Take back what was handed out, and learn whether its endpoint answers."""
        share = self._shares.get(message.installation_id)
        if share is None or message.sequence not in share.in_flight:
            return
        share.in_flight.discard(message.sequence)
        self.in_flight_count -= 1
        share.line.room += 1
        if not message.is_postponed:
            self._change_line(share, self._answering if message.is_answered else self._silent)
        share.window = min(share.window * 2, self._room.per_installation) if message.is_answered else 1
        if message.retry_at is not None:
            self.timers.set(message.installation_id, message.retry_at)
        if message.hold_until is not None:
            share.not_before = message.hold_until
            self.timers.set(message.installation_id, message.hold_until)
        if message.is_postponed:
            share.is_ready = False  # the queue calls it due still: it would be handed out again at once, for ever
        elif message.has_key:
            share.is_ready = True  # the next of its key, which a claim has passed over, may go now
        if share.is_ready:
            self._line_up(share)

    def hold(self, installation_id: str, until: str | None) -> None:
        """Hand nothing out to an installation until then, None = it may get something."""
        share = self._shares.get(installation_id)
        if share is None:
            return
        share.not_before = until or ""
        if share.is_ready:
            self._line_up(share)  # a gate that is still closed gets its timer there

    def pick(self, due_at: str, now_s: float) -> list[tuple[Share, int]]:
        """Take installations out of the lines, one after the other, as long as there is room for what they may get."""
        picked: list[tuple[Share, int]] = []
        free = self._room.in_flight - self.in_flight_count
        for line in (self._silent, self._new, self._answering):
            line_free = min(free, line.room)
            if line is self._silent:
                line_free = min(line_free, self._silent_allowance(now_s))
            while line.waiting and line_free > 0:
                share = line.waiting.popleft()
                room = self._room_of(share, line_free, due_at)
                if room:
                    picked.append((share, room))
                line_free -= room
                free -= room
        return picked

    def hand_out(self, share: Share, sequence: int) -> None:
        """Note that an installation holds a delivery."""
        share.in_flight.add(sequence)
        self.in_flight_count += 1
        share.line.room -= 1

    def had_its_turn(self, share: Share, now_s: float, *, has_got_some: bool) -> None:
        """Note when an installation was served; it goes back into the line where it may have more in flight."""
        share.used_s = now_s
        if share.line is self._silent and has_got_some:
            self._silent_again_s = now_s + _SILENT_APART_S
        if share.is_ready and len(share.in_flight) < share.window:
            self._line_up(share)

    def drop_idle(self, oldest_s: float) -> list[Share]:
        """Forget those that have had nothing since then, and return them."""
        idle = [one for one in self if not one.in_flight and not one.is_ready and one.used_s < oldest_s]
        for share in idle:
            del self._shares[share.installation_id]
        return idle

    def _line_up(self, share: Share) -> None:
        if not share.is_in_line:
            share.is_in_line = True
            share.line.waiting.append(share)

    def _change_line(self, share: Share, line: _Line) -> None:
        """Follow an installation that has begun to answer, or has ceased to."""
        if share.line is line:
            return
        if share.is_in_line:
            share.line.waiting.remove(share)
            line.waiting.append(share)
        share.line.room += len(share.in_flight)
        line.room -= len(share.in_flight)
        share.line = line

    def _silent_allowance(self, now_s: float) -> int:
        """Return how many that do not answer may be tried now."""
        under_way = self._silent_room - self._silent.room
        return max(_SILENT_AT_ONCE - under_way, int(now_s >= self._silent_again_s))

    def _room_of(self, share: Share, free: int, due_at: str) -> int:
        share.is_in_line = False
        if share.not_before > due_at:
            self.timers.set(share.installation_id, share.not_before)
            return 0
        return max(0, min(share.window - len(share.in_flight), free)) if share.is_ready else 0
