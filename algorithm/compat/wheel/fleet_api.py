"""The Fleet API that a release publishes: the descriptors in its generated modules."""

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
)
from google.protobuf.message import DecodeError

from proxy.errors import FlowerError

_SERVICE = "Fleet"


@dataclass(frozen=True)
class FleetApi:
    """Methods and messages of the service Fleet.

    Attributes
    ----------
    methods : Mapping[str, tuple[str, str]]
        The types of request and answer of each method.
    messages : Mapping[str, DescriptorProto]
        Every message that is published, by its type: ".flwr.proto.Node".
    """

    methods: Mapping[str, tuple[str, str]]
    messages: Mapping[str, DescriptorProto]

    def reachable(self, methods: set[str]) -> dict[str, DescriptorProto]:
        """Return the messages that travel in calls of some methods, by type."""
        by_type: dict[str, DescriptorProto] = {}
        todo = [
            kind for method in sorted(methods & set(self.methods)) for kind in self.methods[method]
        ]
        while todo:
            kind = todo.pop()
            if kind not in by_type:
                by_type[kind] = self.messages[kind]
                todo += [field.type_name for field in by_type[kind].field if is_message(field)]
        return by_type


def read_fleet_api(modules: Mapping[str, str]) -> FleetApi:
    """Find the Fleet API in the modules that the protobuf compiler generated.

    Parameters
    ----------
    modules : Mapping[str, str]
        Their sources, by path.

    Raises
    ------
    FlowerError
        If there is none in a form that is known here.
    """
    methods: dict[str, tuple[str, str]] = {}
    for file in _files(modules):
        for service in file.service:
            if service.name == _SERVICE:
                methods |= {m.name: (m.input_type, m.output_type) for m in service.method}
    if not methods:
        raise FlowerError("No module of this release describes the Fleet API.")
    return FleetApi(methods, read_messages(modules))


def read_messages(modules: Mapping[str, str]) -> Mapping[str, DescriptorProto]:
    """Return every message that the generated modules describe, by its type.

    Raises
    ------
    FlowerError
        If a descriptor cannot be read.
    """
    messages: dict[str, DescriptorProto] = {}
    for file in _files(modules):
        messages |= _messages(f".{file.package}", file.message_type)
    return messages


def is_message(field: FieldDescriptorProto) -> bool:
    """Whether a field holds a message."""
    return field.type == FieldDescriptorProto.TYPE_MESSAGE


def form(field: FieldDescriptorProto) -> str:
    """Return a field's form as in a .proto file: "repeated string"."""
    if field.type_name:
        name = field.type_name.rpartition(".")[2]
    else:
        name = FieldDescriptorProto.Type.Name(field.type).removeprefix("TYPE_").lower()
    return f"repeated {name}" if is_repeated(field) else name


def is_repeated(field: FieldDescriptorProto) -> bool:
    """Whether a field holds any number of values; a map is a repeated message."""
    return field.label == FieldDescriptorProto.LABEL_REPEATED


def _files(modules: Mapping[str, str]) -> Iterator[FileDescriptorProto]:
    for path, source in modules.items():
        if path.endswith("_pb2.py"):
            yield from _descriptors(path, source)


def _descriptors(path: str, source: str) -> Iterator[FileDescriptorProto]:
    """Yield the file descriptors that a generated module adds to the pool."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Call(
                func=ast.Attribute(attr="AddSerializedFile"), args=[ast.Constant(value=bytes(file))]
            ):
                try:
                    yield FileDescriptorProto.FromString(file)
                except DecodeError as error:
                    raise FlowerError(
                        f"{path} has no protobuf file descriptor: {error}."
                    ) from error


def _messages(scope: str, messages: Iterable[DescriptorProto]) -> dict[str, DescriptorProto]:
    """Return messages and those nested in them, by type."""
    by_type = {}
    for message in messages:
        name = f"{scope}.{message.name}"
        by_type[name] = message
        by_type |= _messages(name, message.nested_type)
    return by_type
