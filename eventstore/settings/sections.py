"""The sections of hookfuse.toml: each setting with its default, its bounds and what it is."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from eventstore.settings.values import (
    Address,
    Host,
    HostName,
    Network,
    PolicyName,
    ProxyUrl,
    ReceiverAddress,
    Seconds,
    SenderAddress,
)


class Section(BaseModel):
    """A table of the configuration file; a key that it does not know is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, allow_inf_nan=False)


class TimeoutSettings(Section):
    """How long an endpoint may take; an app may have its own."""

    connect_s: Seconds = Field(5.0, description="seconds for a connection, TLS included")
    read_s: Seconds = Field(5.0, description="seconds between two pieces of the answer")
    total_s: Seconds = Field(10.0, description="seconds for the whole request, by the wall clock")


class GuardSettings(Section):
    """Which addresses may be sent to."""

    allow_networks: tuple[Network, ...] = Field(
        (), description='networks that are allowed though they are not public, such as "127.0.0.0/8"'
    )
    deny_networks: tuple[Network, ...] = Field((), description="networks that are refused though they are public")
    allow_http: bool = Field(False, description="whether plain http is allowed")


class TlsSettings(Section):
    """Whom to believe when an endpoint says who it is; mails have [smtp] ca_file."""

    ca_file: str = Field(
        "",
        max_length=4096,
        description="file of certificates to trust instead; empty = the system's, and those that come with certifi",
    )


class ProxySettings(Section):
    """An HTTP proxy that all requests to endpoints go through, by CONNECT; HTTPS_PROXY and its like are not read."""

    url: ProxyUrl = Field(
        SecretStr(""),
        description="http://HOST:PORT, perhaps with USER:PASSWORD@; empty = none; better in HOOKFUSE_PROXY__URL",
    )
    by: Literal["address", "name"] = Field(
        "address",
        description='what the proxy is told: "address", which the guard has checked, or "name", which only the proxy'
        " looks up",
    )


class RetrySettings(Section):
    """When a failed attempt is made again."""

    schedule: tuple[Annotated[float, Field(ge=0, le=30 * 86_400)], ...] = Field(
        # The schedule that Svix publishes (docs.svix.com/retries): eight attempts within 28 hours.
        (5, 300, 1_800, 7_200, 18_000, 36_000, 36_000),
        description="seconds before the 2nd, 3rd, ... attempt; [] = one attempt",
        max_length=100,
    )
    jitter: float = Field(0.1, ge=0, le=1, description="share by which each delay is varied at random, 0 to 1")


