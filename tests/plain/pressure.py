"""Pressure stall information, plainly: period by period, from a list of stalls, as kernel/sched/psi.c does it.

Written from the kernel's source, beside :mod:`sim.guest.pressure`: every period on its own, whoever looks.
"""

from __future__ import annotations

FIXED_1 = 2048
PERIOD_US = 2 * 1_000_000 + 4_000
EXPONENTS = {10: 1677, 60: 1981, 300: 2034}


def calc_load(load: int, exponent: int, active: int) -> int:
    """One step of a running average."""
    new = load * exponent + active * (FIXED_1 - exponent)
    if active >= load:
        new += FIXED_1 - 1
    return new // FIXED_1


def fixed_power(x: int, n: int) -> int:
    """``x`` to the power of ``n`` in fixed point, rounded at every step as the kernel rounds it."""
    result = FIXED_1
    while n:
        if n % 2:
            result = (result * x + FIXED_1 // 2) // FIXED_1
        n //= 2
        if n:
            x = (x * x + FIXED_1 // 2) // FIXED_1
    return result


def averages(stalled: list[int]) -> dict[int, str]:
    """What is shown after periods in which somebody waited for so many microseconds.

    The clock stops with the first period without a stall, and is caught up on with the next one, or for who looks.
    """
    shown = {}
    for window, exponent in EXPONENTS.items():
        average = missed = 0
        for time in stalled:
            if time == 0:
                missed += 1
                continue
            if missed:
                average = calc_load(average, fixed_power(exponent, missed), 0)
                missed = 0
            average = calc_load(average, exponent, time * 100 // PERIOD_US * FIXED_1)
        if missed:
            average = calc_load(average, fixed_power(exponent, missed), 0)
        shown[window] = f"{average // FIXED_1}.{average % FIXED_1 * 100 // FIXED_1:02}"
    return shown


def spent(stalls: list[tuple[int, int]], until: int) -> list[tuple[int, int]]:
    """When somebody waits, as (from, to): one stall after the other, each when it was caused or the one before ends."""
    waits, free = [], 0
    for caused, lasts in stalls:
        start = max(free, caused)
        free = start + lasts
        if lasts and start < until:
            waits.append((start, min(free, until)))
    return waits


def by_period(waits: list[tuple[int, int]], until: int) -> list[int]:
    """How long somebody waits in each whole period until then."""
    periods = []
    for number in range(until // PERIOD_US):
        start, end = number * PERIOD_US, (number + 1) * PERIOD_US
        periods.append(sum(max(0, min(to, end) - max(since, start)) for since, to in waits))
    return periods
