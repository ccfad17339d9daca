from __future__ import annotations

import inspect
import socket
import ssl
from typing import TYPE_CHECKING

import pytest
import requests.exceptions
import urllib3.exceptions
from hypothesis import given
from hypothesis import strategies as st

from webhook import AddressBlocked, ErrorClass, OutcomeKind, classify_status, kind_of
from webhook.deadline_socket import DeadlineExceeded
from webhook.exception_table import CANNOT_HAPPEN, ERROR_CLASSES, describe, error_class_of

if TYPE_CHECKING:
    from types import ModuleType


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


@pytest.mark.parametrize("module", [requests.exceptions, urllib3.exceptions])
def test_every_exception_of_the_libraries_is_known(module: ModuleType) -> None:
    defined = {
        found
        for _, found in inspect.getmembers(module, inspect.isclass)
        if issubclass(found, BaseException) and found.__module__ == module.__name__
    }

    known = {exception_type for exception_type, _ in ERROR_CLASSES} | CANNOT_HAPPEN
    assert defined - known == set()


def test_no_exception_is_both_classified_and_impossible() -> None:
    assert {exception_type for exception_type, _ in ERROR_CLASSES} & CANNOT_HAPPEN == set()


@pytest.mark.parametrize(
    ("innermost", "error_class"),
    [
        (DeadlineExceeded("late"), ErrorClass.DEADLINE),
        (TimeoutError("slow"), ErrorClass.READ_TIMEOUT),
        (socket.gaierror(-2, "unknown"), ErrorClass.DNS),
        (ssl.SSLCertVerificationError(1, "self-signed"), ErrorClass.TLS),
        (ConnectionResetError(104, "reset"), ErrorClass.PROTOCOL),
        (AddressBlocked("private"), ErrorClass.BLOCKED),
        (ValueError("ours"), ErrorClass.INTERNAL),
    ],
)
def test_an_exception_is_found_inside_of_its_wrappers(innermost: Exception, error_class: ErrorClass) -> None:
    middle = urllib3.exceptions.HTTPError("aborted", innermost)
    outermost = requests.exceptions.RequestException(middle)

    assert error_class_of(innermost) == error_class
    assert error_class_of(outermost) == error_class


def test_a_description_has_neither_the_url_nor_an_unexpected_text() -> None:
    wrapped = requests.exceptions.ConnectionError(
        urllib3.exceptions.ProtocolError("POST /s3cret", ConnectionResetError(104, "reset by peer"))
    )

    assert describe(wrapped) == "reset by peer"
    assert describe(ValueError("s3cret")) == "ValueError"
