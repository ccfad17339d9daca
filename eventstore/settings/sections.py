"""The sections of hookfuse.toml: each setting with its default, its bounds and what it is."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from eventstore.settings.values import (
    Address,
    Host,
    HostName,
    Network,
    PolicyName,
    ProxyUrl,
    ReceiverAddress,
    Seconds,
    Secret,
    SenderAddress,
)


class Section(Struct, frozen=True, kw_only=True):
    """A table of the configuration file; a key that it does not know is an error."""


class TimeoutSettings(Section, frozen=True, kw_only=True):
    """How long an endpoint may take; an app may have its own."""

    connect_s: Annotated[Seconds, Meta(description="seconds for a connection, TLS included")] = 5.0
    read_s: Annotated[Seconds, Meta(description="seconds between two pieces of the answer")] = 5.0
    total_s: Annotated[Seconds, Meta(description="seconds for the whole request, by the wall clock")] = 10.0


class GuardSettings(Section, frozen=True, kw_only=True):
    """Which addresses may be sent to."""

    allow_networks: Annotated[
        tuple[Network, ...],
        Meta(description='networks that are allowed although they are not public, such as "127.0.0.0/8"'),
    ] = ()
    deny_networks: Annotated[
        tuple[Network, ...], Meta(description="networks that are refused although they are public")
    ] = ()
    allow_http: Annotated[bool, Meta(description="whether plain http is allowed")] = False


class TlsSettings(Section, frozen=True, kw_only=True):
    """Whom to believe when an endpoint says who it is; mails have [smtp] ca_file."""

    ca_file: Annotated[
        str,
        Meta(
            max_length=4096,
            description="file of certificates to trust instead; empty = the system's, and those that come with certifi",
        ),
    ] = ""


class ProxySettings(Section, frozen=True, kw_only=True):
    """An HTTP proxy that all requests to endpoints go through, by CONNECT; HTTPS_PROXY and its like are not read."""

    url: Annotated[
        ProxyUrl,
        Meta(description="http://HOST:PORT, perhaps with USER:PASSWORD@; empty = none; better in HOOKFUSE_PROXY__URL"),
    ] = Secret("")
    by: Annotated[
        Literal["address", "name"],
        Meta(
            description='what the proxy is told: "address", which the guard has checked, or "name", which only the'
            " proxy looks up"
        ),
    ] = "address"


class RetrySettings(Section, frozen=True, kw_only=True):
    """When a failed attempt is made again."""

    # The schedule that Svix publishes (docs.svix.com/retries): eight attempts within 28 hours.
    schedule: Annotated[
        tuple[Annotated[float, Meta(ge=0, le=30 * 86_400)], ...],
        Meta(description="seconds before the 2nd, 3rd, ... attempt; [] = one attempt", max_length=100),
    ] = (5, 300, 1_800, 7_200, 18_000, 36_000, 36_000)
    jitter: Annotated[float, Meta(ge=0, le=1, description="share by which each delay is varied at random, 0 to 1")] = (
        0.1
    )


class PolicySettings(Section, frozen=True, kw_only=True):
    """When an integration counts as broken."""

    name: Annotated[PolicyName, Meta(description='"balanced" or "sentry-2024"')] = "balanced"
    file: Annotated[
        str, Meta(max_length=4096, description="file of your own policy, relative to the home, instead of a name")
    ] = ""


class DisablingSettings(Section, frozen=True, kw_only=True):
    """What may be disabled by the machine."""

    apps: Annotated[
        Literal["internal", "all"],
        Meta(
            description='"internal": only apps of status internal (the original\'s rule); "all": published ones too,'
            " of which only the broken installation is disabled"
        ),
    ] = "internal"


class DeliverySettings(Section, frozen=True, kw_only=True):
    """How much is under way at once."""

    in_flight: Annotated[
        int, Meta(ge=1, le=4096, description="requests under way at once, by all processes together")
    ] = 256
    per_installation: Annotated[
        int, Meta(ge=1, le=1024, description="requests under way at once to one installation")
    ] = 8
    idle_s: Annotated[Seconds, Meta(description="seconds after which an installation's idle actor is put away")] = 60.0
    rate_per_s: Annotated[
        float, Meta(ge=0, description="attempts a second to one installation at most; 0 = no limit")
    ] = 0.0
    rate_burst: Annotated[int, Meta(ge=1, description="attempts that may come at once under that limit")] = 10
    slow_down_s: Annotated[
        Seconds, Meta(description="seconds of pause after 429 or 503 where the answer has no Retry-After")
    ] = 5.0


class BreakerSettings(Section, frozen=True, kw_only=True):
    """The circuit breaker of each installation: open, its deliveries wait, and one at a time is let through."""

    enabled: Annotated[bool, Meta(description="whether the breaker is used")] = True
    dry_run: Annotated[bool, Meta(description="whether it only records that it would open")] = False
    window_s: Annotated[Seconds, Meta(description="seconds of the sliding window")] = 600.0
    failures_min: Annotated[int, Meta(ge=1, description="failures within the window below which it never opens")] = 20
    failure_share_min: Annotated[
        float, Meta(gt=0, le=1, description="share of failures in the window that opens it, 0 to 1")
    ] = 0.5
    streak_min: Annotated[int, Meta(ge=1, description="failures in a row that open it, whatever the window holds")] = 10
    open_s: Annotated[Seconds, Meta(description="seconds until one delivery is let through as a trial")] = 300.0
    open_max_s: Annotated[Seconds, Meta(description="longest such wait: it doubles with each that fails")] = 3600.0
    recovery_s: Annotated[Seconds, Meta(description="seconds after closing in which the limits are stricter")] = 1200.0
    recovery_factor: Annotated[int, Meta(ge=1, description="by how much they are stricter then")] = 10


class OutageSettings(Section, frozen=True, kw_only=True):
    """Many endpoints failing at once is our own fault until shown otherwise: disabling is frozen then."""

    enabled: Annotated[bool, Meta(description="whether automatic disabling can be frozen")] = True
    share: Annotated[
        float, Meta(gt=0, lt=1, description="share of the active installations that begins to fail, 0 to 1")
    ] = 0.3
    window_s: Annotated[Seconds, Meta(description="seconds within which they begin to")] = 300.0
    installations_min: Annotated[int, Meta(ge=2, description="at least how many there must be")] = 5


class WarningSettings(Section, frozen=True, kw_only=True):
    """The owners are told at 50 and 90 percent of the way to being disabled."""

    enabled: Annotated[bool, Meta(description="whether owners are warned")] = True


class MissedSettings(Section, frozen=True, kw_only=True):
    """What arrives while an installation is disabled."""

    keep_s: Annotated[
        float, Meta(gt=0, description="seconds for which payloads of missed and dead deliveries are kept")
    ] = 30 * 86_400.0
    recover_per_s: Annotated[float, Meta(gt=0, description="how many missed deliveries a second are sent again")] = 10.0


class ProbingSettings(Section, frozen=True, kw_only=True):
    """Test deliveries to what the machine has disabled, to enable it again when one succeeds."""

    enabled: Annotated[bool, Meta(description="whether the machine sends test deliveries to what it has disabled")] = (
        False
    )
    first_s: Annotated[Seconds, Meta(description="seconds after the disabling until the first one")] = 3_600.0
    factor: Annotated[float, Meta(ge=1, description="by how much each wait is longer than the one before")] = 2.0
    max_s: Annotated[float, Meta(gt=0, description="longest wait, in seconds")] = 86_400.0
    cool_down_s: Annotated[
        float,
        Meta(ge=0, description="seconds: what is disabled again so soon after a probe enabled it waits for a person"),
    ] = 86_400.0


class RedisSettings(Section, frozen=True, kw_only=True):
    """A Redis that the buffer and the request log are written to as well, in the original's layout."""

    url: Annotated[
        Secret, Meta(description="redis://, rediss:// or unix://; empty = none; better in HOOKFUSE_REDIS__URL")
    ] = Secret("")
    timeout_s: Annotated[Seconds, Meta(description="seconds for each step with it")] = 5.0
    retry_s: Annotated[Seconds, Meta(description="seconds until one that did not answer is asked again")] = 5.0


