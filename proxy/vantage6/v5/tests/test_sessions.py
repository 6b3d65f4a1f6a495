"""Data for a user's tasks: extracted into a session, or refused before anything starts."""

import time
from collections.abc import Iterator

import pytest

from proxy.errors import ServerUnreachable, UsageError, Vantage6Error
from proxy.generations import FIVE, FOUR, generation_at
from proxy.tests.helpers import wait_until
from proxy.vantage6.data import Place, Prepared, Wanted
from proxy.vantage6.login import ContainerLogin
from proxy.vantage6.testing.model import Ended, FakeTask
from proxy.vantage6.testing.serving import Answer, Failure, Request
from proxy.vantage6.v4.testing import FakeServer
from proxy.vantage6.v5 import sessions
from proxy.vantage6.v5.server import Server5
from proxy.vantage6.v5.testing import FakeHq

PLACE = Place(1, "me/app:1", {"store_id": 7})


class Researcher:
    """A user who wants data of the first two stations."""

    def __init__(self, fake: FakeHq) -> None:
        self.fake = fake
        self.told: list[str] = []
        self._server = Server5(fake.url, ContainerLogin("a token"))

    def wants(self, *labels: str, session: int = 0, dataframes: tuple[str, ...] = ()) -> Prepared:
        stations = self._server.organizations(1)[:2]
        wanted = Wanted(labels, session, dataframes)
        return FIVE.prepare(self._server, PLACE, stations, wanted, self.told.append)

    @property
    def extractions(self) -> list[FakeTask]:
        return [task for task in self.fake.tasks.values() if task.input["method"] == "extract"]


@pytest.fixture
def researcher(monkeypatch: pytest.MonkeyPatch) -> Iterator[Researcher]:
    monkeypatch.setattr(sessions, "_POLL_SECONDS", 0.01)
    with FakeHq() as fake:
        yield Researcher(fake)


def has(researcher: Researcher, **databases: str) -> None:
    for organization in (1, 2, 3):
        researcher.fake.api.databases[organization] = databases


def test_each_database_is_extracted_into_a_session_for_the_run(researcher: Researcher) -> None:
    has(researcher, digits="csv", scans="folder")
    prepared = researcher.wants("digits", "scans")
    assert prepared.central == {"session_id": 1}
    assert prepared.arguments == {"dataframes": [1, 2]}
    assert prepared.members == {
        "session_id": 1,
        "databases": [
            [{"type": "dataframe", "dataframe_id": 1}],
            [{"type": "dataframe", "dataframe_id": 2}],
        ],
    }
    asked = [task.input["kwargs"] for task in researcher.extractions]
    assert [each["label"] for each in asked] == ["digits", "scans"]
    assert [each["for_one_run"] for each in asked] == [True, True]
    names = [name for _, name, _ in researcher.fake.api.sessions[1]]
    assert [each["name"] for each in asked] == names
    assert len(set(names)) == 2
    assert len(researcher.told) == 2


def test_a_run_without_data_has_a_session_too(researcher: Researcher) -> None:
    prepared = researcher.wants()
    assert prepared.members == {"session_id": 1, "databases": []}
    assert prepared.arguments == {}


def test_each_run_has_a_session_of_its_own(researcher: Researcher) -> None:
    assert [researcher.wants().central["session_id"] for _ in range(2)] == [1, 2]


def test_a_database_that_a_station_lacks_is_named_before_anything_starts(
    researcher: Researcher,
) -> None:
    has(researcher, digits="csv")
    researcher.fake.api.databases[2] = {"scans": "folder"}
    with pytest.raises(UsageError, match="Beta has no database 'digits'") as caught:
        researcher.wants("digits")
    assert caught.value.hint == "It has: scans."
    assert not researcher.fake.api.sessions


@pytest.mark.parametrize("kind", ["sql", "omop", "sparql"])
def test_a_database_that_only_an_extraction_reaches_is_refused_before_anything_starts(
    researcher: Researcher, kind: str
) -> None:
    has(researcher, hospital=kind)
    with pytest.raises(UsageError, match=f"of type '{kind}'") as caught:
        researcher.wants("hospital")
    assert "--session NUMBER --dataframe NAME" in caught.value.hint
    assert not researcher.fake.api.sessions


def test_a_node_that_never_said_what_it_has_is_asked_to_extract(researcher: Researcher) -> None:
    assert researcher.wants("digits").members["databases"]


def test_a_station_that_cannot_extract_is_named_with_its_log_and_the_session_goes(
    researcher: Researcher,
) -> None:
    def fail(task: FakeTask) -> dict[str, str]:
        if task.input["method"] == "end":
            return {}
        task.log = "carrier: The database 'digits' is no file."
        raise Ended("unexpected output")

    with FakeHq(fail) as fake:
        with pytest.raises(Vantage6Error, match="Alpha could not extract") as caught:
            Researcher(fake).wants("digits")
        assert "is no file" in caught.value.hint
        assert not fake.api.sessions


