"""What a central asks of a station: the functions that it may call there, and their arguments.

A call is checked when it is made and when it is read, by the same rules. Central and station may be
of different releases of the bridge: what a reader does not know it ignores, what it needs must be
there, and what is there must make sense.
"""

import re
import reprlib
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, fields
from enum import StrEnum
from typing import Annotated, Any, ClassVar, NamedTuple, Self, get_args

from proxy.errors import CarrierError


class Mode(StrEnum):
    """How an app runs: with a SuperLink and SuperNodes, or the ServerApp and ClientApps alone."""

    BRIDGE = "bridge"
    DIRECT = "direct"


class Lifetime(StrEnum):
    """How long a station keeps a runtime: for the whole job, or for one message."""

    WARM = "warm"
    PER_ROUND = "per-round"


DEFAULT_MODE = Mode.BRIDGE
DEFAULT_LIFETIME = Lifetime.WARM
# Flower's strategies give up on a round after an hour; a later reply would be of no use.
DEFAULT_DEADLINE_SECONDS = 3600.0
# Nothing is waited for longer than this, and no host idles longer. `select`, locks and sockets take
# no more than some 292 years, and a typing error of three digits should not hold a GPU for ever.
LONGEST_SECONDS = 30 * 24 * 3600.0

# An argument of a command can have no more bytes (MAX_ARG_STRLEN in Linux' binfmts.h), and this one
# becomes `--node-config`.
_MAX_NODE_CONFIG_BYTES = 128 * 1024 - 1
# 64 hexadecimal digits, or until flwr 1.18 a UUID. It becomes the name of a folder.
_MESSAGE_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z-]{0,127}")
# A job or a host: 32 hexadecimal digits. It becomes the name of a folder or file, too.
_NAME = re.compile(r"[0-9A-Za-z]{1,64}")
# `DataframeInitInputSchema` in vantage6/hq/resource/common/input_schema.py (5.0.3). It becomes the
# name of a folder.
_DATAFRAME = re.compile(r"[0-9A-Za-z_-]{1,128}")
# Node ids are uint64 (flwr 1.41, `proto/node.proto`). JavaScript, and so vantage6's web interface,
# rounds numbers above 2^53: in a task's input they are text.
_NODE_ID_LIMIT = 1 << 64
_DIGITS = re.compile(r"[0-9]{1,20}")
# The size of any file.
_BYTES_LIMIT = 1 << 63


def job_of(central_task: int) -> str:
    """Return the name of the job of a central task, where the platform makes none."""
    return f"task{central_task}"


class Settings(NamedTuple):
    """What a station is told about itself by those who make the stations.

    Attributes
    ----------
    node_config : str
        A SuperNode's `--node-config`; the station adds its databases.
    mode : Mode
        How the app runs.
    """

    node_config: str
    mode: Mode = DEFAULT_MODE


class _Rule(NamedTuple):
    """What an argument has to be; `read` returns it, or raises ValueError.

    `write` returns what stands for it in a task's input.
    """

    read: Callable[[Any], Any]
    meaning: str
    write: Callable[[Any], Any] = lambda value: value


def _whole(limit: int) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < limit:
            raise ValueError(value)
        return value

    return read


def _node_id(value: Any) -> int:
    if isinstance(value, str) and _DIGITS.fullmatch(value):
        value = int(value)
    return _whole(_NODE_ID_LIMIT)(value)


def _matching(pattern: re.Pattern[str]) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        if not isinstance(value, str) or not pattern.fullmatch(value):
            raise ValueError(value)
        return value

    return read


def _seconds(value: Any) -> float:
    # A comparison with NaN is false.
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise ValueError(value)
    if not 0 <= value <= LONGEST_SECONDS:
        raise ValueError(value)
    return float(value)


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(value)
    return value


def _config(value: Any) -> str:
    # A lone surrogate raises a UnicodeEncodeError, which is a ValueError.
    if not isinstance(value, str) or "\0" in value:
        raise ValueError(value)
    if len(value.encode()) > _MAX_NODE_CONFIG_BYTES:
        raise ValueError(value)
    return value


_NodeId = Annotated[int, _Rule(_node_id, "a whole number below 2^64", str)]
_NodeConfig = Annotated[str, _Rule(_config, f"text of at most {_MAX_NODE_CONFIG_BYTES} bytes")]
_ModeName = Annotated[Mode, _Rule(Mode, f"one of: {', '.join(Mode)}")]
_MessageId = Annotated[
    str, _Rule(_matching(_MESSAGE_ID), "1 to 128 letters, digits and hyphens, a hyphen not first")
]
_Name = Annotated[str | None, _Rule(_matching(_NAME), "1 to 64 letters and digits")]
_DataframeName = Annotated[
    str, _Rule(_matching(_DATAFRAME), "1 to 128 letters, digits, hyphens and underscores")
]
_Label = Annotated[str, _Rule(_matching(re.compile(".+")), "a database's label")]
_Flag = Annotated[bool, _Rule(_flag, "true or false")]
_Seconds = Annotated[float, _Rule(_seconds, f"a number of seconds from 0 to {LONGEST_SECONDS:.0f}")]
_Bytes = Annotated[int | None, _Rule(_whole(_BYTES_LIMIT), "a number of bytes")]


