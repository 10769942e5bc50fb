# SPDX-License-Identifier: Apache-2.0
"""Ratios of adjacent pairs: A B, B A, A B, ... so that what drifts with time cancels; their median and its interval."""
import math
import statistics


def interval(values, confidence=0.90):
    """Order-statistics interval of the median: holds without any assumption about the distribution."""
    values = sorted(values)
    count = len(values)
    low = 0
    # The largest k with P(fewer than k+1 of n fall below the median) <= (1 - confidence) / 2.
    tail = 0.0
    for k in range(count // 2):
        tail += math.comb(count, k) / 2**count
        if tail > (1 - confidence) / 2:
            break
        low = k
    return values[low], values[count - 1 - low]


def ratios(ours, theirs, pairs, progress=None):
    """[ours/theirs] of `pairs` adjacent pairs, in alternating order. Each is a function to a positive number."""
    out = []
    for number in range(pairs):
        first, second = (ours, theirs) if number % 2 == 0 else (theirs, ours)
        a, b = first(), second()
        out.append(a / b if number % 2 == 0 else b / a)
        if progress:
            progress(number + 1, pairs)
    return out


def figure(name, values, target, against, **facts):
    low, high = interval(values)
    return {"figure": name, "value": round(statistics.median(values), 4), "unit": "ratio", "target": target,
            "better": "less", "against": against, "low": round(low, 4), "high": round(high, 4), "pairs": len(values),
            **facts}
