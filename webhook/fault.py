"""What can be wrong with an answer, as values that an event keeps."""

from __future__ import annotations

from enum import StrEnum

from webhook.errors import WebhookError


class Fault(StrEnum):
    """What was wrong with an answer; what comes before the body ends tells more than `protocol` alone."""

    NO_ANSWER = "no_answer"  # the connection ended before a status line, or after interim answers only
    RESET = "reset"  # the peer reset it before the head was whole
    BAD_STATUS_LINE = "bad_status_line"  # it is not a status line, or of a version or status that nobody asked for
    HEAD_TOO_LARGE = "head_too_large"  # or too many headers, or too much in interim answers
    BAD_HEAD = "bad_head"  # a header or the framing can't be read, or the connection ended within the headers
    BROKEN_BODY = "broken_body"  # a chunk can't be read, or the connection ended within the body


class AnswerFault(WebhookError):  # noqa: N818 - the endpoint's fault and not an error of ours
    """What came is not a whole answer; `fault` says what was wrong, and the text says it to a person."""

    def __init__(self, fault: Fault, text: str) -> None:
        super().__init__(text)
        self.fault = fault


class BodyFault(AnswerFault):
    """The head of the answer was read whole, and its body can't be."""

    def __init__(self, text: str) -> None:
        super().__init__(Fault.BROKEN_BODY, text)