class PolicySettings(Section):
    """When an integration counts as broken."""

    name: PolicyName = Field("balanced", description='"balanced" or "sentry-2024"')
    file: str = Field(
        "", max_length=4096, description="file of a policy of one's own, from the home on, instead of a name"
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if self.file and "name" in self.model_fields_set:
            raise ValueError("name and file exclude each other: leave one of them out")
        return self


class DisablingSettings(Section):
    """What may be disabled by the machine."""

    apps: Literal["internal", "all"] = Field(
        "internal",
        description='"internal": only apps of status internal (the original\'s rule); "all": published ones too,'
        " of which only the broken installation is disabled",
    )


class DeliverySettings(Section):
    """How much is under way at once."""

    in_flight: int = Field(256, ge=1, le=4096, description="requests under way at once, by all processes together")
    per_installation: int = Field(8, ge=1, le=1024, description="requests under way at once to one installation")
    idle_s: Seconds = Field(60.0, description="seconds after which an installation's idle actor is put away")
    rate_per_s: float = Field(0.0, ge=0, description="attempts a second to one installation at most; 0 = no limit")
    rate_burst: int = Field(10, ge=1, description="attempts that may come at once under that limit")
    slow_down_s: Seconds = Field(
        5.0, description="seconds of pause after 429 or 503 where the answer has no Retry-After"
    )


class BreakerSettings(Section):
    """The circuit breaker of each installation: open, its deliveries wait, and one at a time is let through."""

    enabled: bool = Field(True, description="whether there is one")
    dry_run: bool = Field(False, description="whether it only records that it would open")
    window_s: Seconds = Field(600.0, description="seconds of the sliding window")
    failures_min: int = Field(20, ge=1, description="failures within the window below which it never opens")
    failure_share_min: float = Field(
        0.5, gt=0, le=1, description="share of failures in the window that opens it, 0 to 1"
    )
    streak_min: int = Field(10, ge=1, description="failures in a row that open it, whatever the window holds")
    open_s: Seconds = Field(300.0, description="seconds until one delivery is let through to find out")
    open_max_s: Seconds = Field(3600.0, description="longest such wait: it doubles with each that fails")
    recovery_s: Seconds = Field(1200.0, description="seconds after closing in which the limits are stricter")
    recovery_factor: int = Field(10, ge=1, description="by how much they are stricter then")


class OutageSettings(Section):
    """Many endpoints failing at once is our own fault until shown otherwise: disabling is frozen then."""

    enabled: bool = Field(True, description="whether automatic disabling can be frozen")
    share: float = Field(0.3, gt=0, lt=1, description="share of the active installations that begins to fail, 0 to 1")
    window_s: Seconds = Field(300.0, description="seconds within which they begin to")
    installations_min: int = Field(5, ge=2, description="how many they must be at least")


class WarningSettings(Section):
    """The owners are told at 50 and 90 percent of the way to being disabled."""

    enabled: bool = Field(True, description="whether they are")


class MissedSettings(Section):
    """What arrives while an installation is disabled."""

    keep_s: float = Field(
        30 * 86_400.0, gt=0, description="seconds for which payloads of missed and dead deliveries are kept"
    )
    recover_per_s: float = Field(10.0, gt=0, description="how many missed deliveries a second are sent again")


class ProbingSettings(Section):
    """Test deliveries to what the machine has disabled, to enable it again when one succeeds."""

    enabled: bool = Field(False, description="whether there are any")
    first_s: Seconds = Field(3_600.0, description="seconds after the disabling until the first one")
    factor: float = Field(2.0, ge=1, description="by how much each wait is longer than the one before")
    max_s: float = Field(86_400.0, gt=0, description="longest wait, in seconds")
    cool_down_s: float = Field(
        86_400.0,
        ge=0,
        description="seconds: what is disabled again so soon after a probe enabled it waits for a person",
    )


class RedisSettings(Section):
    """A Redis that the buffer and the request log are written to as well, in the original's layout."""

    url: SecretStr = Field(
        SecretStr(""), description="redis://, rediss:// or unix://; empty = none; better in HOOKFUSE_REDIS__URL"
    )
    timeout_s: Seconds = Field(5.0, description="seconds for each step with it")
    retry_s: Seconds = Field(5.0, description="seconds until one that did not answer is asked again")


class SmtpSettings(Section):
    """The mail server; without a host, mails are put into the Maildir `outbox/` of the home."""

    host: Host = Field("", description="name of the mail server; empty = the Maildir")
    helo: HostName = Field("", description="name that this machine gives of itself (EHLO); empty = its own")
    port: int = Field(587, ge=1, le=65_535, description="port of the mail server")
    security: Literal["none", "starttls", "tls"] = Field("starttls", description='"starttls", "tls" or "none"')
    username: str = Field("", description="login name; empty = no login")
    password: SecretStr = Field(SecretStr(""), description="login password; better in HOOKFUSE_SMTP__PASSWORD")
    timeout_s: Seconds = Field(
        10.0, description="seconds for each step with the mail server; five times that for a whole mail"
    )
    ca_file: str = Field("", description="file of certificates to trust; empty = the system's")


class MailSettings(Section):
    """What mails look like, and when one is tried again."""

    sender: SenderAddress = Field("hookfuse@localhost", description="the From address")
    retry: tuple[Seconds, ...] = Field(
        (5, 30, 120, 600, 1_800, 3_600, 10_800, 21_600, 43_200, 86_400),
        min_length=1,
        description="seconds before a mail is tried again; the last one is used on and on",
    )
    digest_after: int = Field(3, ge=1, description="mails to one owner within digest_s; what is more goes as one mail")
    digest_s: Seconds = Field(60.0, description="seconds in which mails to one owner are counted")
    give_up_after_s: float = Field(
        5 * 86_400.0, gt=0, description="seconds after which a mail that could not be sent is given up"
    )


class LimitsSettings(Section):
    """What is taken at the border."""

    attachment_bytes: int = Field(1_048_576, ge=1, description="largest payload of one delivery, in bytes")
    response_bytes: int = Field(65_536, ge=1024, description="how much of an answer's body is read, in bytes")


class QueueSettings(Section):
    """The local queue, and a Redis stream that it is fed from."""

    idempotency_keep_s: float = Field(86_400.0, gt=0, description="seconds for which an idempotency key is remembered")
    url: SecretStr = Field(
        SecretStr(""), description="redis://, rediss:// or unix:// of the stream; empty = none; or HOOKFUSE_QUEUE__URL"
    )
    stream: str = Field("hookfuse:deliveries", min_length=1, max_length=200, description="key of the stream")
    group: str = Field("hookfuse", min_length=1, max_length=200, description="name of the consumer group")
    shared: bool = Field(False, description="whether daemons on other homes may read the same stream and group")
    adopt_after_s: Seconds = Field(
        60.0, description="seconds after which entries of a reader that is gone are taken over"
    )


class LogSettings(Section):
    """The daemon's log, JSON lines in logs/hookfuse.jsonl."""

    level: Literal["debug", "info", "warning", "error"] = Field("info", description="the least level that is written")
    rotate_bytes: int = Field(50_000_000, ge=10_000, description="size at which the file is rotated and compressed")
    keep_files: int = Field(10, ge=1, le=1000, description="how many rotated files are kept")


class MetricsSettings(Section):
    """An HTTP endpoint for Prometheus, with /healthz and /readyz; it is off until it is told where to listen."""

    listen: Address = Field("", description='where, such as "127.0.0.1:9464"; empty = nowhere; port 0 = a free one')


class StatsdSettings(Section):
    """The original's metrics by their names, as statsd lines with tags over UDP."""

    address: ReceiverAddress = Field("", description='where to, such as "127.0.0.1:8125"; empty = nowhere')


class DaemonSettings(Section):
    """Starting and stopping, and the processes in between."""

    stop_s: Seconds = Field(15.0, description="seconds for what is in flight to finish when stopping")
    poll_s: float = Field(0.25, ge=0.01, le=1.0, description="seconds between two looks at the clock and the registry")
    processes: int = Field(
        1, ge=1, le=64, description="processes that share the work; `run --processes` goes before it"
    )
    worker_silence_s: Seconds = Field(
        30.0, description="seconds after which a worker process that is not heard is killed and started again"
    )
    restarts: int = Field(
        5,
        ge=0,
        description="crashes that are repaired within restart_period_s: of a process's actors, and of processes",
    )
    restart_period_s: Seconds = Field(60.0, description="seconds in which restarts are counted")
