"""What travels on a lane: a letter is one file with a head, and for some kinds a bundle.

A lane's two ends are the central and one station. Neither trusts what is in between: how a letter
is closed and opened is a `Seal` (`proxy.lanes.letters.sealing`).
"""

import json
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

from proxy import strict_json
from proxy.calls import DEFAULT_MODE, Mode
from proxy.errors import CarrierError

# A head names things; the bundle says them.
MOST_HEAD_BYTES = 16 << 10


class LetterRefused(CarrierError):
    """A letter came that must not be used. What is in it was not used, and is gone."""

    code = "letter-refused"

    @property
    def named(self) -> str:
        """What is wrong with the letter, by the name that docs/lanes.md explains."""
        return f"{self.code}: {self.message}"


class Altered(LetterRefused):
    """A letter is not as its sender made it: changed, truncated, or put together from several."""

    code = "letter-altered"


class Stranger(LetterRefused):
    """A letter is from somebody else than the other end of the lane."""

    code = "letter-from-stranger"


class Misaddressed(LetterRefused):
    """A letter is for somebody else than this end of the lane."""

    code = "letter-misaddressed"


class Replayed(LetterRefused):
    """A letter came before, or much too late: somebody sent it again."""

    code = "letter-replayed"


class Kind(StrEnum):
    """What a letter is for."""

    # From the central:
    PING = "ping"
    INSTRUCTION = "instruction"
    WITHDRAWAL = "withdrawal"
    # From the station:
    PONG = "pong"
    REPLY = "reply"
    REFUSAL = "refusal"


@dataclass(frozen=True)
class Head:
    """What a letter says of itself.

    Attributes
    ----------
    kind : Kind
        What it is for; those with a body are INSTRUCTION and REPLY.
    station : str
        The station at the lane's end, whoever sends the letter.
    exchange : str
        Chosen by the central, at random: names an exchange, or a ping. The station's letter that
        answers it says the same, so an answer to anything else is noticed. A PONG answers a ping or
        a withdrawal.
    message_id : str
        The message in the body.
    sent_at : int
        When the central sent it, in nanoseconds since the epoch by its clock; of two letters of a
        central the later has the larger number.
    mode : Mode
        How the app runs.
    reason : str
        Of a REFUSAL: why the station did not use a letter.
    instance : str
        Of a station's letter: its folder's name for itself. Of a central's: the station that it is
        for, as that called itself; empty for whoever has the station's name. Two stations of one
        name and key are told apart by it.
    """

    kind: Kind
    station: str
    exchange: str
    message_id: str = ""
    sent_at: int = 0
    mode: Mode = DEFAULT_MODE
    reason: str = ""
    instance: str = ""

    _TYPES: ClassVar[dict[str, type]] = {
        "kind": Kind,
        "station": str,
        "exchange": str,
        "message_id": str,
        "sent_at": int,
        "mode": Mode,
        "reason": str,
        "instance": str,
    }

    def encode(self) -> bytes:
        """Return the head as JSON."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def decode(cls, encoded: bytes) -> Self:
        """Read a head; what a later release added is passed over.

        Raises
        ------
        Altered
            If it is none.
        """
        try:
            given = strict_json.loads(encoded)
            values: dict[str, Any] = {}
            for field in fields(cls):
                if field.name in given:
                    kind, value = cls._TYPES[field.name], given[field.name]
                    if not isinstance(value, int if kind is int else str):
                        raise TypeError(value)
                    values[field.name] = kind(value)
            return cls(**values)
        except (ValueError, TypeError) as error:
            raise Altered("A letter has a head that cannot be read.") from error


class Seal(Protocol):
    """Closes one end's letters and opens those of the other end."""

    def close(self, head: Head, body: Path | None, letter: Path) -> None:
        """Write a letter.

        Parameters
        ----------
        head : Head
            What it says of itself.
        body : Path | None
            A complete bundle, for the kinds that have one.
        letter : Path
            The file to write.
        """
        ...

    def open(self, letter: Path, body: Path) -> Head:
        """Read a letter through, and leave its body in a file; it is used by nobody before that.

        Raises
        ------
        LetterRefused
            If anything is wrong with it; then there is no file.
        """
        ...
