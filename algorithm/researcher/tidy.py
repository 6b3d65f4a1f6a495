"""Deletes a run's messages behind it: neither the server nor its web interface has to bear them.

The page loads the input and result of all subtasks of a task, again with each event, and the
server's database keeps them. A central function may delete nothing (vantage6 4.15,
`resource/task.py`); its user may.
"""

from collections.abc import Sequence

from algorithm.monitoring.screen import Screen
from proxy.errors import NotFound, NotPermitted, ServerUnreachable
from proxy.vantage6.server import Server, Subtask

_HOST = "host"
# Between what a task is and its station: other names are not of ours.
_SEPARATOR = ": "


class Tidier:
    """Deletes subtasks, each once the central is done with it.

    Parameters
    ----------
    server : Server
        As a user sees it.
    screen : Screen
        Is told once if the user may not.
    """

    def __init__(self, server: Server, screen: Screen) -> None:
        self._server = server
        self._screen = screen
        self._deleted = set[int]()
        self._may = True

    def tidy(self, subtasks: Sequence[Subtask], at_the_end: bool = False) -> None:
        """Delete what is not needed any more.

        Parameters
        ----------
        subtasks : Sequence[Subtask]
            All that were seen.
        at_the_end : bool
            Whether the central task has ended, so that none is needed.
        """
        messages = [subtask for subtask in subtasks if _SEPARATOR in subtask.name]
        for message in messages if at_the_end else done_with(messages):
            if self._may and message.id not in self._deleted:
                self._delete(message.id)
        remaining = [subtask for subtask in messages if subtask.id not in self._deleted]
        if at_the_end and remaining and self._may:
            self._screen.line(
                "flower-v6 | warning: the server did not answer; of the run's tasks"
                f" {len(remaining)} stay there until `flower-v6 watch TASK --tidy` deletes them"
            )

    def _delete(self, number: int) -> None:
        try:
            self._server.delete_task(number)
        except NotFound:
            pass
        except ServerUnreachable:
            return  # it is tried again
        except NotPermitted:
            self._may = False
            self._screen.line(
                f"flower-v6 | warning: your role does not allow you to delete task {number}: the"
                " messages stay at the server"
            )
        self._deleted.add(number)


def done_with(subtasks: Sequence[Subtask]) -> list[Subtask]:
    """Return the messages' tasks that the central will not ask for any more.

    A station has one message at a time: once it has another one, the reply to the one before is
    taken. A task of the same name may be the same message, sent again.
    """
    newest: dict[str, str] = {}
    done = []
    for subtask in sorted(subtasks, key=lambda task: -task.id):
        step, _, station = subtask.name.partition(_SEPARATOR)
        if step == _HOST:
            continue
        later = newest.setdefault(station, step)
        if later != step and subtask.status.ended:
            done.append(subtask)
    return done
