"""A journal says which replies a ServerApp took, and which had come and were not taken."""

from pathlib import Path

from algorithm.runs.takes import Takes
from proxy.central.events import Stage
from proxy.journal.history import GIVEN
from proxy.journal.journal import Journal
from proxy.system.records import Records

NODES = {"north": 4, "south": 5}


def journal_of(folder: Path, *records: dict[str, object]) -> Journal:
    """Return the journal of a run that goes on; its records are a second apart."""
    Journal(folder).close()
    file = Records(folder / "journal")
    file.append({"event": "run", "about": {}, "fixed": {}, "at": 100.0})
    for second, record in enumerate(records, start=101):
        file.append({"at": float(second), **record})
    file.close()
    journal = Journal(folder)
    journal.begin({}, {})
    return journal


def pulled(station: str, message: str) -> dict[str, object]:
    about = {"message_type": "train", "group_id": "1", "flower_run": "7", "step": 1}
    return {
        **{"event": Stage.PULLED, "station": station, "message": message},
        **{**about, "expires_at": 9e9, "content": message},
    }


def answered(station: str, message: str, called_off: bool = False) -> dict[str, object]:
    answer = {"reply": "", "data": "eA==", "objects": {}, "called_off": called_off}
    return {"event": Stage.ANSWERED, "station": station, "message": message, **answer}


def test_a_reply_that_had_come_and_was_not_taken_is_late(tmp_path: Path) -> None:
    journal = journal_of(
        tmp_path,
        *(pulled("north", "a"), pulled("south", "b"), answered("north", "a")),
        {"event": GIVEN, "station": "north", "message": "a"},
        answered("south", "b"),
        {"event": "taken", "sent": 2, "messages": ["4/0"], "in_vain": False},
        {"event": "taken", "sent": 2, "messages": ["5/0"], "in_vain": True},
        {"event": GIVEN, "station": "south", "message": "b"},
        *(pulled("north", "c"), answered("north", "c", called_off=True), pulled("south", "d")),
    )
    takes = Takes.of(journal, NODES)
    assert takes.before == [(2, ["4/0"], False), (2, ["5/0"], True)]
    assert takes.late == {"5/0": 6.0}


def test_what_is_taken_is_in_the_journal_for_the_next_start(tmp_path: Path) -> None:
    journal = journal_of(tmp_path)
    takes = Takes.of(journal, NODES)
    takes.note(2, ["4/0"], False)
    takes.note(2, ["5/0"], True)
    journal.close()
    assert Takes.of(Journal(tmp_path), NODES).before == [(2, ["4/0"], False), (2, ["5/0"], True)]
