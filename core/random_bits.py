"""Random bits by a counter: a draw depends on a seed and a number, not on draws before it."""

from __future__ import annotations

from core.jit import kernel, wide


@kernel
def mix(value: int) -> int:
    """Return 32 well-mixed bits of a 32-bit value (multiply and xor-shift, T. Mueller)."""
    value = ((value >> 16) ^ value) * 0x045D9F3B & 0xFFFFFFFF
    value = ((value >> 16) ^ value) * 0x045D9F3B & 0xFFFFFFFF
    return (value >> 16) ^ value


@kernel
def bits_of(seed: int, number: int) -> int:
    """Return the 32 bits that a seed gives to a number."""
    return mix(mix(wide(seed) & 0xFFFFFFFF) ^ (wide(number) & 0xFFFFFFFF))