class SmtpSettings(Section, frozen=True, kw_only=True):
    """The mail server; without a host, mails are put into the Maildir `outbox/` of the home."""

    host: Annotated[Host, Meta(description="name of the mail server; empty = the Maildir")] = ""
    helo: Annotated[HostName, Meta(description="name that this machine gives of itself (EHLO); empty = its own")] = ""
    port: Annotated[int, Meta(ge=1, le=65_535, description="port of the mail server")] = 587
    security: Annotated[Literal["none", "starttls", "tls"], Meta(description='"starttls", "tls" or "none"')] = (
        "starttls"
    )
    username: Annotated[str, Meta(description="login name; empty = no login")] = ""
    password: Annotated[Secret, Meta(description="login password; better in HOOKFUSE_SMTP__PASSWORD")] = Secret("")
    timeout_s: Annotated[
        Seconds, Meta(description="seconds for each step with the mail server; five times that for a whole mail")
    ] = 10.0
    ca_file: Annotated[str, Meta(description="file of certificates to trust; empty = the system's")] = ""


class MailSettings(Section, frozen=True, kw_only=True):
    """What mails look like, and when one is tried again."""

    sender: Annotated[SenderAddress, Meta(description="the From address")] = "hookfuse@localhost"
    retry: Annotated[
        tuple[Seconds, ...],
        Meta(min_length=1, description="seconds before a mail is tried again; the last one is repeated"),
    ] = (5, 30, 120, 600, 1_800, 3_600, 10_800, 21_600, 43_200, 86_400)
    digest_after: Annotated[
        int, Meta(ge=1, description="mails to one owner within digest_s; the rest goes as one mail")
    ] = 3
    digest_s: Annotated[Seconds, Meta(description="seconds in which mails to one owner are counted")] = 60.0
    give_up_after_s: Annotated[
        float, Meta(gt=0, description="seconds after which a mail that could not be sent is given up")
    ] = 5 * 86_400.0