@dataclass(frozen=True)
class Call:
    """A function's call; each subclass is one function's arguments.

    An argument that is None is left out, or was not given.

    Raises
    ------
    CarrierError
        If an argument cannot be what it is.
    """

    method: ClassVar[str]

    def __post_init__(self) -> None:
        for argument in fields(self):
            value = getattr(self, argument.name)
            if value is None and argument.default is None:
                continue
            rule = _rule(argument)
            try:
                checked = rule.read(value)
            except ValueError as error:
                raise CarrierError(
                    f"The function {self.method} cannot have {reprlib.repr(value)} as"
                    f" {argument.name}.",
                    f"It has to be {rule.meaning}.",
                ) from error
            object.__setattr__(self, argument.name, checked)

    @classmethod
    def read(cls, task: Mapping[str, Any]) -> Self:
        """Return the call that a task's input holds as `kwargs`.

        Raises
        ------
        CarrierError
            If an argument is missing, or cannot be what it is.
        """
        given = task.get("kwargs")
        if not isinstance(given, dict):
            raise CarrierError(f"The function {cls.method} needs its kwargs, a JSON object.")
        values = {}
        for argument in fields(cls):
            if given.get(argument.name) is not None:
                values[argument.name] = given[argument.name]
            elif argument.default is MISSING:
                raise CarrierError(
                    f"The function {cls.method} needs {argument.name}.",
                    f"It has to be {_rule(argument).meaning}.",
                )
        return cls(**values)

    def task(self) -> dict[str, Any]:
        """Return the task's input."""
        values = {argument: getattr(self, argument.name) for argument in fields(self)}
        return {
            "method": self.method,
            "kwargs": {
                argument.name: _rule(argument).write(value)
                for argument, value in values.items()
                if value is not None
            },
        }


def _rule(argument: Field[Any]) -> _Rule:
    rule: _Rule = get_args(argument.type)[1]
    return rule


@dataclass(frozen=True)
class HostCall(Call):
    """Keep a runtime for the whole job.

    Attributes
    ----------
    node_id : int
        The node id that the SuperLink gave to the station.
    node_config, mode
        See `Settings`.
    idle_limit : float
        Seconds without a message after which the host ends.
    job : str | None
        The job's name where the platform makes none.
    host : str | None
        Names this host among the job's at the station.
    """

    method: ClassVar[str] = "host"

    node_id: _NodeId
    node_config: _NodeConfig
    idle_limit: _Seconds
    mode: _ModeName = DEFAULT_MODE
    job: _Name = None
    host: _Name = None


@dataclass(frozen=True)
class CourierCall(Call):
    """Bring a bundle to the job's host, and its answer back.

    Attributes
    ----------
    message_id : str
        The message in the bundle.
    timeout : float
        Seconds after which to give up.
    max_reply_bytes : int | None
        The largest bundle that can be brought back; None for any.
    job : str | None
        See `HostCall`.
    host : str | None
        The host that was started last.
    """

    method: ClassVar[str] = "courier"

    message_id: _MessageId
    timeout: _Seconds
    max_reply_bytes: _Bytes = None
    job: _Name = None
    host: _Name = None


@dataclass(frozen=True)
class AskCall(Call):
    """Fetch the answer to a message that the station has, if it is there.

    Attributes
    ----------
    message_id, job, max_reply_bytes
        See `CourierCall`.
    """

    method: ClassVar[str] = "ask"

    message_id: _MessageId
    job: _Name = None
    max_reply_bytes: _Bytes = None


@dataclass(frozen=True)
class EndCall(Call):
    """Note that the run has ended: the job's host ends then.

    Attributes
    ----------
    job
        See `HostCall`.
    """

    method: ClassVar[str] = "end"

    job: _Name


@dataclass(frozen=True)
class ExtractCall(Call):
    """Copy a database into a session.

    Attributes
    ----------
    name : str
        The dataframe that it becomes.
    label : str
        The database's.
    for_one_run : bool
        Whether the copy may be removed when one run has ended.
    """

    method: ClassVar[str] = "extract"

    name: _DataframeName
    label: _Label
    for_one_run: _Flag


@dataclass(frozen=True)
class PerRoundCall(Call):
    """Start a runtime for one message.

    Attributes
    ----------
    message_id, max_reply_bytes
        See `CourierCall`.
    node_config, mode
        See `Settings`.
    job : str | None
        See `HostCall`.
    """

    method: ClassVar[str] = "per_round"

    message_id: _MessageId
    node_config: _NodeConfig
    mode: _ModeName = DEFAULT_MODE
    job: _Name = None
    max_reply_bytes: _Bytes = None
