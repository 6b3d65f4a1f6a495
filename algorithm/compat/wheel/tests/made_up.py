"""Releases of Flower that never existed: what the bridge relies on, and what a test does to it."""

import zipfile
from collections.abc import Callable
from pathlib import Path

from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorProto

from algorithm.compat.wheel.contract import Contract, arguments, flags, words
from algorithm.compat.wheel.distribution import Distribution
from protos import fleet_pb2
from proxy.fleet.releases import names_of

_PROGRAMS = {
    "flower-superlink": "flwr.superlink.cli:flower_superlink",
    "flower-supernode": "flwr.supernode.cli:flower_supernode",
    "flwr": "flwr.cli.app:app",
}


class MadeUp:
    """A release that publishes exactly what a contract asks for, until a test changes it.

    Attributes
    ----------
    api : FileDescriptorProto
        Its Fleet API.
    options : dict[str, list[str]]
        What its commands take: "flower-superlink", "flwr run" and so on.
    arguments : dict[str, int]
        How many positional arguments they take.
    texts : list[str]
        What else is written in its source.
    names : list[str]
        What there is in its Python API, as "module:name".
    """

    def __init__(self, contract: Contract) -> None:
        self.api = _api(contract)
        self.options = {" ".join(words(each)): flags(each) for each in contract.commands}
        self.arguments = {" ".join(words(each)): arguments(each) for each in contract.commands}
        self.texts = [*contract.headers, *contract.paths]
        self.names = list(names_of("1.99.0").values())

    def message(self, name: str) -> DescriptorProto:
        """Return one of its messages, to change it."""
        return next(each for each in self.api.message_type if each.name == name)

    def published(self, release: str = "1.99.0") -> Distribution:
        """Return it as it would be read from a wheel."""
        return Distribution(release, self._modules(), _PROGRAMS)

    def wheel(self, release: str, folder: Path) -> None:
        """Write it as a wheel."""
        folder.mkdir(parents=True, exist_ok=True)
        name = f"{_distribution(release)}-{release}-py3-none-any.whl"
        with zipfile.ZipFile(folder / name, "w") as archive:
            for path, text in self._files(release).items():
                archive.writestr(path, text)

    def install(self, release: str, folder: Path) -> None:
        """Write it as pip would install it."""
        for path, text in self._files(release).items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text)

    def _files(self, release: str) -> dict[str, str]:
        scripts = "\n".join(f"{name} = {start}" for name, start in _PROGRAMS.items())
        entry_points = f"[console_scripts]\n{scripts}\n"
        folder = f"{_distribution(release)}-{release}.dist-info"
        return {f"{folder}/entry_points.txt": entry_points, **self._modules()}

    def _modules(self) -> dict[str, str]:
        return {
            **self._python_api(),
            "flwr/proto/fleet_pb2.py": _generated(self.api),
            "flwr/constant.py": "".join(f'_ = "{text}"\n' for text in self.texts),
            "flwr/superlink/cli.py": self._argparse("flower-superlink"),
            "flwr/supernode/cli.py": self._argparse("flower-supernode"),
            "flwr/cli/app.py": self._typer(),
        }

    def _python_api(self) -> dict[str, str]:
        modules: dict[str, str] = {}
        known = {message.name for message in self.api.message_type}
        for each in self.names:
            module, _, name = each.partition(":")
            path = f"{module.replace('.', '/')}.py"
            if not module.startswith("flwr.proto."):
                modules[path] = f"{modules.get(path, '')}{name} = None\n"
            elif name in known:
                modules.setdefault(path, "")
            else:
                file = FileDescriptorProto(package="flwr.proto")
                file.message_type.add(name=name)
                modules[path] = modules.get(path, "") + _generated(file)
        return modules

    def _argparse(self, program: str) -> str:
        added = "".join(f'    parser.add_argument("{each}")\n' for each in self.options[program])
        return (
            f"def {program.replace('-', '_')}() -> None:\n"
            "    _parser().parse_args()\n"
            "def _parser() -> argparse.ArgumentParser:\n"
            f"    parser = argparse.ArgumentParser()\n{added}    return parser\n"
        )

    def _typer(self) -> str:
        lines = ["app = typer.Typer()", "group = typer.Typer()"]
        for command in self.options:
            program, *path = command.split()
            if program != "flwr":
                continue
            owner = "app" if len(path) == 1 else "group"
            if owner == "group":
                lines.append(f'app.add_typer(group, name="{path[0]}")')
            parameters = [
                f"option_{number}: Annotated[str, typer.Option('{flag}')] = ''"
                for number, flag in enumerate(self.options[command])
            ] + [
                f"argument_{number}: Annotated[str, typer.Argument()] = ''"
                for number in range(self.arguments[command])
            ]
            lines.append(f"def {path[-1]}({', '.join(parameters)}) -> None: ...")
            lines.append(f"{owner}.command()({path[-1]})")
        return "\n".join(lines)


def changed(contract: Contract, change: Callable[[MadeUp], object]) -> Distribution:
    """Return a release that differs from what a contract asks for in one respect."""
    made_up = MadeUp(contract)
    change(made_up)
    return made_up.published()


def _distribution(release: str) -> str:
    return "flwr_nightly" if ".dev" in release else "flwr"


def _generated(file: FileDescriptorProto) -> str:
    """Return what the protobuf compiler generates, as far as it is read."""
    return f"DESCRIPTOR = pool.AddSerializedFile({file.SerializeToString()!r})\n"


def _api(contract: Contract) -> FileDescriptorProto:
    """Return `protos/fleet.proto` under Flower's name, with the service."""
    encoded = fleet_pb2.DESCRIPTOR.serialized_pb
    file = FileDescriptorProto.FromString(encoded)
    ours, theirs = f".{file.package}.", ".flwr.proto."
    file.package = "flwr.proto"
    for message in file.message_type:
        for field in (*message.field, *(each for n in message.nested_type for each in n.field)):
            field.type_name = field.type_name.replace(ours, theirs)
    service = file.service.add(name="Fleet")
    for method, (request, answer) in contract.methods.items():
        service.method.add(
            name=method,
            input_type=request.replace(ours, theirs),
            output_type=answer.replace(ours, theirs),
        )
    return file
