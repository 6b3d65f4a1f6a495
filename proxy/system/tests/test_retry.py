"""Calling a SuperLink that may be out of reach for a while."""

import threading

import pytest

from proxy.clock import Deadline
from proxy.errors import Cancelled, FleetError, Unreachable
from proxy.system.retry import retrying
from proxy.testing import FakeClock


class Call:
    """Fails some times, then returns 42.

    Attributes
    ----------
    at : list[float]
        When it was called.
    """

    def __init__(
        self, clock: FakeClock, failures: int, error: type[FleetError] = Unreachable
    ) -> None:
        self.clock, self.failures, self.error = clock, failures, error
        self.at: list[float] = []

    def __call__(self) -> int:
        self.at.append(self.clock.monotonic())
        if len(self.at) <= self.failures:
            raise self.error("failed")
        return 42


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def test_a_call_that_succeeds_is_made_once(clock: FakeClock) -> None:
    call = Call(clock, failures=0)
    assert retrying(call, threading.Event(), Deadline(clock)) == 42
    assert call.at == [0.0]


def test_an_unreachable_superlink_is_called_again_until_it_answers(clock: FakeClock) -> None:
    call = Call(clock, failures=20)
    assert retrying(call, threading.Event(), Deadline(clock)) == 42
    assert len(call.at) == 21


def test_pauses_grow_but_not_for_ever(clock: FakeClock) -> None:
    call = Call(clock, failures=30)
    retrying(call, threading.Event(), Deadline(clock))
    pauses = [after - before for before, after in zip(call.at, call.at[1:], strict=False)]
    assert 0 < pauses[0] < min(pauses[5:])
    assert max(pauses) <= 15


def test_two_who_lost_the_same_superlink_do_not_come_back_in_step() -> None:
    calls = [Call(FakeClock(), failures=5) for _ in range(2)]
    for call in calls:
        retrying(call, threading.Event(), Deadline(call.clock))
    assert calls[0].at != calls[1].at


def test_a_refusal_is_not_tried_again(clock: FakeClock) -> None:
    call = Call(clock, failures=1, error=FleetError)
    with pytest.raises(FleetError):
        retrying(call, threading.Event(), Deadline(clock))
    assert len(call.at) == 1


def test_waiting_ends_when_it_is_stopped(clock: FakeClock) -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(Cancelled):
        retrying(Call(clock, failures=5), stop, Deadline(clock))


def test_the_last_error_is_raised_when_the_time_is_over(clock: FakeClock) -> None:
    call = Call(clock, failures=10**9)
    with pytest.raises(Unreachable, match="failed"):
        retrying(call, threading.Event(), Deadline.after(60.0, clock))
    assert 40 < call.at[-1] <= 60


def test_a_call_is_made_once_even_if_the_time_is_over(clock: FakeClock) -> None:
    call = Call(clock, failures=0)
    assert retrying(call, threading.Event(), Deadline.after(-1.0, clock)) == 42


def test_a_deadline_that_is_no_number_has_passed(clock: FakeClock) -> None:
    assert Deadline.after(float("nan"), clock).passed
