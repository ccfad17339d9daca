"""Random histories, lived by the actors of a checkout: `lived.py CHECKOUT FIRST LAST` prints one line of JSON for each.

It runs in the interpreter and on the imports of that checkout, whichever of the two it is: so it names things by both
their words. Clock, threads and answers are by hand, so that a history is the same each time.
"""

import importlib
import json
import random
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import structlog

sys.path.insert(0, sys.argv[1])


def thing(*names: str) -> Any:
    """Return the first of these that there is, each "module:name"."""
    for name in names:
        module, _, attribute = name.partition(":")
        try:
            return getattr(importlib.import_module(module), attribute)
        except (ImportError, AttributeError):
            continue
    raise ImportError(f"none of these is there: {names}")


structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
stage_module = importlib.import_module("tests.actors.stage")
BALANCED = thing("eventstore.policies.policy:BALANCED", "eventstore.policy:BALANCED")
SENTRY_2024 = thing("eventstore.policies.policy:SENTRY_2024", "eventstore.policy:SENTRY_2024")
disable = thing("eventstore.decisions.disable:disable", "eventstore.disabling:disable")
enable = thing("eventstore.decisions.disable:enable", "eventstore.disabling:enable")
DisableRequest = thing("eventstore.decisions.disable:DisableRequest", "eventstore.disabling:DisableRequest")
evaluate = thing(
    "eventstore.policies.evaluation:evaluate", "eventstore.policies.evaluation:judge", "eventstore.verdict:judge"
)
read_days = thing("eventstore.projections.broken_state_buffer:read_days", "eventstore.buffer:read_days")
window_start = thing("eventstore.policies.day_counts:window_start", "eventstore.buffer:window_start")
OutageRule = thing(
    "eventstore.policies.outage_rule:OutageRule",
    "eventstore.policies.outage_rule:FleetRule",
    "eventstore.fleet:FleetRule",
)
Memory = thing(
    "actors.mail.mail_transport:MemoryTransport", "actors.mail.postbox:MemoryPostbox", "actors.postbox:MemoryPostbox"
)
GateRule = thing("actors.delivery.delivery_gate:GateRule", "actors.delivery.gate:GateRule", "actors.gate:GateRule")
BreakerRule = thing("eventstore.policies.breaker:BreakerRule", "eventstore.breaker:BreakerRule")
CheckOutbox = thing("actors.messages:CheckOutbox")
ErrorClass = thing("webhook:ErrorClass")

ANSWERS: dict[str, tuple[Any, int]] = {
    "200": (None, 200),
    "302": (ErrorClass.REDIRECT, 302),
    "400": (ErrorClass.CLIENT_ERROR, 400),
    "410": (ErrorClass.GONE, 410),
    "429": (ErrorClass.RATE_LIMITED, 429),
    "500": (ErrorClass.SERVER_ERROR, 500),
    "503": (ErrorClass.SERVER_ERROR, 503),
    "read": (ErrorClass.READ_TIMEOUT, 0),
    "connect": (ErrorClass.CONNECT_TIMEOUT, 0),
    "protocol": (ErrorClass.PROTOCOL, 0),
}
# Mostly well, or broken for days: both ends of the rules are met.
WEIGHTS = {"200": 6, "302": 1, "400": 3, "410": 1, "429": 1, "500": 8, "503": 1, "read": 6, "connect": 2, "protocol": 1}
STEPS = {"send": 10, "answer": 6, "wait": 4, "disable": 1, "enable": 2, "restart": 1, "outage": 1}
TABLES = ("events", "installations", "apps", "organizations", "buffer", "request_log", "audit", "outbox", "queue")


