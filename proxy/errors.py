"""The errors that a user of the bridge may see: what happened, where, and what to do."""

from typing import ClassVar


class BridgeError(Exception):
    """Base of every error that the bridge raises on purpose.

    Parameters
    ----------
    message : str
        One sentence: what happened, and where.
    hint : str
        What the reader can do about it; empty if nothing is known to help.
    """

    code: ClassVar[str] = "bridge"

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(f"{message}\n  {hint}" if hint else message)
        self.message = message
        self.hint = hint


def reason_of(error: Exception) -> str:
    """Return an error of the system or a library as part of a sentence: "Permission denied"."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.rstrip(".")
    return (str(error) or type(error).__name__).rstrip(".")


class UsageError(BridgeError):
    """What the user asked for cannot be done as asked."""

    code = "usage"


class AppError(BridgeError):
    """The Flower app cannot be run, or failed."""

    code = "app"


class FlowerError(BridgeError):
    """A Flower program or environment is missing, unsupported or failed."""

    code = "flower"


class FleetError(BridgeError):
    """The other end of the Fleet API refused a call or answered something senseless."""

    code = "fleet"


class Unreachable(FleetError):
    """The other end of the Fleet API did not answer; trying again may help."""

    code = "unreachable"


class ClocksDiffer(Unreachable):
    """The SuperLink refuses all calls because its clock and ours differ; a clock may be set."""

    code = "clocks-differ"


class NotStored(FleetError):
    """The SuperLink did not store an object: it does not wait for it, or has it already."""

    code = "not-stored"


class RunNotRunning(FleetError):
    """The SuperLink says that the run of a message is not (or no longer) running."""

    code = "run-not-running"


class UnknownNode(FleetError):
    """The SuperLink does not know, or no longer knows, this SuperNode."""

    code = "unknown-node"


class Unimplemented(FleetError):
    """The other end of the Fleet API does not know the method: it is of another release."""

    code = "unimplemented"


class Incompatible(FleetError):
    """The SuperLink and the SuperNodes are of releases that do not understand each other."""

    code = "incompatible"


class ReplyRefused(FleetError):
    """The SuperLink did not take a station's reply, or would not: the reply does not fit."""

    code = "reply-refused"


class Undelivered(FleetError):
    """A reply could not be delivered before its message expired, or the bridge was stopped."""

    code = "undelivered"


class BundleError(BridgeError):
    """A bundle is damaged, truncated, oversized, foreign, or of a newer format."""

    code = "bundle"


class BundleUnwritten(BundleError):
    """A bundle cannot be written, as where the disk is full."""


class TapeError(BridgeError):
    """A tape is damaged, foreign, or cannot be written."""

    code = "tape"


class CarrierError(BridgeError):
    """A carrier could not bring a bundle to a station and its answer back."""

    code = "carrier"


class HostGone(CarrierError):
    """A station's warm host does not live, and has not answered."""

    code = "host-gone"


class HostIdle(HostGone):
    """A station's warm host ended for want of messages before this one was begun."""

    code = "host-idle"


class Vantage6Error(CarrierError):
    """A vantage6 server refused something, or answered something senseless."""

    code = "vantage6"


class ServerUnreachable(Vantage6Error):
    """A vantage6 server did not answer; trying again may help."""

    code = "server-unreachable"


class NotFound(Vantage6Error):
    """A vantage6 server has nothing of that name or number."""

    code = "not-found"


class TooLarge(Vantage6Error):
    """A vantage6 server answered with more than is taken, as a task's log may be."""

    code = "too-large"


class NotPermitted(Vantage6Error):
    """A vantage6 server does not let this user, or this container, do that."""

    code = "not-permitted"


class Cancelled(CarrierError):
    """The exchange was called off by this side."""

    code = "cancelled"
