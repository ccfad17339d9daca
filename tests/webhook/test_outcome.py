from __future__ import annotations

import inspect
import socket
import ssl

import pytest
import requests.exceptions
from hypothesis import given
from hypothesis import strategies as st

from webhook import AddressBlocked, ErrorClass, OutcomeKind, classify_status, kind_of
from webhook.deadline_socket import DeadlineExceeded
from webhook.errors import ConnectFailed, ConnectTimedOut
from webhook.exception_table import CANNOT_HAPPEN, ERRORS, as_requests, describe, error_class_of, is_lost
from webhook.fault import AnswerFault, BodyFault, Fault


@pytest.mark.parametrize(
    ("status_code", "error_class"),
    [
        (300, ErrorClass.REDIRECT),
        (304, ErrorClass.REDIRECT),
        (400, ErrorClass.CLIENT_ERROR),
        (410, ErrorClass.GONE),
        (429, ErrorClass.RATE_LIMITED),
        (499, ErrorClass.CLIENT_ERROR),
        (500, ErrorClass.SERVER_ERROR),
        (503, ErrorClass.UNAVAILABLE),
        (599, ErrorClass.SERVER_ERROR),
        (600, ErrorClass.SERVER_ERROR),
        (999, ErrorClass.SERVER_ERROR),
        (103, ErrorClass.SERVER_ERROR),
    ],
)
def test_a_status_of_300_and_above_is_a_failure_of_its_class(status_code: int, error_class: ErrorClass) -> None:
    assert classify_status(status_code) == (OutcomeKind.FAILED, error_class)


@given(st.integers(200, 299))
def test_every_2xx_is_a_success(status_code: int) -> None:
    assert classify_status(status_code) == (OutcomeKind.SUCCESS, None)


def test_time_outs_and_connection_errors_are_timed_out() -> None:
    timed_out = {error_class for error_class in ErrorClass if kind_of(error_class) is OutcomeKind.TIMED_OUT}

    assert timed_out == {"dns", "connect", "tls", "connect_timeout", "read_timeout", "deadline"}
    assert kind_of(ErrorClass.BLOCKED) is OutcomeKind.BLOCKED
    assert kind_of(ErrorClass.PROTOCOL) is OutcomeKind.FAILED


def test_every_exception_of_requests_is_known() -> None:
    defined = {
        found
        for _, found in inspect.getmembers(requests.exceptions, inspect.isclass)
        if issubclass(found, BaseException) and found.__module__ == requests.exceptions.__name__
    }

    assert defined == {row.becomes for row in ERRORS} | CANNOT_HAPPEN


def test_no_exception_is_both_raised_and_impossible() -> None:
    assert {row.becomes for row in ERRORS} & CANNOT_HAPPEN == set()


@pytest.mark.parametrize(
    ("innermost", "becomes", "error_class"),
    [
        (DeadlineExceeded("late"), requests.exceptions.Timeout, ErrorClass.DEADLINE),
        (TimeoutError("slow"), requests.exceptions.ReadTimeout, ErrorClass.READ_TIMEOUT),
        (ConnectTimedOut("slow"), requests.exceptions.ConnectTimeout, ErrorClass.CONNECT_TIMEOUT),
        (ConnectFailed("refused"), requests.exceptions.ConnectionError, ErrorClass.CONNECT),
        (socket.gaierror(-2, "unknown"), requests.exceptions.ConnectionError, ErrorClass.DNS),
        (ssl.SSLCertVerificationError(1, "self-signed"), requests.exceptions.SSLError, ErrorClass.TLS),
        (AnswerFault(Fault.RESET, "reset"), requests.exceptions.ConnectionError, ErrorClass.PROTOCOL),
        (BodyFault("broken"), requests.exceptions.ChunkedEncodingError, ErrorClass.PROTOCOL),
        (AddressBlocked("private"), requests.exceptions.InvalidURL, ErrorClass.BLOCKED),
    ],
)
def test_an_exception_becomes_one_of_requests_and_keeps_its_class(
    innermost: Exception, becomes: type[Exception], error_class: ErrorClass
) -> None:
    outermost = as_requests(innermost, requests.PreparedRequest())

    assert type(outermost) is becomes
    assert error_class_of(innermost) is error_class
    assert error_class_of(outermost) is error_class


def test_what_nobody_foresaw_becomes_none_of_them_and_is_internal() -> None:
    error = ValueError("ours")

    assert as_requests(error, requests.PreparedRequest()) is None
    assert error_class_of(error) is ErrorClass.INTERNAL


def test_an_end_of_a_tls_connection_before_an_answer_is_one_of_the_answer_and_not_of_tls() -> None:
    error = AnswerFault(Fault.RESET, "reset")
    error.__cause__ = ssl.SSLEOFError(8, "EOF occurred in violation of protocol")

    assert error_class_of(error) is ErrorClass.PROTOCOL


@pytest.mark.parametrize(
    ("error", "is_gone"),
    [
        (ConnectionResetError(104, "reset"), True),
        (BrokenPipeError(32, "broken pipe"), True),
        (OSError(113, "no route to host"), True),
        (ssl.SSLEOFError(8, "EOF"), True),
        (ssl.SSLZeroReturnError(6, "closed"), True),
        (ssl.SSLError(1, "bad record"), False),
        (TimeoutError("slow"), False),
        (DeadlineExceeded("late"), False),
        (OSError(12, "no memory"), False),
    ],
)
def test_a_connection_is_lost_when_the_peer_or_the_network_ended_it(error: OSError, is_gone: bool) -> None:
    assert is_lost(error) is is_gone


def test_a_description_has_neither_the_url_nor_an_unexpected_text() -> None:
    refused = ConnectFailed("can't connect")
    refused.__cause__ = ConnectionRefusedError(111, "Connection refused")
    wrapped = requests.exceptions.ConnectionError(refused)

    assert describe(wrapped) == "Connection refused"
    assert describe(ValueError("s3cret")) == "ValueError"


def test_a_description_of_a_broken_answer_is_the_readers() -> None:
    fault = AnswerFault(Fault.RESET, "the connection was reset before there was an answer")
    fault.__cause__ = ConnectionResetError(104, "Connection reset by peer")

    assert describe(requests.exceptions.ConnectionError(fault)) == str(fault)
