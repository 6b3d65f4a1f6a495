"""Which data of the stations a researcher's tasks are to get."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Wanted:
    """Data, as a command names it.

    Attributes
    ----------
    labels : Sequence[str]
        The labels of databases.
    session : int
        A session in which data is extracted already; 0 for none.
    dataframes : Sequence[str]
        Dataframes of that session, by name or number.
    """

    labels: Sequence[str] = ()
    session: int = 0
    dataframes: Sequence[str] = ()


@dataclass(frozen=True)
class Place:
    """Where the data is wanted.

    Attributes
    ----------
    collaboration : int
        The collaboration's id.
    image : str
        The image whose functions get it.
    store : Mapping[str, Any]
        The members of a task that name the algorithm store which has the image, if one has.
    """

    collaboration: int
    image: str
    store: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Prepared:
    """Data that is ready, in members of tasks.

    Attributes
    ----------
    members : Mapping[str, Any]
        Of a task at a station.
    central : Mapping[str, Any]
        Of a central task, whose node need not have the data.
    arguments : Mapping[str, Any]
        By which a central function hands the data on to the tasks that it creates.
    discard : Callable[[], None]
        Removes what was made for the tasks, unless a central task was created after all: to be
        called if none was.
    """

    members: Mapping[str, Any]
    central: Mapping[str, Any]
    arguments: Mapping[str, Any]
    discard: Callable[[], None] = lambda: None
