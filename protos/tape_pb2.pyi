from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Header(_message.Message):
    __slots__ = ("about", "transport", "recorded_at", "recorder")
    ABOUT_FIELD_NUMBER: _ClassVar[int]
    TRANSPORT_FIELD_NUMBER: _ClassVar[int]
    RECORDED_AT_FIELD_NUMBER: _ClassVar[int]
    RECORDER_FIELD_NUMBER: _ClassVar[int]
    about: str
    transport: str
    recorded_at: str
    recorder: str
    def __init__(self, about: _Optional[str] = ..., transport: _Optional[str] = ..., recorded_at: _Optional[str] = ..., recorder: _Optional[str] = ...) -> None: ...

class Refusal(_message.Message):
    __slots__ = ("status", "detail")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    status: str
    detail: str
    def __init__(self, status: _Optional[str] = ..., detail: _Optional[str] = ...) -> None: ...

class Call(_message.Message):
    __slots__ = ("method", "at", "request", "answer", "refusal", "left_out_bytes")
    METHOD_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    REFUSAL_FIELD_NUMBER: _ClassVar[int]
    LEFT_OUT_BYTES_FIELD_NUMBER: _ClassVar[int]
    method: str
    at: float
    request: bytes
    answer: bytes
    refusal: Refusal
    left_out_bytes: int
    def __init__(self, method: _Optional[str] = ..., at: _Optional[float] = ..., request: _Optional[bytes] = ..., answer: _Optional[bytes] = ..., refusal: _Optional[_Union[Refusal, _Mapping]] = ..., left_out_bytes: _Optional[int] = ...) -> None: ...
