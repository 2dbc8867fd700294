"""Random streams: counter-based, named, without hidden state.

A stream is a function of (purpose, seed, lock-step, copy, draw) and nothing else. There is no position to save, to skip
or to lose: an agent that joins late, replays, or runs fewer copies asks for the same numbers by the same address.

Definition. The generator is Philox4x64-10 (Salmon et al., SC 2011). Its 128-bit key is the first 16 bytes of
``digest(b"dadc-net stream", purpose, seed bytes)``, read as two little-endian 64-bit words. Its 256-bit counter is the
four words (lock-step, copy, draw // 4, 0), least significant first, and draw d is word d % 4 of that block. NumPy's
Philox adds one to its counter before it makes a block, so its counter is set one lower. NumPy promises that the raw
words of its bit generators never change; none of its distributions is used.

Transforms are ours, consume a fixed number of words and never reject, because a rejection decided differently on two
hosts would shift everything after it.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dadc_net.exact.digest import digest
from dadc_net.exact.normal import normals

_WORDS_PER_BLOCK = 4
_CHUNK_STEPS, _CHUNK_GROWTH = 256, 8
_CHUNK_BLOCKS = 2**16
"""Blocks that a stream keeps at most (32 bytes each), unless one lock-step needs more."""
_JOINT_WORDS = 2**20
"""Words that several streams keep together, likewise."""
_MANY_ROWS = 16
"""For each entry: from so many on they are added up by columns."""
_WORD_MASK = 2**64 - 1
_COUNTER_BITS = 256


def seed_bytes(seed: int | bytes) -> bytes:
    """The bytes that stand for a seed: raw bytes (of a seed file) as they are, an integer by its decimal text.

    Raises:
        ValueError: for a negative integer or an empty byte string.
    """
    if isinstance(seed, int):
        if seed < 0:
            raise ValueError(f"a seed must not be negative, got {seed}")
        return b"integer:" + str(seed).encode("ascii")
    if not seed:
        raise ValueError("a seed must not be empty")
    return b"bytes:" + seed


class Philox:
    """Philox4x64-10 under one 128-bit key, addressed by counter."""

    def __init__(self, key: int) -> None:
        words = np.array([key & _WORD_MASK, key >> 64], dtype=np.uint64)
        self._generator = np.random.Philox(key=words, counter=np.zeros(4, dtype=np.uint64))
        # Setting the state is ten times as fast as making a generator. This buffer position says that no word is left.
        self._state = self._generator.state
        self._state["buffer_pos"] = _WORDS_PER_BLOCK

    def blocks(self, step: int, copy: int, block: int, count: int) -> NDArray[np.uint64]:
        """The blocks at counters (step, copy, block, 0) .. (step + count - 1, copy, block, 0): uint64 [count, 4]."""
        counter = ((step | (copy << 64) | (block << 128)) - 1) % (1 << _COUNTER_BITS)
        self._state["state"]["counter"] = np.array(
            [(counter >> shift) & _WORD_MASK for shift in (0, 64, 128, 192)], dtype=np.uint64
        )
        self._generator.state = self._state
        words: NDArray[np.uint64] = self._generator.random_raw(_WORDS_PER_BLOCK * count)
        return words.reshape(count, _WORDS_PER_BLOCK)


def philox_blocks(key: int, step: int, copy: int, block: int, count: int) -> NDArray[np.uint64]:
    """The words of ``count`` consecutive lock-steps from ``step`` under a 128-bit key: uint64 [count, 4]."""
    return Philox(key).blocks(step, copy, block, count)


class Stream:
    """One named stream of random words, addressed by (lock-step, copy, draw)."""

    def __init__(self, purpose: str, seed: bytes) -> None:
        self.purpose = purpose
        key = int.from_bytes(digest(b"dadc-net stream", purpose.encode("utf-8"), seed)[:16], "little")
        self._philox = Philox(key)
        # Words are made for whole chunks of lock-steps, because setting a counter costs far more than drawing from it.
        # The cache changes nothing but speed: what is returned depends on the address alone.
        self._first, self._length, self._shape = 0, 0, (0, 0)
        self._words: NDArray[np.uint64] = np.zeros((0, 0, 0), dtype=np.uint64)
        self._uniforms: NDArray[np.float64] | None = None
        """Of the words of the cache, once somebody has asked for them."""
        self._normals: NDArray[np.float64] | None = None
        """Likewise."""

    def words(self, step: int, copies: int, draws: int) -> NDArray[np.uint64]:
        """Words of lock-step ``step`` for copies 0..E-1 and draws 0..D-1: uint64 [E, D], read-only."""
        place = self._place(step, copies, draws)
        words: NDArray[np.uint64] = self._words[place]
        return words

    def words_over(self, step: int, count: int, copies: int, draws: int) -> NDArray[np.uint64]:
        """``words`` of lock-steps step .. step + count - 1: uint64 [count, E, D]."""
        parts = []
        while count:
            self.words(step, copies, draws)
            place = step - self._first
            part = self._words[place : place + count]
            parts.append(part)
            step, count = step + len(part), count - len(part)
        return np.concatenate(parts)

    def uniforms_over(self, step: int, count: int, copies: int, draws: int) -> NDArray[np.float64]:
        """``uniforms`` of lock-steps step .. step + count - 1: float64 [count, E, D]."""
        return _uniform(self.words_over(step, count, copies, draws))

    def first_words(self, step: int, count: int, copies: int) -> NDArray[np.uint64]:
        """``words`` of draw 0 at lock-steps step .. step + count - 1, none of which is kept here: uint64 [count, E]."""
        words = np.empty((count, copies), dtype=np.uint64)
        for copy in range(copies):
            words[:, copy] = self._philox.blocks(step, copy, 0, count)[:, 0]
        return words

    def bulk(self, address: int, count: int) -> NDArray[np.uint64]:
        """Many words for one purpose: those of draws 0 .. 3 of copy ``address`` at lock-steps 0, 1, ..: uint64 [count].

        One call where ``words`` would take one for each copy. A stream is asked in one of the two ways only.
        """
        return self._philox.blocks(0, address, 0, -(-count // _WORDS_PER_BLOCK)).reshape(-1)[:count]

    def uniforms(self, step: int, copies: int, draws: int) -> NDArray[np.float64]:
        """Uniform numbers in [0, 1): the top 53 bits of each word times 2^-53; float64 [E, D]."""
        place = self._place(step, copies, draws)
        if self._uniforms is None:
            self._uniforms = _uniform(self._words)
        uniforms: NDArray[np.float64] = self._uniforms[place].copy()
        return uniforms

    def normals(self, step: int, copies: int, draws: int) -> NDArray[np.float64]:
        """Standard normal numbers, one of each word (``normal.normals``): float64 [E, D], read-only.

        They are made for many lock-steps at once, because of a few numbers NumPy's calls are the cost.
        """
        place = self._place(step, copies, draws)
        if self._normals is None:
            self._normals = normals(self._words)
            self._normals.flags.writeable = False
        found: NDArray[np.float64] = self._normals[place]
        return found

    def _place(self, step: int, copies: int, draws: int) -> int:
        """Where lock-step ``step`` stands in the chunk, which is made if it is not there."""
        place = step - self._first
        if 0 <= place < self._length and self._shape == (copies, draws):
            return place
        self._fill(step, copies, draws)
        return 0

    def _fill(self, step: int, copies: int, draws: int) -> None:
        """Make the words of a chunk from ``step`` on."""
        blocks = -(-draws // _WORDS_PER_BLOCK)
        most = min(_CHUNK_STEPS, _CHUNK_BLOCKS // max(1, copies * blocks))
        # Who asks for one lock-step after the other is given ever more at once, who asks for a single one just that.
        goes_on = self._shape == (copies, draws) and step == self._first + self._length
        length = max(1, min(most, _CHUNK_GROWTH * self._length if goes_on else 1))
        chunk = np.empty((length, copies, blocks, _WORDS_PER_BLOCK), dtype=np.uint64)
        for copy in range(copies):
            for block in range(blocks):
                chunk[:, copy, block] = self._philox.blocks(step, copy, block, length)
        # What is handed out is a view of the cache: whoever wrote into it would change the stream.
        chunk.flags.writeable = False
        self._words = chunk.reshape(length, copies, blocks * _WORDS_PER_BLOCK)[:, :, :draws]
        self._uniforms = self._normals = None
        self._first, self._length, self._shape = step, length, (copies, draws)


class JointStream:
    """The first draw of several streams at once: a lock-step of many agents in one call."""

    def __init__(self, streams: Sequence[Stream]) -> None:
        self._streams = streams
        self._first = 0
        self._words: NDArray[np.uint64] = np.zeros((0, 0, len(streams)), dtype=np.uint64)

    def words(self, step: int, copies: int) -> NDArray[np.uint64]:
        """``Stream.words`` of lock-step ``step``, draw 0, of every stream: uint64 [E, streams], read-only."""
        place = step - self._first
        if not 0 <= place < len(self._words) or self._words.shape[1] != copies:
            self._fill(step, copies)
            place = 0
        words: NDArray[np.uint64] = self._words[place]
        return words

    def _fill(self, step: int, copies: int) -> None:
        length = max(1, min(_CHUNK_STEPS, _JOINT_WORDS // max(1, copies * len(self._streams))))
        parts = [stream.first_words(step, length, copies) for stream in self._streams]
        self._first, self._words = step, np.stack(parts, axis=2)
        self._words.flags.writeable = False


def _uniform(words: NDArray[np.uint64]) -> NDArray[np.float64]:
    """The top 53 bits of each word times 2^-53."""
    return (words >> np.uint64(11)).astype(np.float64) * 2.0**-53


def categorical(words: NDArray[np.uint64], weights: NDArray[np.int64]) -> NDArray[np.int64]:
    """Draw one index per row by integer thresholds; no float is compared.

    The threshold is floor(u Q / 2^32) with u the top 32 bits of the word and Q the row's total weight; the result is
    the first index whose cumulative weight exceeds it. Index m has probability weight m / Q up to 2^-32.

    Args:
        words: uint64 [E], one word per row.
        weights: int64 [E, M], non-negative, each row's total in 1 .. 2^32.

    Returns:
        int64 [E], values 0 .. M-1.
    """
    cumulative = _cumulative(weights)
    total = cumulative[-1].astype(np.uint64)
    threshold = ((words >> np.uint64(32)) * total) >> np.uint64(32)
    chosen: NDArray[np.int64] = np.sum(cumulative <= threshold.astype(np.int64), axis=0)
    return chosen


def _cumulative(weights: NDArray[np.int64]) -> NDArray[np.int64]:
    """Sums of the first 1 .. M weights of each row: [M, E]."""
    rows, entries = weights.shape
    if rows < _MANY_ROWS * entries:
        return np.cumsum(weights, axis=1).T
    # NumPy adds up a row number by number, and columns many numbers at once.
    sums = np.array(weights.T, order="C")
    for before, own in itertools.pairwise(sums):
        own += before
    return sums


def permutation(words: NDArray[np.uint64]) -> NDArray[np.int64]:
    """A permutation of 0 .. n-1: the stable order of ``words`` (uint64 [n]); ties keep their index order."""
    return np.argsort(words, kind="stable").astype(np.int64)
