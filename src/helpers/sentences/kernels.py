"""Compiled loops: from values of a block of cells to ranked words, from ranked words to text.

They hold no lock, so that threads work side by side.
"""

import numpy as np
from numba import njit

# Columns of the statistics that `rank_words` returns, one row a cell.
EXPRESSED, WRITTEN, TIED, TOP, TOP_TIED, CUT_IN_TIE, NOT_FINITE, NEGATIVE, STORED_ZERO = range(9)
N_STATISTICS = 9
TOP_WORDS = 200


@njit(nogil=True, cache=True)
def _mix(seed, cell, word):  # pragma: no cover - compiled
    # splitmix64 finalizer: an order among equal values that depends on seed, cell and word only
    z = seed ^ (cell * np.uint64(0x9E3779B97F4A7C15)) ^ (word * np.uint64(0xBF58476D1CE4E5B9))
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@njit(nogil=True, cache=True)
def _pass(key, word, key_out, word_out, m, digit, count):  # pragma: no cover - compiled
    for i in range(256):
        count[i] = 0
    for i in range(m):
        count[digit[i]] += 1
    total = 0
    for i in range(256):
        c = count[i]
        count[i] = total
        total += c
    for i in range(m):
        at = count[digit[i]]
        count[digit[i]] = at + 1
        key_out[at] = key[i]
        word_out[at] = word[i]


@njit(nogil=True, cache=True)
def rank_words(
    indptr, indices, data, word_of_column, top_n, seeded, seed, cell_keys, word_keys, n_words
):  # pragma: no cover - compiled
    """Rank the words of each cell: larger value first, equal values by word number (or by a seeded key).

    Returns the words of all cells one after another, where each cell starts, and the statistics.
    """
    n_cells = len(indptr) - 1
    widest = 0
    kept_at_most = 0
    for row in range(n_cells):
        width = indptr[row + 1] - indptr[row]
        widest = max(widest, width)
        kept_at_most += min(width, top_n)
    ranked = np.empty(kept_at_most, np.int32)
    starts = np.zeros(n_cells + 1, np.int64)
    statistics = np.zeros((n_cells, N_STATISTICS), np.int64)
    stamp = np.full(n_words, -1, np.int64)
    place = np.empty(n_words, np.int64)
    value = np.empty(widest, np.float64)
    bits = value.view(np.uint64)
    key_a, key_b = np.empty(widest, np.uint64), np.empty(widest, np.uint64)
    word_a, word_b = np.empty(widest, np.int32), np.empty(widest, np.int32)
    digit = np.empty(widest, np.uint8)
    count = np.empty(256, np.int64)
    byte = np.uint64(255)
    written = 0
    for row in range(n_cells):
        m = 0
        ascending = True
        last = -1
        for at in range(indptr[row], indptr[row + 1]):
            word = word_of_column[indices[at]]
            v = np.float64(data[at])
            if not np.isfinite(v):
                statistics[row, NOT_FINITE] += 1
                continue
            if v <= 0:
                statistics[row, STORED_ZERO if v == 0 else NEGATIVE] += 1
                continue
            if word < 0:
                continue
            if stamp[word] == row:
                value[place[word]] += v
                continue
            stamp[word] = row
            place[word] = m
            value[m] = v
            word_a[m] = word
            ascending = ascending and word > last
            last = word
            m += 1
        statistics[row, EXPRESSED] = m
        starts[row] = written
        if m == 0:
            continue
        varying = np.uint64(0)
        for i in range(m):
            key_a[i] = ~bits[i]
            varying |= bits[i] ^ bits[0]
        if not ascending:
            for shift in range(0, 32, 8):
                if shift and (n_words >> shift) == 0:
                    break
                for i in range(m):
                    digit[i] = (word_a[i] >> shift) & 255
                _pass(key_a, word_a, key_b, word_b, m, digit, count)
                key_a, key_b = key_b, key_a
                word_a, word_b = word_b, word_a
        if seeded:
            for shift in range(0, 32, 8):
                for i in range(m):
                    mixed = _mix(seed, cell_keys[row], word_keys[word_a[i]])
                    digit[i] = np.uint8((mixed >> np.uint64(shift)) & byte)
                _pass(key_a, word_a, key_b, word_b, m, digit, count)
                key_a, key_b = key_b, key_a
                word_a, word_b = word_b, word_a
        for shift in range(0, 64, 8):
            if (varying >> np.uint64(shift)) & byte == 0:
                continue
            for i in range(m):
                digit[i] = np.uint8((key_a[i] >> np.uint64(shift)) & byte)
            _pass(key_a, word_a, key_b, word_b, m, digit, count)
            key_a, key_b = key_b, key_a
            word_a, word_b = word_b, word_a
        kept = min(m, top_n)
        for i in range(kept):
            ranked[written + i] = word_a[i]
            if (i > 0 and key_a[i] == key_a[i - 1]) or (i + 1 < m and key_a[i] == key_a[i + 1]):
                statistics[row, TIED] += 1
                if i < TOP_WORDS:
                    statistics[row, TOP_TIED] += 1
        statistics[row, WRITTEN] = kept
        statistics[row, TOP] = min(kept, TOP_WORDS)
        if kept < m and key_a[kept - 1] == key_a[kept]:
            statistics[row, CUT_IN_TIE] = 1
        written += kept
    starts[n_cells] = written
    return ranked[:written], starts, statistics


@njit(nogil=True, cache=True)
def measure_text(ranked, starts, lengths):  # pragma: no cover - compiled
    """Return where the sentence of each cell starts in the text, in bytes; one space between words."""
    offsets = np.zeros(len(starts), np.int64)
    for row in range(len(starts) - 1):
        size = 0
        for at in range(starts[row], starts[row + 1]):
            size += lengths[ranked[at]] + 1
        offsets[row + 1] = offsets[row] + max(size - 1, 0)
    return offsets


@njit(nogil=True, cache=True)
def write_text(ranked, starts, offsets, letters, word_starts, text):  # pragma: no cover - compiled
    """Write the sentences into `text`, a byte buffer as long as `measure_text` says."""
    for row in range(len(starts) - 1):
        to = offsets[row]
        for at in range(starts[row], starts[row + 1]):
            if at > starts[row]:
                text[to] = 32
                to += 1
            word = ranked[at]
            for letter in range(word_starts[word], word_starts[word + 1]):
                text[to] = letters[letter]
                to += 1
