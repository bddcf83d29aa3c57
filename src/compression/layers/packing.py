"""Small integers in as few bytes as they need.

A row of n codes becomes as many planes as codes share a unit of bytes: code i of the row lies in
plane i // m at place i % m, where m is the row's number of units. Every step of packing and
unpacking is then one operation over contiguous bytes, and a row can be unpacked by itself.
"""

import torch
from torch.nn import functional

TRITS = 5
"""Ternary digits a byte: 3**5 = 243 of its 256 values, 1.6 bits a digit."""
TERNARY = 1.58
"""What three values are called: log2(3) bits."""


def pack(codes: torch.Tensor, bits: float) -> torch.Tensor:
    """Pack codes into bytes.

    Args:
        codes: uint8, (rows, columns), each from 0 to 2**bits - 1 (to 2 for 1.58 bits).
        bits: 1.58, or 1 to 8.

    Returns:
        uint8, (rows, bytes): ceil(columns / 8) * bits bytes a row, ceil(columns / 5) for 1.58.
    """
    if bits == TERNARY:
        planes = _planes(codes, TRITS)
        packed = torch.zeros_like(planes[:, 0])
        for power in range(TRITS):
            packed += planes[:, power] * 3**power
        return packed
    if bits == 8:
        return codes.contiguous()
    width = int(bits)
    planes = _planes(codes, 8)  # (rows, 8, m)
    packed = planes.new_zeros(len(planes), width, planes.shape[2])
    for index in range(8):
        byte, shift = divmod(index * width, 8)
        packed[:, byte] |= planes[:, index] << shift  # what does not fit in the byte is shifted out
        if shift + width > 8:
            packed[:, byte + 1] |= planes[:, index] >> (8 - shift)
    return packed.flatten(1)


def unpack(packed: torch.Tensor, bits: float, columns: int) -> torch.Tensor:
    """Undo `pack`.

    Args:
        packed: uint8, (rows, bytes).
        bits: As they were packed.
        columns: Codes a row.

    Returns:
        uint8, (rows, columns).
    """
    if bits == 8:
        return packed
    if bits == TERNARY:
        planes = packed.new_empty(len(packed), TRITS, packed.shape[1])
        rest = packed
        for power in range(TRITS):
            planes[:, power] = rest % 3
            rest = rest // 3
        return planes.flatten(1)[:, :columns]
    width = int(bits)
    bytes_ = packed.unflatten(1, (width, -1))  # (rows, bits, m)
    planes = packed.new_empty(len(packed), 8, bytes_.shape[2])
    for index in range(8):
        byte, shift = divmod(index * width, 8)
        code = bytes_[:, byte] >> shift
        if shift + width > 8:
            code = code | (bytes_[:, byte + 1] << (8 - shift))
        planes[:, index] = code & (2**width - 1)
    return planes.flatten(1)[:, :columns]


def _planes(codes: torch.Tensor, number: int) -> torch.Tensor:
    """Pad each row to whole units and give it as planes, (rows, number, units)."""
    units = -(-codes.shape[1] // number)
    padded = functional.pad(codes, (0, units * number - codes.shape[1]))
    return padded.view(len(codes), number, units)
