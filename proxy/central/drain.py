"""Draining: all that belongs to one message, from the SuperLink into an instruction bundle."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from protos import bundle_pb2
from protos import fleet_pb2 as fleet
from proxy.blocks import Data, sha256_of
from proxy.bundle import Bundle, BundleWriter
from proxy.central.fabs import Fab
from proxy.central.outline import Outline
from proxy.central.stations import Station, Terms
from proxy.clock import Deadline
from proxy.errors import BundleError, BundleUnwritten, Cancelled, FleetError
from proxy.fleet.messages import Instruction, parse
from proxy.fleet.releases import Layout
from proxy.system import durable
from proxy.system.retry import Answer, retrying
from proxy.transport.transfer import pull_objects


class Drain:
    """Makes the instruction bundle of one message.

    Its methods raise `RunNotRunning` and `UnknownNode` if the SuperLink wants no reply any more,
    `Cancelled` if the bridge is stopped, `FleetError` if the SuperLink does not hand over all of
    the message in time, and `BundleError`, `CarrierError` or `OSError` if the bundle cannot be
    written.

    Parameters
    ----------
    station : Station
        Where the message goes.
    terms : Terms
        What is the same for all messages.
    instruction : Instruction
        The message.
    seconds : float
        What the station may take; draining may take as long.

    Attributes
    ----------
    path : Path
        The bundle; where there was no room for it, that of an earlier central.
    size : int
        The size of the message's own objects in it, in bytes.
    app_size : int
        What the app takes in it, in bytes; 0 as long as it is left out.
    fab_hash : str
        The app's SHA-256, as the run names it; empty before `fetch_app`.
    confirmed : bool
        Whether the SuperLink knows that the message arrived.
    """

    def __init__(
        self, station: Station, terms: Terms, instruction: Instruction, seconds: float
    ) -> None:
        self.path = station.folder / "instruction.bundle"
        self.size = self.app_size = 0
        self.fab_hash = ""
        self._root: Data | None = None
        self._unwritten: BundleUnwritten | None = None
        # Of a message that came whole the SuperLink keeps nothing.
        self.confirmed = not instruction.object_ids
        self._name, self._link = station.name, station.superlink
        self._terms = terms
        self._instruction = instruction
        self._seconds = seconds
        self._deadline = Deadline.after(seconds, terms.clock)

    def fetch_app(self) -> Fab:
        """Return the app of the message's run."""
        run_id = self._instruction.metadata.run_id
        self._run = self._ask(lambda: self._link.get_run(run_id))
        self.fab_hash = fab_hash = parse(fleet.GetRunResponse, self._run).run.fab_hash
        self._fab = self._terms.fabs.of(
            run_id, fab_hash, lambda: self._ask(lambda: self._link.get_fab(run_id, fab_hash))
        )
        return self._fab

    def fetch_message(
        self, cache_generation: str, with_app: bool, before: Path | None = None
    ) -> None:
        """Write the bundle, and let the SuperLink forget the message's objects.

        Parameters
        ----------
        cache_generation : str
            The name of the cache that the station is known to have.
        with_app : bool
            Whether the app goes with the message.
        before : Path | None
            A bundle of an earlier central with the same message: the SuperLink may have forgotten
            the objects already.
        """
        instruction = self._instruction
        self._header = bundle_pb2.Header(
            message_id=instruction.message_id,
            cache_generation=cache_generation,
            instruction=bundle_pb2.Instruction(
                pull_messages_object_id=sha256_of(instruction.data),
                get_run_response=self._run,
                fab_object_id=self._fab.object_id,
                node_id=instruction.metadata.dst_node_id,
                deadline_seconds=self._seconds,
                whole=instruction.layout == Layout.INLINE,
            ),
        )
        try:
            self._write(with_app, before=before)
        except BundleUnwritten as error:
            # On a full disk that of before is sent as it is: the station may have it already.
            if before is None or not self._holds_all(before):
                raise
            self._unwritten, self.path, self.app_size = error, before, 0
            # An earlier central may have been killed before its name was on the disk.
            durable.sync(before.parent)
        self._ask(self.confirm)

    def fetch_earlier(self, outline: Outline) -> None:
        """Write the bundle of an earlier message that says the same, with the app."""
        app = self.fetch_app()

        def keep(object_id: str, content: Data) -> None:
            if object_id != self._instruction.message_id:
                writer.add(object_id, content)

        with outline.filled(self._instruction).begun(self.path) as writer:
            self._pull_objects(keep)
            writer.add(app.object_id, app.response)
            writer.close()

    def confirm(self) -> None:
        """Let the SuperLink forget the message, and not hand it out again (from flwr 1.43 on)."""
        about = self._instruction.metadata
        if not self.confirmed:
            self._link.confirm_message_received(about.run_id, about.message_id)
            self.confirmed = True

    def discard(self) -> None:
        """Confirm a message that is answered without having been drained.

        First its objects are waited for. The ServerApp may still be sending them, and its run fails
        if the SuperLink has forgotten the message meanwhile (flwr 1.41,
        `supercore/inflatable/inflatable_utils.py`: ObjectPushError).
        """
        if not self.confirmed:
            # They never came, an earlier central confirmed, or the bridge stops.
            with suppress(FleetError, Cancelled):
                self._pull_objects(lambda _, __: None)
            self.confirm()

    def add_app(self) -> None:
        """Add the app to the bundle."""
        if self._unwritten is not None:  # that of before stays as it is
            raise self._unwritten
        self._write(with_app=True, before=self.path)

    def _write(self, with_app: bool, before: Path | None) -> None:
        """Write the bundle beside what is there, which may be all that is left of the message."""
        instruction, made = self._instruction, self.path.with_suffix(".new")

        def keep(object_id: str, content: Data) -> None:
            writer.add(object_id, content)
            if object_id == instruction.message_id:
                self._root = content

        with BundleWriter(made, self._header) as writer:
            writer.add(self._header.instruction.pull_messages_object_id, instruction.data)
            if before is None or not self._copied(before, writer):
                self._pull_objects(keep)
            self.size = writer.object_bytes
            if with_app:
                self.app_size = writer.add(self._fab.object_id, self._fab.response)
            writer.close()
        self._terms.memory.hold(self._name, made, self.path, self._outline)

    def _outline(self) -> Outline:
        return Outline.of(self._header, self._instruction, self._root)

    def _copied(self, before: Path, writer: BundleWriter) -> bool:
        """Whether the message's objects are all taken from a bundle that was written before.

        A power cut may have left a part of it, or in its place the bundle of an earlier message:
        then the SuperLink has yet to hear that the message arrived.
        """
        if not self._holds_all(before):
            return False
        with Bundle(before) as source:
            for object_id in self._instruction.object_ids:
                writer.add(object_id, source.object(object_id))
        return True

    def _holds_all(self, bundle: Path) -> bool:
        """Whether a bundle is that of the message, with all of its objects."""
        try:
            with Bundle(bundle) as source:
                is_of_message = source.header.message_id == self._instruction.message_id
                return is_of_message and {*self._instruction.object_ids} <= {*source.object_ids}
        except BundleError:
            return False

    def _pull_objects(self, keep: Callable[[str, bytes], object]) -> None:
        """Fetch the message's objects."""
        run_id = self._instruction.metadata.run_id
        pull_objects(
            self._instruction.object_ids,
            lambda wanted: self._link.pull_object(run_id, wanted),
            keep,
            self._terms.stop,
            self._deadline,
        )

    def _ask(self, call: Callable[[], Answer]) -> Answer:
        return retrying(call, self._terms.stop, self._deadline)
