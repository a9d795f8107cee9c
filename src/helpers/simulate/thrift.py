"""Thrift's compact protocol, as far as the footer of a Parquet file needs it: bytes to plain values and back.

Format: github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md. A struct is a dictionary from
field number to ``(type, value)``, a list is ``(type of its items, items)``; both keep their order.
"""

import struct
from typing import Any

TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, SET, STRUCT = 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12
_LONG_LIST = 15

Struct = dict[int, tuple[int, Any]]


class Reader:
    """Reads values from `data`, one after another, from `position` on."""

    def __init__(self, data: bytes, position: int = 0) -> None:
        self.data, self.position = data, position

    def varint(self) -> int:
        """Read a number of seven bits a byte, lowest first."""
        result = shift = 0
        while True:
            byte = self.data[self.position]
            self.position += 1
            result |= (byte & 0x7F) << shift
            if byte < 0x80:
                return result
            shift += 7

    def integer(self) -> int:
        """Read a signed number in zigzag form."""
        number = self.varint()
        return (number >> 1) ^ -(number & 1)

    def take(self, n: int) -> bytes:
        """Read `n` bytes."""
        self.position += n
        return self.data[self.position - n : self.position]

    def struct(self) -> Struct:
        """Read a struct."""
        fields: Struct = {}
        number = 0
        while (head := self.take(1)[0]) != 0:
            number = number + (head >> 4) if head >> 4 else self.integer()
            kind = head & 0x0F
            fields[number] = (kind, None if kind in (TRUE, FALSE) else self.value(kind))
        return fields

    def value(self, kind: int) -> Any:
        """Read one value of a kind."""
        if kind in (I16, I32, I64):
            return self.integer()
        if kind == BINARY:
            return self.take(self.varint())
        if kind == STRUCT:
            return self.struct()
        if kind in (LIST, SET):
            head = self.take(1)[0]
            n = self.varint() if head >> 4 == _LONG_LIST else head >> 4
            return head & 0x0F, [self.value(head & 0x0F) for _ in range(n)]
        if kind == DOUBLE:
            return struct.unpack("<d", self.take(8))[0]
        if kind in (TRUE, FALSE, BYTE):
            return self.take(1)[0]
        msg = f"type {kind} at byte {self.position} is not a type of a Parquet footer."
        raise ValueError(msg)


def _varint(number: int) -> bytes:
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _integer(number: int) -> bytes:
    return _varint((number << 1) if number >= 0 else (-number << 1) - 1)


def write_struct(fields: Struct) -> bytes:
    """Return the bytes of a struct.

    Examples
    --------
    >>> Reader(write_struct({1: (I32, -3), 20: (BINARY, b"gene")})).struct()
    {1: (5, -3), 20: (8, b'gene')}
    """
    out, last = bytearray(), 0
    for number, (kind, value) in fields.items():
        step = number - last
        out += bytes([step << 4 | kind]) if 0 < step < _LONG_LIST + 1 else bytes([kind]) + _integer(number)
        last = number
        if kind not in (TRUE, FALSE):
            out += _write(kind, value)
    return bytes(out + b"\0")


def _write(kind: int, value: Any) -> bytes:
    if kind in (I16, I32, I64):
        return _integer(value)
    if kind == BINARY:
        return _varint(len(value)) + value
    if kind == STRUCT:
        return write_struct(value)
    if kind in (LIST, SET):
        item, items = value
        n = len(items)
        head = bytes([n << 4 | item]) if n < _LONG_LIST else bytes([_LONG_LIST << 4 | item]) + _varint(n)
        return head + b"".join(_write(item, one) for one in items)
    if kind == DOUBLE:
        return struct.pack("<d", value)
    return bytes([value])
