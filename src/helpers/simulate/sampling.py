"""Molecules of each cell, drawn one by one: alias tables per group, a gamma factor per cell and gene, own seeds."""

import numpy as np
from scipy.special import gammaincinv

from helpers.kernels import kernel

# Positions in the array of shares of a cell's molecules.
REST, MITO, RIBO, STRESS = range(4)
FACTORS = 256  # quantiles of the gamma factor
FACTOR_LIMIT = 3.0


@kernel
def _mix(state):
    """Turn 64 bits into 64 others that look random (splitmix64)."""
    z = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@kernel
def make_alias(weight):
    """Return the two arrays of Walker's alias method for drawing a position with a chance as its `weight`."""
    n = weight.size
    chance = weight * (n / weight.sum())
    other = np.arange(n).astype(np.int32)
    small, large = np.empty(n, np.int32), np.empty(n, np.int32)
    n_small = n_large = 0
    for i in range(n):
        if chance[i] < 1.0:
            small[n_small] = i
            n_small += 1
        else:
            large[n_large] = i
            n_large += 1
    while n_small > 0 and n_large > 0:
        n_small -= 1
        low = small[n_small]
        high = large[n_large - 1]
        other[low] = high
        chance[high] -= 1.0 - chance[low]
        if chance[high] < 1.0:
            n_large -= 1
            small[n_small] = high
            n_small += 1
    for i in range(n_small):
        chance[small[i]] = 1.0
    for i in range(n_large):
        chance[large[i]] = 1.0
    return chance.astype(np.float32), other


@kernel
def draw_cells(rate, kind, molecules, shares, seeds, factor):
    """Draw the molecules of the cells of one group."""
    n_genes, one, shift = rate.size, np.uint64(1), np.uint64(40)
    word_of, bit_of = np.uint64(6), np.uint64(63)
    members = [np.flatnonzero(kind == k).astype(np.int32) for k in range(4)]
    tables = [make_alias(rate[member] + 1e-300) for member in members]
    seen = np.zeros(n_genes // 64 + 1, np.uint64)
    count = np.zeros(n_genes, np.int32)
    limit = np.minimum(molecules, n_genes).sum()
    genes, counts = np.empty(limit, np.int32), np.empty(limit, np.int32)
    lengths, used = np.zeros(molecules.size, np.int64), 0
    unit = np.float32(1.0 / (1 << 24))
    for cell in range(molecules.size):
        state = seeds[cell]
        for k in range(4):
            member, chance, other = members[k], tables[k][0], tables[k][1]
            wanted = round(molecules[cell] * shares[cell, k])
            while wanted > 0:
                state += np.uint64(0x9E3779B97F4A7C15)
                bits = _mix(state)
                slot = np.int64(((bits & np.uint64(0xFFFFFFFF)) * np.uint64(member.size)) >> np.uint64(32))
                if np.float32(bits >> shift) * unit >= chance[slot]:
                    slot = np.int64(other[slot])
                gene = member[slot]
                own = _mix(seeds[cell] ^ (np.uint64(gene) * np.uint64(0xD6E8FEB86659FD93)))
                state += np.uint64(0x9E3779B97F4A7C15)
                if np.float32(_mix(state) >> shift) * unit < factor[np.int64(own & np.uint64(255))]:
                    count[gene] += 1
                    seen[np.uint64(gene) >> word_of] |= one << (np.uint64(gene) & bit_of)
                    wanted -= 1
        start = used
        used = _empty(seen, count, used, genes, counts)
        lengths[cell] = used - start
    return lengths, genes[:used].copy(), counts[:used].copy()


@kernel
def _empty(seen, count, used, genes, counts):
    """Write the genes seen in a cell behind the `used` ones, forget them, and return how many are used now."""
    for word in range(seen.size):
        bits = seen[word]
        if bits:
            for bit in range(64):
                if bits >> np.uint64(bit) & np.uint64(1):
                    gene = word * 64 + bit
                    genes[used], counts[used] = gene, count[gene]
                    count[gene] = 0
                    used += 1
            seen[word] = np.uint64(0)
    return used


@kernel
def place(start, lengths, genes, counts, rows, filled, out_genes, out_counts):
    """Copy the cells of one group to their `rows` of the matrix; a row may be filled from two groups."""
    source = 0
    for cell in range(rows.size):
        target = start[rows[cell]] + filled[rows[cell]]
        for i in range(lengths[cell]):
            out_genes[target + i], out_counts[target + i] = genes[source + i], counts[source + i]
        filled[rows[cell]] += lengths[cell]
        source += lengths[cell]


@kernel
def add_repeats(start, genes, counts, rows):
    """Sort each of `rows` by gene and add up repeated genes, in place; return how many genes each keeps."""
    kept = np.zeros(rows.size, np.int64)
    for k in range(rows.size):
        first, last = start[rows[k]], start[rows[k] + 1]
        order = np.argsort(genes[first:last])
        own_genes, own_counts = genes[first:last][order], counts[first:last][order]
        n = 0
        for i in range(order.size):
            if n > 0 and genes[first + n - 1] == own_genes[i]:
                counts[first + n - 1] += own_counts[i]
            else:
                genes[first + n], counts[first + n] = own_genes[i], own_counts[i]
                n += 1
        kept[k] = n
    return kept


@kernel
def close_gaps(start, length, genes, counts):
    """Move every row up to the end of the one before, in place; return the number of values that are left."""
    used = 0
    for row in range(length.size):
        for i in range(start[row], start[row] + length[row]):
            genes[used], counts[used] = genes[i], counts[i]
            used += 1
    return used


@kernel
def log_normalize(indptr, counts, total, out):
    """Fill `out` with the natural log of one plus the counts per 10,000 of each cell."""
    for row in range(indptr.size - 1):
        size = 10_000.0 / max(total[row], 1)
        for i in range(indptr[row], indptr[row + 1]):
            out[i] = np.log1p(counts[i] * size)


def gamma_factors(dispersion: float) -> np.ndarray:
    """Return quantiles of a gamma of mean one and variance `dispersion`, cut at a limit, as chances to keep a draw."""
    middle = (np.arange(FACTORS) + 0.5) / FACTORS
    value = np.minimum(gammaincinv(1 / dispersion, middle) * dispersion, FACTOR_LIMIT)
    return (value / FACTOR_LIMIT).astype(np.float32)
