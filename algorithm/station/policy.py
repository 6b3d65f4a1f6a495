"""What may run at a station: what its owner and the image allow, whatever the central says.

The image brings one app. Its manifest (`algorithm.flower.manifest`) says which, and which keys
of the run config a run may override. The station's owner says more in the node's `algorithm_env`;
a station that stays has the same as `[policy]` in its file (`algorithm.station.resident.settings`):

    FLOWER_V6_ALLOWED_FABS        other apps (FABs) that may run too: their SHA-256, by commas
    FLOWER_V6_ALLOWED_RUN_CONFIG  only these keys may be overridden, by commas; empty: none
    FLOWER_V6_ALLOWED_MODES       only these modes may be used, by commas

Where neither says anything, as with stations on the user's own machine, everything is allowed.
"""

import hashlib
import logging
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Self

from algorithm.flower import manifest
from algorithm.flower.manifest import Manifest, file_hashes
from algorithm.station.runtime import Runtime
from protos import fleet_pb2 as fleet
from proxy.calls import Mode
from proxy.errors import AppError, BridgeError, UsageError

log = logging.getLogger(__name__)

ALLOWED_FABS = "FLOWER_V6_ALLOWED_FABS"
ALLOWED_RUN_CONFIG = "FLOWER_V6_ALLOWED_RUN_CONFIG"
ALLOWED_MODES = "FLOWER_V6_ALLOWED_MODES"
_WHERE = "The station's owner sets it, in the node's algorithm_env or in the station's own file."
_SHA256 = re.compile("[0-9a-f]{64}")
# A refusal names so many files or keys; the rest is a number.
_NAMED = 5
_NAME_LENGTH = 80


class Refused(BridgeError):
    """The station does not run this app, or not in this way."""

    code = "refused"


