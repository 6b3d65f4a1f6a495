from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class MetricValue(_message.Message):
    __slots__ = ("double", "sint64", "uint64")
    DOUBLE_FIELD_NUMBER: _ClassVar[int]
    SINT64_FIELD_NUMBER: _ClassVar[int]
    UINT64_FIELD_NUMBER: _ClassVar[int]
    double: float
    sint64: int
    uint64: int
    def __init__(self, double: _Optional[float] = ..., sint64: _Optional[int] = ..., uint64: _Optional[int] = ...) -> None: ...

class MetricRecord(_message.Message):
    __slots__ = ("items",)
    class Item(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: MetricValue
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[MetricValue, _Mapping]] = ...) -> None: ...
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[MetricRecord.Item]
    def __init__(self, items: _Optional[_Iterable[_Union[MetricRecord.Item, _Mapping]]] = ...) -> None: ...

class RecordDict(_message.Message):
    __slots__ = ("items",)
    class Item(_message.Message):
        __slots__ = ("key", "metric_record")
        KEY_FIELD_NUMBER: _ClassVar[int]
        METRIC_RECORD_FIELD_NUMBER: _ClassVar[int]
        key: str
        metric_record: MetricRecord
        def __init__(self, key: _Optional[str] = ..., metric_record: _Optional[_Union[MetricRecord, _Mapping]] = ...) -> None: ...
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[RecordDict.Item]
    def __init__(self, items: _Optional[_Iterable[_Union[RecordDict.Item, _Mapping]]] = ...) -> None: ...

class Replies(_message.Message):
    __slots__ = ("messages",)
    class Message(_message.Message):
        __slots__ = ("content",)
        CONTENT_FIELD_NUMBER: _ClassVar[int]
        content: RecordDict
        def __init__(self, content: _Optional[_Union[RecordDict, _Mapping]] = ...) -> None: ...
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    messages: _containers.RepeatedCompositeFieldContainer[Replies.Message]
    def __init__(self, messages: _Optional[_Iterable[_Union[Replies.Message, _Mapping]]] = ...) -> None: ...
