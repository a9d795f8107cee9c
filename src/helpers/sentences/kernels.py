"""Compiled loops from the values of a block of cells to ranked words; no lock is held, so threads work side by side."""

import numpy as np

from helpers.kernels import kernel

# Columns of the statistics that `rank_words` returns, one row a cell.
CUT_IN_TIE, EXPRESSED, WRITTEN, TIED, TOP, TOP_TIED, NOT_FINITE, NEGATIVE, STORED_ZERO = range(9)
# What their sums over cells are called.
STATISTICS = (
    "cells_cut_within_a_tie", "expressed", "words", "words_in_ties", "top_words", "top_words_in_ties",
    "values_not_finite", "values_negative", "values_stored_zero",
)  # fmt: skip
TOP_WORDS = 200
LARGEST_LOG = 20.0


@kernel
def _mix(seed, cell, word):
    # splitmix64 finalizer: an order among equal values that depends on seed, cell and word only
    z = seed ^ (cell * np.uint64(0x9E3779B97F4A7C15)) ^ (word * np.uint64(0xBF58476D1CE4E5B9))
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@kernel
def _pass(key, word, key_out, word_out, m, digit, count):
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


@kernel
def _is_log(values):
    # values of one cell: molecules are whole, and no logarithm of a share of molecules comes near LARGEST_LOG
    whole = True
    for v in values:
        if v > LARGEST_LOG:
            return False
        if v > 0:
            whole = whole and v == np.floor(v)
    return not whole


@kernel
def _gather(columns, values, word_of_column, row, stamp, place, value, word, statistics):
    # the expressed words of one cell; columns of one word are added up as molecules, not as logarithms
    m, last, ascending = 0, -1, True
    log = -1
    for at in range(len(columns)):
        v = np.float64(values[at])
        if not v > 0 or not np.isfinite(v):
            statistics[STORED_ZERO if v == 0 else (NEGATIVE if np.isfinite(v) else NOT_FINITE)] += 1
            continue
        here = word_of_column[columns[at]]
        if here < 0:
            continue
        if stamp[here] == row:
            if log < 0:
                log = 1 if _is_log(values) else 0
            if log == 1:
                value[place[here]] = np.log1p(np.expm1(value[place[here]]) + np.expm1(v))
            else:
                value[place[here]] += v
            continue
        stamp[here] = row
        place[here] = m
        value[m] = v
        word[m] = here
        ascending = ascending and here > last
        last = here
        m += 1
    statistics[EXPRESSED] = m
    return m, ascending


@kernel
def _order(key_a, word_a, key_b, word_b, m, n_words, keys, digit, count):
    # Radix sort from the least to the most important digit: word number, seeded key, value. Stable, so that each
    # later pass keeps the order of the earlier ones among equals. `keys` is (in order already, seeded, seed, cell).
    ascending, seed, cell, word_keys = keys
    byte = np.uint64(255)
    for shift in range(0, 32, 8):
        if ascending or (shift and (n_words >> shift) == 0):
            break
        for i in range(m):
            digit[i] = (word_a[i] >> shift) & 255
        _pass(key_a, word_a, key_b, word_b, m, digit, count)
        key_a, key_b, word_a, word_b = key_b, key_a, word_b, word_a
    for shift in range(0, 32 if len(word_keys) == n_words else 0, 8):
        for i in range(m):
            digit[i] = np.uint8((_mix(seed, cell, word_keys[word_a[i]]) >> np.uint64(shift)) & byte)
        _pass(key_a, word_a, key_b, word_b, m, digit, count)
        key_a, key_b, word_a, word_b = key_b, key_a, word_b, word_a
    varying = np.uint64(0)
    for i in range(m):
        varying |= key_a[i] ^ key_a[0]
    for shift in range(0, 64, 8):
        if (varying >> np.uint64(shift)) & byte == 0:
            continue
        for i in range(m):
            digit[i] = np.uint8((key_a[i] >> np.uint64(shift)) & byte)
        _pass(key_a, word_a, key_b, word_b, m, digit, count)
        key_a, key_b, word_a, word_b = key_b, key_a, word_b, word_a
    return key_a, word_a


@kernel
def _count_ties(key, m, kept, statistics):
    for i in range(kept):
        if (i > 0 and key[i] == key[i - 1]) or (i + 1 < m and key[i] == key[i + 1]):
            statistics[TIED] += 1
            if i < TOP_WORDS:
                statistics[TOP_TIED] += 1
    statistics[WRITTEN] = kept
    statistics[TOP] = min(kept, TOP_WORDS)
    if 0 < kept < m and key[kept - 1] == key[kept]:
        statistics[CUT_IN_TIE] = 1


@kernel
def rank_words(starts, columns, values, word_of_column, top_n, seed, cell_keys, word_keys, n_words):
    """Rank the words of each cell: larger value first, equal values by word number.

    With one key a word in `word_keys`, equal values stand in an order drawn from seed, cell and word instead.
    Returns the words of all cells one after another, where each cell starts, and the statistics.
    """
    n_cells = len(starts) - 1
    widest, room = 0, 0
    for row in range(n_cells):
        widest = max(widest, starts[row + 1] - starts[row])
        room += min(starts[row + 1] - starts[row], top_n)
    ranked = np.empty(room, np.int32)
    written = np.zeros(n_cells + 1, np.int64)
    statistics = np.zeros((n_cells, len(STATISTICS)), np.int64)
    stamp, place = np.full(n_words, -1, np.int64), np.empty(n_words, np.int64)
    value = np.empty(widest, np.float64)
    bits = value.view(np.uint64)
    key_a, key_b = np.empty(widest, np.uint64), np.empty(widest, np.uint64)
    word_a, word_b = np.empty(widest, np.int32), np.empty(widest, np.int32)
    digit, count = np.empty(widest, np.uint8), np.empty(256, np.int64)
    for row in range(n_cells):
        start, stop = starts[row], starts[row + 1]
        own = columns[start:stop], values[start:stop]
        m, ascending = _gather(*own, word_of_column, row, stamp, place, value, word_a, statistics[row])
        for i in range(m):
            key_a[i] = ~bits[i]  # the bits of positive numbers are ordered as they are
        keys = (ascending, seed, cell_keys[row % len(cell_keys)], word_keys)
        key, word = _order(key_a, word_a, key_b, word_b, m, n_words, keys, digit, count)
        kept = min(m, top_n)
        ranked[written[row] : written[row] + kept] = word[:kept]
        written[row + 1] = written[row] + kept
        _count_ties(key, m, kept, statistics[row])
    return ranked[: written[n_cells]], written, statistics
