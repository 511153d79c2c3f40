"""Registers, chains of them, and an adder: what the array of ``pe_by_pe`` is built from.

A token moves one register a clock and carries its own fold and place; a bubble is ``None``. Toggles are counted
register by register: a register is clocked when a token arrives and keeps its bits over bubbles.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Token:
    value: int
    fold: int
    index: int
    """Place in its stream; of a held operand or a result, its row."""
    last: bool = False
    column: int = -1
    """Of a result."""


@dataclass
class Meter:
    """Bits clocked and bits toggled in registers of one width."""

    bits: int
    clocked: int = 0
    toggled: int = 0


class Register:
    """Takes what was put in front of it when the clock ticks; keeps what it has if nothing was."""

    def __init__(self, meter: Meter | None) -> None:
        self.meter = meter
        self.token: Token | None = None
        self.bits = 0
        self.waiting: list[Token | None] = []

    def put(self, token: Token | None) -> None:
        assert not self.waiting, "two drivers"
        self.waiting.append(token)

    def tick(self) -> bool:
        """Whether a token arrived."""
        if not self.waiting:
            return False
        self.token = self.waiting.pop()
        if self.token is not None:
            if self.meter is not None:
                self.meter.clocked += self.meter.bits
                mask = (1 << self.meter.bits) - 1
                self.meter.toggled += ((self.bits ^ self.token.value) & mask).bit_count()
            self.bits = self.token.value
        return self.token is not None


class Chain:
    """Registers in a row; none at all is a wire."""

    def __init__(self, registers: list[Register]) -> None:
        self.registers = registers

    @property
    def out(self) -> Token | None:
        return self.registers[-1].token

    def through(self, token: Token | None) -> Token | None:
        """Put ``token`` in front; what comes out in this clock."""
        for register in self.registers:
            register.put(token)
            token = register.token
        return token


@dataclass(frozen=True)
class Adder:
    """Two's complement sums of so many bits."""

    bits: int
    overflow: str

    def add(self, a: int, b: int) -> tuple[int, bool]:
        exact = a + b
        low, high = -(1 << (self.bits - 1)), (1 << (self.bits - 1)) - 1
        if low <= exact <= high:
            return exact, False
        if self.overflow == "saturate":
            return (low if exact < low else high), True
        return (exact - low) % (1 << self.bits) + low, True
