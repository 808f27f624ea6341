"""The protocol buffers of Perfetto: the one place that imports the extra's package."""

from __future__ import annotations

from typing import Any

from core.workload.text import TraceError

#: What to do without the package.
NEEDS_EXTRA = (
    "reading Perfetto needs the extra: pip install 'tag-storage-sweep[perfetto]', or "
    "traceconv systrace"
)


def text_of(value: str | bytes) -> str:
    """Return the text of a field; one that is damaged comes as bytes."""
    return value.decode(errors="replace") if isinstance(value, bytes) else value


class Protos:
    """The messages of a trace, by name.

    Parameters
    ----------
    file
        The file that an error names.

    Raises
    ------
    TraceError
        When the package is not installed, or is too old to have the messages.
    """

    def __init__(self, file: str) -> None:
        try:
            from google.protobuf import descriptor_pb2, text_format
            from google.protobuf.message import DecodeError
            from perfetto.protos.perfetto.trace import perfetto_trace_pb2
        except ImportError:
            raise TraceError(NEEDS_EXTRA, file=file) from None
        self._messages = perfetto_trace_pb2
        self._text_format = text_format
        self._descriptor: Any = descriptor_pb2.DescriptorProto
        self._unreadable = (DecodeError, text_format.ParseError, UnicodeDecodeError, ValueError)

    def parse(self, name: str, content: bytes) -> Any | None:
        """Return the message `name` in bytes, or None if they hold no such message."""
        try:
            return getattr(self._messages, name).FromString(content)
        except self._unreadable:
            return None

    def packet_of(self, text: str) -> bytes | None:
        """Return the bytes of a packet that is written as text, or None if it cannot be read."""
        packet = self._messages.TracePacket()
        try:
            self._text_format.Parse(text, packet, allow_unknown_field=True)
            content: bytes = packet.SerializeToString()
        except self._unreadable:
            return None
        return content

    def described(self, content: bytes) -> tuple[str, dict[str, int]] | None:
        """Return (name, numbers of its fields by name) of an event that a trace describes."""
        try:
            described = self._descriptor.FromString(content)
        except self._unreadable:
            return None
        fields = {text_of(field.name): field.number for field in described.field}
        return text_of(described.name), fields

    def events(self) -> dict[int, tuple[str, dict[str, int]]]:
        """Return the events of ftrace that have a message, by number: name, and its fields."""
        event = self._messages.FtraceEvent.DESCRIPTOR
        return {
            field.number: (field.name, {inner.name: inner.number for inner in message.fields})
            for field in event.fields
            if (message := field.message_type) is not None
        }

    def word(self, enum: str, number: int) -> str:
        """Return the name of a number of an enumeration, or the number in words."""
        known = self._messages.DESCRIPTOR.enum_types_by_name[enum].values_by_number
        return str(known[number].name) if number in known else f"{enum} {number}"

    def pressure(self, sample: Any) -> str:
        """Return the name of what a sample of pressure is of, such as PSI_RESOURCE_MEMORY_SOME."""
        return str(sample.PsiResource.Name(sample.resource))
