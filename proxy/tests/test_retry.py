"""Calling a SuperLink that may be out of reach for a while."""

import threading
import time

import pytest

from proxy.errors import Cancelled, FleetError, Unreachable
from proxy.retry import retrying
from proxy.testing import NoWaiting


class Call:
    """Fails some times, then returns 42."""

    def __init__(self, failures: int, error: type[FleetError] = Unreachable) -> None:
        self.failures, self.error, self.times = failures, error, 0

    def __call__(self) -> int:
        self.times += 1
        if self.times <= self.failures:
            raise self.error("failed")
        return 42


class Pauses(NoWaiting):
    """Notes how long it would have been waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.noted: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        self.noted.append(timeout)
        return super().wait(timeout)


def test_a_call_that_succeeds_is_made_once() -> None:
    call = Call(failures=0)
    assert retrying(call, threading.Event()) == 42
    assert call.times == 1


def test_an_unreachable_superlink_is_called_again_until_it_answers() -> None:
    call = Call(failures=20)
    assert retrying(call, NoWaiting()) == 42
    assert call.times == 21


def test_pauses_grow_but_not_for_ever() -> None:
    pauses = Pauses()
    retrying(Call(failures=12), pauses)
    assert pauses.noted == sorted(pauses.noted)
    assert 0 < pauses.noted[0] < pauses.noted[-1] == pauses.noted[-2] <= 60


def test_a_refusal_is_not_tried_again() -> None:
    call = Call(failures=1, error=FleetError)
    with pytest.raises(FleetError):
        retrying(call, NoWaiting())
    assert call.times == 1


def test_waiting_ends_when_it_is_stopped() -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(Cancelled):
        retrying(Call(failures=5), stop)


def test_the_last_error_is_raised_when_the_time_is_over() -> None:
    with pytest.raises(Unreachable, match="failed"):
        retrying(Call(failures=10**9), NoWaiting(), until=time.monotonic() + 0.05)


def test_a_call_is_made_once_even_if_the_time_is_over() -> None:
    assert retrying(Call(failures=0), NoWaiting(), until=time.monotonic() - 1) == 42
