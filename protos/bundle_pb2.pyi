from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Instruction(_message.Message):
    __slots__ = ("pull_messages_object_id", "get_run_response", "fab_object_id", "node_id", "deadline_seconds", "whole")
    PULL_MESSAGES_OBJECT_ID_FIELD_NUMBER: _ClassVar[int]
    GET_RUN_RESPONSE_FIELD_NUMBER: _ClassVar[int]
    FAB_OBJECT_ID_FIELD_NUMBER: _ClassVar[int]
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    WHOLE_FIELD_NUMBER: _ClassVar[int]
    pull_messages_object_id: str
    get_run_response: bytes
    fab_object_id: str
    node_id: int
    deadline_seconds: float
    whole: bool
    def __init__(self, pull_messages_object_id: _Optional[str] = ..., get_run_response: _Optional[bytes] = ..., fab_object_id: _Optional[str] = ..., node_id: _Optional[int] = ..., deadline_seconds: _Optional[float] = ..., whole: bool = ...) -> None: ...

class Reply(_message.Message):
    __slots__ = ("push_messages_object_id", "supernode_life")
    PUSH_MESSAGES_OBJECT_ID_FIELD_NUMBER: _ClassVar[int]
    SUPERNODE_LIFE_FIELD_NUMBER: _ClassVar[int]
    push_messages_object_id: str
    supernode_life: str
    def __init__(self, push_messages_object_id: _Optional[str] = ..., supernode_life: _Optional[str] = ...) -> None: ...

class Failure(_message.Message):
    __slots__ = ("code", "reason")
    CODE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    code: int
    reason: str
    def __init__(self, code: _Optional[int] = ..., reason: _Optional[str] = ...) -> None: ...

class MissingObjects(_message.Message):
    __slots__ = ("object_ids",)
    OBJECT_IDS_FIELD_NUMBER: _ClassVar[int]
    object_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, object_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class Header(_message.Message):
    __slots__ = ("message_id", "writer", "cache_generation", "instruction", "reply", "failure", "missing_objects")
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    WRITER_FIELD_NUMBER: _ClassVar[int]
    CACHE_GENERATION_FIELD_NUMBER: _ClassVar[int]
    INSTRUCTION_FIELD_NUMBER: _ClassVar[int]
    REPLY_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    MISSING_OBJECTS_FIELD_NUMBER: _ClassVar[int]
    message_id: str
    writer: str
    cache_generation: str
    instruction: Instruction
    reply: Reply
    failure: Failure
    missing_objects: MissingObjects
    def __init__(self, message_id: _Optional[str] = ..., writer: _Optional[str] = ..., cache_generation: _Optional[str] = ..., instruction: _Optional[_Union[Instruction, _Mapping]] = ..., reply: _Optional[_Union[Reply, _Mapping]] = ..., failure: _Optional[_Union[Failure, _Mapping]] = ..., missing_objects: _Optional[_Union[MissingObjects, _Mapping]] = ...) -> None: ...

class Footer(_message.Message):
    __slots__ = ("seconds",)
    class SecondsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    seconds: _containers.ScalarMap[str, float]
    def __init__(self, seconds: _Optional[_Mapping[str, float]] = ...) -> None: ...