def test_an_extraction_whose_result_is_lost_is_not_waited_for_for_ever(
    researcher: Researcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "_PATIENCE_SECONDS", 0.1)
    begun: list[FakeTask] = []

    def never(task: FakeTask) -> dict[str, str] | None:
        begun.append(task)
        return None if task.input["method"] == "extract" else {}

    with (
        FakeHq(never) as fake,
        pytest.raises(Vantage6Error, match="not extracted within 0 s at Alpha, Beta: task 1"),
    ):
        Researcher(fake).wants("digits")
    assert begun[0].status == "killed by user"


def test_a_server_that_is_away_while_databases_are_extracted_is_waited_for(
    researcher: Researcher,
) -> None:
    researcher.fake.fail_next(Failure.ERROR, "GET run", times=2)
    assert researcher.wants("digits").arguments == {"dataframes": [1]}


def test_a_server_that_stays_away_is_named(
    researcher: Researcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "_PATIENCE_SECONDS", 0.1)
    researcher.fake.fail_next(Failure.ERROR, "GET run", times=1000)
    with pytest.raises(Vantage6Error, match=r"at Alpha, Beta: task 1\. .* status 500"):
        researcher.wants("digits")


def test_databases_are_extracted_when_all_stations_have_ended_and_not_those_that_are_listed(
    researcher: Researcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, listed = researcher.fake.api.answer, [0, 0, 1, 1, 2]

    def answer(request: Request) -> Answer:
        status, body = real(request)
        if request.path == "run" and listed:
            body["data"] = body["data"][: listed.pop(0)]
        return status, body

    monkeypatch.setattr(researcher.fake.api, "answer", answer)
    researcher.wants("digits")
    assert not listed


# What was extracted for nothing


class Station:
    """Extracts, and says that it removes what it extracted; `scans` it cannot extract."""

    def __init__(self) -> None:
        self.removes = True
        self.fails = False
        self.ended: list[int] = []

    def __call__(self, task: FakeTask) -> dict[str, str] | None:
        if task.input["method"] == "end":
            self.ended.append(task.asked.organization)
            if self.fails:
                raise Ended("crashed")
            return {} if self.removes else None
        if task.input["kwargs"]["label"] == "scans":
            raise Ended("crashed")
        return {}


def may_not_kill(fake: FakeHq, monkeypatch: pytest.MonkeyPatch) -> None:
    real, refused = fake.api.answer, (401, {"msg": "You lack the permission to do that!"})

    def answer(request: Request) -> Answer:
        return refused if request.path == "kill/task" else real(request)

    monkeypatch.setattr(fake.api, "answer", answer)


def test_copies_are_removed_and_then_the_session_if_another_database_cannot_be_extracted() -> None:
    station = Station()
    with FakeHq(station) as fake:
        with pytest.raises(Vantage6Error, match="could not extract the database 'scans'"):
            Researcher(fake).wants("digits", "scans")
        assert station.ended == [1, 2]
        assert [each["store_id"] for each in fake.api.members] == [7, 7]
        assert not fake.api.sessions


def test_a_session_stays_while_a_station_has_not_removed_its_copy(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """With the session the task would go that tells the station to."""
    station = Station()
    station.removes = False
    monkeypatch.setattr(sessions, "_REMOVAL_SECONDS", 0.1)
    with FakeHq(station) as fake:
        with pytest.raises(Vantage6Error, match="could not extract"):
            Researcher(fake).wants("digits", "scans")
        assert fake.api.sessions
    assert "session 1 stays at the server, and perhaps copies" in caplog.text


def test_a_session_stays_if_a_station_could_not_remove_its_copy(
    caplog: pytest.LogCaptureFixture,
) -> None:
    station = Station()
    station.fails = True
    with FakeHq(station) as fake:
        with pytest.raises(Vantage6Error, match="could not extract"):
            Researcher(fake).wants("digits", "scans")
        assert station.ended == [1, 2]
        assert fake.api.sessions
    assert "session 1 stays at the server, and perhaps copies" in caplog.text


def test_a_session_stays_while_a_database_is_extracted_into_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A researcher may not kill: the copy may be there after a station has removed what it had."""
    monkeypatch.setattr(sessions, "_PATIENCE_SECONDS", 0.1)
    monkeypatch.setattr(sessions, "_REMOVAL_SECONDS", 0.1)
    with FakeHq(lambda task: {} if task.input["method"] == "end" else None) as fake:
        may_not_kill(fake, monkeypatch)
        with pytest.raises(Vantage6Error, match="not extracted"):
            Researcher(fake).wants("digits")
        assert fake.api.sessions
    assert "perhaps copies of databases at stations: an extraction goes on." in caplog.text


def test_a_user_who_stops_the_command_does_not_wait_for_long(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Further signals are ignored meanwhile."""

    def stop(*_: object) -> None:
        wait_until(lambda: begun)
        raise KeyboardInterrupt

    begun: list[FakeTask] = []
    monkeypatch.setattr(sessions, "_await_extraction", stop)
    monkeypatch.setattr(sessions, "_HURRIED_SECONDS", 0.1)
    with FakeHq(begun.append) as fake:
        may_not_kill(fake, monkeypatch)
        started = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            Researcher(fake).wants("digits")
        assert time.monotonic() - started < 30
    assert "session 1 stays at the server" in caplog.text


def test_copies_in_a_session_of_the_users_own_stay() -> None:
    station = Station()
    with FakeHq(station) as fake:
        fake.api.sessions[5] = []
        with pytest.raises(Vantage6Error, match="could not extract"):
            Researcher(fake).wants("digits", "scans", session=5)
        assert not station.ended
        assert fake.api.sessions


def test_a_session_of_the_users_own_is_used_and_kept(researcher: Researcher) -> None:
    researcher.fake.api.sessions[5] = [(7, "patients", 0), (8, "visits", 0)]
    both = [[{"type": "dataframe", "dataframe_id": each}] for each in (7, 8)]
    assert researcher.wants(session=5).members == {"session_id": 5, "databases": both}
    for name in ("visits", "8"):
        assert researcher.wants(session=5, dataframes=(name,)).members["databases"] == both[1:]
    assert not researcher.extractions


def test_a_database_may_be_extracted_into_a_session_of_the_users_own(
    researcher: Researcher,
) -> None:
    researcher.fake.api.sessions[5] = [(7, "patients", 0)]
    assert len(researcher.wants("digits", session=5).members["databases"]) == 1
    [extraction] = researcher.extractions
    assert extraction.input["kwargs"]["for_one_run"] is False


def test_a_dataframe_that_is_not_there_is_named(researcher: Researcher) -> None:
    researcher.fake.api.sessions[5] = [(7, "patients", 0)]
    with pytest.raises(UsageError, match="no dataframe 'visits'") as caught:
        researcher.wants(session=5, dataframes=("visits",))
    assert caught.value.hint == "It has: patients."


def test_a_dataframe_whose_extraction_failed_is_left_out_unless_it_is_named(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with FakeHq(Station()) as fake:
        fake.api.sessions[5] = [(7, "patients", 0)]
        user = Researcher(fake)
        with pytest.raises(Vantage6Error, match="could not extract"):
            user.wants("scans", session=5)
        assert user.wants(session=5).arguments == {"dataframes": [7]}
        assert "of session 5 is not ready, and ClientApps do not get it" in caplog.text
        with pytest.raises(UsageError, match="of session 5 is not ready"):
            user.wants(session=5, dataframes=("2",))


def test_two_dataframes_of_one_label_are_refused_by_name(researcher: Researcher) -> None:
    """A ClientApp would find one of them."""
    researcher.fake.api.sessions[5] = []
    for _ in range(2):
        researcher.wants("digits", session=5)
    (first, _, _), (_, second, _) = researcher.fake.api.sessions[5]
    with pytest.raises(UsageError, match=f"under the label 'digits': .*{second}") as caught:
        researcher.wants(session=5)
    assert "--dataframe NAME" in caught.value.hint
    assert researcher.wants(session=5, dataframes=(str(first),)).arguments["dataframes"] == [first]
    with pytest.raises(UsageError, match="under the label 'digits'"):
        researcher.wants("digits", session=5, dataframes=(second,))


def test_a_dataframe_needs_its_session(researcher: Researcher) -> None:
    with pytest.raises(UsageError, match="none is named"):
        researcher.wants(dataframes=("patients",))


# The generation


def test_a_server_says_its_generation_to_everybody(researcher: Researcher) -> None:
    with FakeServer() as four:
        assert generation_at(four.url) is FOUR
        assert generation_at(f"{four.url}/wrong") is FOUR
        four.fail_next(Failure.ERROR, "GET version")
        with pytest.raises(ServerUnreachable, match="cannot answer now: status 500"):
            generation_at(four.url)
    assert generation_at(researcher.fake.url) is FIVE


def test_vantage6_4_has_no_sessions(researcher: Researcher) -> None:
    server = Server5(researcher.fake.url, ContainerLogin("a token"))
    with pytest.raises(UsageError, match="has no sessions"):
        FOUR.prepare(server, PLACE, [], Wanted(session=5), researcher.told.append)
    prepared = FOUR.prepare(server, PLACE, [], Wanted(["digits"]), researcher.told.append)
    assert prepared.members == prepared.central == {"databases": [{"label": "digits"}]}