@dataclass(frozen=True)
class Policy:
    """What may run.

    Attributes
    ----------
    manifest : Manifest | None
        The image's; None if no app was baked in.
    fabs : frozenset[str]
        SHA-256 of further apps that the owner allows.
    run_config_keys : frozenset[str] | None
        To which keys the owner narrows what a run may override; None if to none.
    modes : frozenset[str]
        Those of `proxy.calls.Mode` that may be used.
    """

    manifest: Manifest | None = None
    fabs: frozenset[str] = frozenset()
    run_config_keys: frozenset[str] | None = None
    modes: frozenset[str] = frozenset(Mode)

    @classmethod
    def from_environment(
        cls, environment: Mapping[str, str], named: Mapping[str, str] = MappingProxyType({})
    ) -> Self:
        """Read the policy that image and owner have set.

        Parameters
        ----------
        environment : Mapping[str, str]
            The variables.
        named : Mapping[str, str]
            What errors call a variable, where its owner knows it by another name.

        Raises
        ------
        BridgeError
            If that cannot be understood. Nothing may run then.
        """
        path = environment.get(manifest.ENVIRONMENT_VARIABLE)
        fabs = _listed(environment, ALLOWED_FABS) or frozenset()
        for fab in fabs:
            if not _SHA256.fullmatch(fab.lower()):
                name = named.get(ALLOWED_FABS, ALLOWED_FABS)
                raise UsageError(f"{name} has {fab!r}, which is not a SHA-256.", _WHERE)
        modes = _listed(environment, ALLOWED_MODES)
        if modes is not None and not modes <= set(Mode):
            name = named.get(ALLOWED_MODES, ALLOWED_MODES)
            raise UsageError(
                f"{name} holds {_some(sorted(modes - set(Mode)))}; there are: {', '.join(Mode)}.",
                _WHERE,
            )
        return cls(
            Manifest.read(Path(path)) if path else None,
            frozenset(fab.lower() for fab in fabs),
            _listed(environment, ALLOWED_RUN_CONFIG),
            frozenset(Mode) if modes is None else modes,
        )

    def permitting(self, mode: str, start: Callable[[int], Runtime]) -> Callable[[int], Runtime]:
        """Return a function that starts a runtime, or raises `Refused` if the mode is forbidden."""

        def refuse(_: int) -> Runtime:
            raise Refused(
                f"Refused by the station's policy: the run is in {mode} mode. The station's owner"
                f" allows {_some(sorted(self.modes))}."
            )

        return start if mode in self.modes else refuse

    def check(self, run: fleet.Run, fab: bytes) -> None:
        """Check a run and its app, before a ClientApp gets them.

        Parameters
        ----------
        run : Run
            What the central says of the run.
        fab : bytes
            The content of the app (FAB) that came with it.

        Raises
        ------
        Refused
            If it may not run; the reason names what is allowed.
        """
        if replace(self, modes=Policy.modes) == Policy():
            return
        actual = hashlib.sha256(fab).hexdigest()
        if self.manifest is not None and actual == self.manifest.fab_sha256:
            app = self.manifest
        elif actual in self.fabs or (self.manifest is None and not self.fabs):
            app = self._described(fab)
        else:
            raise Refused(self._reason_against(actual, fab))
        # Flower's processes look for the installed app under these two (flwr 1.41,
        # `get_project_dir` in common/config.py): they must not lead to another folder.
        for name, claimed, known in (
            ("app", run.fab_id, f"{app.publisher}/{app.name}"),
            ("version", run.fab_version, app.version),
        ):
            if claimed != known:
                raise Refused(
                    f"Refused by the station's policy: the run names the {name}"
                    f" {claimed[:_NAME_LENGTH]!r}, its app (FAB) {known!r}."
                )
        allowed = set(app.run_config_keys)
        if self.run_config_keys is not None:
            allowed &= self.run_config_keys
        overridden = sorted(run.override_config)
        if refused := [key for key in overridden if key not in allowed]:
            raise Refused(
                "Refused by the station's policy: the run overrides the run config's"
                f" {_some(refused)}. It may override {_some(sorted(allowed), len(allowed))}."
            )
        log.info(
            "policy: run %d is allowed: app (FAB) %s, overriding %s",
            run.run_id,
            actual,
            _some(overridden, len(overridden)),
        )

    @staticmethod
    def _described(fab: bytes) -> Manifest:
        try:
            return Manifest.of_fab(fab)
        except AppError as error:
            raise Refused(f"Refused by the station's policy: {error.message}") from error

    def _reason_against(self, actual: str, fab: bytes) -> str:
        """Say why an app may not run, and in what it differs from the one that may."""
        if self.manifest is None:
            return (
                f"Refused by the station's policy: the app (FAB) is {actual}, none of the"
                f" {len(self.fabs)} that the station's owner allows."
            )
        others = f" {len(self.fabs)} more are listed by the station's owner." if self.fabs else ""
        return (
            f"Refused by the station's policy: the app (FAB) is {actual}, the image's own is"
            f" {self.manifest.fab_sha256}.{others} {_difference(self.manifest.files, fab)}"
        )


def _difference(image_files: Mapping[str, str], fab: bytes) -> str:
    try:
        files = file_hashes(fab)
    except AppError as error:
        return f"Its files cannot be compared: {error.message}"
    kinds = {
        "changed": [
            name for name in image_files if name in files and files[name] != image_files[name]
        ],
        "added": [name for name in files if name not in image_files],
        "removed": [name for name in image_files if name not in files],
    }
    parts = [f"{kind}: {_some(names)}" for kind, names in kinds.items() if names]
    return f"Its files differ, {'; '.join(parts)}." if parts else "Its files are the same."


def _listed(environment: Mapping[str, str], name: str) -> frozenset[str] | None:
    if name not in environment:
        return None
    parts = (part.strip() for part in environment[name].split(","))
    return frozenset(part for part in parts if part)


def _some(names: Collection[str], most: int = _NAMED) -> str:
    """Name a few; they may come from anybody, so they are quoted and cut."""
    if not names:
        return "nothing"
    named = [repr(name[:_NAME_LENGTH]) for name in list(names)[:most]]
    more = len(names) - len(named)
    return ", ".join(named) + (f" and {more} more" if more else "")
