"""When folds start: as soon as the loads, streams and results that they need to be through are through."""

from __future__ import annotations

from dataclasses import dataclass, field

from accel.arch.spec import ArraySpec
from tests.differential.registers import Token


@dataclass
class Sequencer:
    """Starts loads and streams as soon as what they need is through; a row or an operand enters a clock."""

    array: ArraySpec
    load_cycles: int
    shift_cycles: int
    streams: list[int]
    loads_began: list[int] = field(default_factory=list)
    streams_began: list[int] = field(default_factory=list)

    def clock(self, now: int, folds_out: int) -> tuple[Token | None, Token | None]:
        """What enters in this clock: a row of a load, an operand of a stream."""
        self._start_stream(now)
        fold = len(self.loads_began)
        if fold < len(self.streams) and self._may_load(fold, now, folds_out):
            self.loads_began.append(now)
            self._start_stream(now)
        load = _position(self.loads_began, [self.load_cycles] * len(self.streams), now)
        return load, _position(self.streams_began, self.streams, now)

    def _start_stream(self, now: int) -> None:
        fold = len(self.streams_began)
        if fold < len(self.loads_began) and self._may_stream(fold, now):
            self.streams_began.append(now)

    def _stream_end(self, fold: int) -> int:
        return self.streams_began[fold] + self.streams[fold]

    @property
    def _behind(self) -> int:
        return max(self.load_cycles, self.shift_cycles)

    def _hides_nothing(self, fold: int) -> bool:
        return self.array.short_folds == "serialized" and self.streams[fold] < self._behind

    def _may_load(self, fold: int, now: int, folds_out: int) -> bool:
        if fold == 0:
            return True
        if self.array.overlap == "none":
            return folds_out == fold
        # The other register of each PE is free once the fold before has begun, the way down once its load is through.
        if len(self.streams_began) < fold or now < self.loads_began[-1] + self.load_cycles:
            return False
        return not self._hides_nothing(fold - 1) or now >= self._stream_end(fold - 1)

    def _may_stream(self, fold: int, now: int) -> bool:
        if now < self.loads_began[fold] + self.load_cycles:
            return False
        if fold == 0 or self.array.overlap == "none":
            return True
        before = self._stream_end(fold - 1)
        if self._hides_nothing(fold - 1) and now < before + self._behind:
            return False
        # Where results stay, the registers they leave through must be free again when this stream ends.
        return now >= before and now + self.streams[fold] >= before + self.shift_cycles


def _position(began: list[int], lengths: list[int], now: int) -> Token | None:
    fold = len(began) - 1
    if fold < 0 or now >= began[fold] + lengths[fold]:
        return None
    index = now - began[fold]
    return Token(0, fold, index, last=index == lengths[fold] - 1)