class LimitsSettings(Section, frozen=True, kw_only=True):
    """What is taken at the border."""

    attachment_bytes: Annotated[int, Meta(ge=1, description="largest payload of one delivery, in bytes")] = 1_048_576
    response_bytes: Annotated[int, Meta(ge=1024, description="how much of an answer's body is read, in bytes")] = 65_536


class QueueSettings(Section, frozen=True, kw_only=True):
    """The local queue, and a Redis stream that it is fed from."""

    idempotency_keep_s: Annotated[
        float, Meta(gt=0, description="seconds for which an idempotency key is remembered")
    ] = 86_400.0
    url: Annotated[
        Secret, Meta(description="redis://, rediss:// or unix:// of the stream; empty = none; or HOOKFUSE_QUEUE__URL")
    ] = Secret("")
    stream: Annotated[str, Meta(min_length=1, max_length=200, description="key of the stream")] = "hookfuse:deliveries"
    group: Annotated[str, Meta(min_length=1, max_length=200, description="name of the consumer group")] = "hookfuse"
    shared: Annotated[bool, Meta(description="whether daemons on other homes may read the same stream and group")] = (
        False
    )
    adopt_after_s: Annotated[
        Seconds, Meta(description="seconds after which entries of a reader that is gone are taken over")
    ] = 60.0


class LogSettings(Section, frozen=True, kw_only=True):
    """The daemon's log, JSON lines in logs/hookfuse.jsonl."""

    level: Annotated[Literal["debug", "info", "warning", "error"], Meta(description="lowest level that is written")] = (
        "info"
    )
    rotate_bytes: Annotated[int, Meta(ge=10_000, description="size at which the file is rotated and compressed")] = (
        50_000_000
    )
    keep_files: Annotated[int, Meta(ge=1, le=1000, description="how many rotated files are kept")] = 10


class MetricsSettings(Section, frozen=True, kw_only=True):
    """An HTTP endpoint for Prometheus, with /healthz and /readyz; it is off until it is told where to listen."""

    listen: Annotated[
        Address, Meta(description='where, such as "127.0.0.1:9464"; empty = nowhere; port 0 = a free one')
    ] = ""


class StatsdSettings(Section, frozen=True, kw_only=True):
    """The original's metrics by their names, as statsd lines with tags over UDP."""

    address: Annotated[ReceiverAddress, Meta(description='where to, such as "127.0.0.1:8125"; empty = nowhere')] = ""


class DaemonSettings(Section, frozen=True, kw_only=True):
    """Starting and stopping, and the processes in between."""

    stop_s: Annotated[Seconds, Meta(description="seconds for what is in flight to finish when stopping")] = 15.0
    poll_s: Annotated[
        float, Meta(ge=0.01, le=1.0, description="seconds between two looks at the clock and the registry")
    ] = 0.25
    processes: Annotated[
        int, Meta(ge=1, le=64, description="processes that share the work; `run --processes` takes precedence")
    ] = 1
    worker_silence_s: Annotated[
        Seconds,
        Meta(description="seconds after which a worker process that is not heard from is killed and started again"),
    ] = 30.0
    restarts: Annotated[
        int,
        Meta(
            ge=0,
            description="crashes that are repaired within restart_period_s: of a process's actors, and of processes",
        ),
    ] = 5
    restart_period_s: Annotated[Seconds, Meta(description="seconds in which restarts are counted")] = 60.0