class Lived:
    """One history: an organization's installations, what is sent, what is answered, and what people decide."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.dice = dice = random.Random(seed)
        self.stage = stage = stage_module.Stage(folder)
        self.policy = dice.choice((BALANCED, BALANCED, SENTRY_2024))
        self.ids = [f"{number:08d}-1111-4111-8111-111111111111" for number in range(1, dice.randint(1, 7) + 1)]
        for installation_id in self.ids:
            stage.register(installation_id, status=dice.choice(("internal", "internal", "internal", "published")))
        outage = OutageRule(share=0.5, window_s=300, installations_min=4) if dice.random() < 0.3 else None
        names = stage_module.Works.__init__.__kwdefaults__
        rule = next(name for name in names if name.endswith("_rule"))
        breaker = BreakerRule(failures_min=6, streak_min=3, open_s=300, open_max_s=3600, recovery_s=1200)
        gate = GateRule(breaker=breaker) if dice.random() < 0.3 else GateRule()
        settings = {rule: outage, "gate": gate, "policy": self.policy, "is_warned": dice.random() < 0.8}
        self.works = stage_module.Works(stage, **settings)
        self.mails = Memory()
        self.mailer = stage.mailer(self.mails)
        self.verdicts: list[Any] = []

    def live(self) -> None:
        """Live some days."""
        for _ in range(self.dice.randint(3, 12)):
            for _ in range(self.dice.randint(1, 8)):
                self.step()
            self.look_back()
            self.stage.clock.advance(days=self.dice.choice((1, 1, 1, 1, 2, 3)))

    def step(self) -> None:
        """Carry a step out, and what the actors do then."""
        dice, one = self.dice, self.dice.choice(self.ids)
        what = dice.choices(tuple(STEPS), tuple(STEPS.values()))[0]
        if what == "send":
            self.stage.enqueue(one, dice.randint(1, 5))
        elif what == "answer":
            (name,) = dice.choices(tuple(WEIGHTS), tuple(WEIGHTS.values()))
            error_class, code = ANSWERS[name]
            self.works.receiver.answers[one] = stage_module.outcome(error_class, code)
        elif what == "outage":
            for each in self.ids:
                self.stage.enqueue(each)
                self.works.receiver.answers[each] = stage_module.outcome(*ANSWERS["read"])
        elif what == "restart":
            self.works.restart()
        elif what in ("disable", "enable"):
            self.decide(what, one)
        self.works.look_around(after_s=dice.choice((0, 1, 10, 400, 4000)))
        self.mailer.tell(CheckOutbox())
        self.stage.run()

    def decide(self, what: str, one: str) -> None:
        """Decide as a person does."""
        with self.stage.store.transaction() as transaction:
            if what == "enable":
                enable(transaction, one, by="person:ann", reason="fixed")
                return
            fields = {"installation_id": one, "by": "person:ann", "reason": "moving", "policy": self.policy}
            if "cause" in DisableRequest.__dataclass_fields__:
                fields["cause"] = "person"
            disable(transaction, DisableRequest(**fields))

    def look_back(self) -> None:
        """Write down how the policy finds each installation at the end of a day."""
        now = self.stage.clock.now()
        for one in self.ids:
            days = read_days(self.stage.store.connection, one, window_start(now, self.policy.window_days))
            found = evaluate(self.policy, days, now.date())
            progress = found.progress if hasattr(found, "progress") else found.nearness
            self.verdicts.append([one, now.isoformat(), found.is_broken, found.rule, found.explanation, progress])

    def result(self) -> dict[str, Any]:
        """Return all that is to be compared."""
        tables = {name: list(self._rows(name)) for name in TABLES}
        mails = [[recipient, mail["Message-ID"], _what_would_help(mail)] for mail, recipient in self.mails.deliveries]
        return {"policy": self.policy.name, "verdicts": self.verdicts, "tables": tables, "mails": mails}

    def _rows(self, table: str) -> Iterator[dict[str, Any]]:
        cursor = self.stage.store.connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2, 3")
        names = [column[0] for column in cursor.description]
        for row in cursor:
            yield {name: value for name, value in zip(names, row, strict=True) if not isinstance(value, bytes)}


def _what_would_help(mail: Any) -> list[str]:
    """Return the sentences of a mail that say what would help."""
    text = mail.get_body(("plain",)).get_content().replace("\n", " ")
    return [part.strip() for part in text.split(". ") if "would have prevented it" in part or "would stop it" in part]


def main() -> None:
    """Live the histories that are asked for."""
    for seed in range(int(sys.argv[2]), int(sys.argv[3])):
        with tempfile.TemporaryDirectory() as folder:
            lived = Lived(Path(folder), seed)
            lived.live()
            print(json.dumps({"seed": seed} | lived.result(), default=str))
            lived.stage.close()


if __name__ == "__main__":
    main()
