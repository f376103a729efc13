"""Counts, shares, sizes, times and rates as people read them: one style everywhere, and nothing is rounded to more than
it is. Programs get the plain numbers, in JSON."""

from __future__ import annotations

import math
from decimal import ROUND_CEILING, Context, Decimal

MOST_DECIMALS = 9


def counted(number: int | None) -> str:
    """`12,345`; a dash for unknown."""
    return "–" if number is None else f"{number:,}"


def plural(number: int, word: str, words: str = "") -> str:
    """`1 record`, `12,345 records`. `words`: the plural that is not made with an s."""
    return f"{number:,} {word if number == 1 else words or f'{word}s'}"


def changed(number: int) -> str:
    """How much more or less: `+12`, `-3`."""
    return f"{number:+,}"


def percent(part: float, whole: float = 1) -> str:
    """A share: `0 %`, `12.5 %`, `99.97 %`. As many decimals as it takes: `100 %` is all and `0 %` is nothing."""
    if not whole:
        return "–"
    if part in (0, whole):
        return "100 %" if part else "0 %"
    for decimals in range(1, MOST_DECIMALS):
        text = _trimmed(f"{100 * part / whole:,.{decimals}f}")
        if text not in ("0", "100"):
            return f"{text} %"
    return "under 100 %" if part / whole > 0.5 else "over 0 %"


def percent_above(part: int, whole: int) -> str:
    """The share as a bound that is not exceeded: two digits, rounded up."""
    share = Decimal(100 * part) / Decimal(whole)
    return f"{Context(prec=2, rounding=ROUND_CEILING).create_decimal(share).normalize():f} %"


def size(number: float) -> str:
    """Bytes with a decimal unit: `999 B`, `5.8 MB`, `1.2 GB`."""
    for unit in ("B", "kB", "MB", "GB"):
        text = _trimmed(f"{number:.{0 if unit == 'B' or number >= 100 else 1}f}")
        if text != "1000" and number < 1000:
            return f"{text} {unit}"
        number /= 1000
    return f"{_trimmed(f'{number:,.1f}')} TB"


def duration(seconds: float | None) -> str:
    """`40 ms`, `0.4 s`, `12.8 s`, `1 min 20 s`, `2 h 10 min`, `3 d 4 h`; a dash for unknown."""
    if seconds is None:
        return "–"
    if 0 < seconds < 0.1:
        return f"{math.ceil(1000 * seconds)} ms"
    if (tenths := round(seconds, 1)) < 60:
        return f"{_trimmed(f'{tenths:.1f}')} s"
    if (whole := round(seconds)) < 3600:
        return _two(whole, 60, "min", "s")
    if (minutes := round(seconds / 60)) < 24 * 60:
        return _two(minutes, 60, "h", "min")
    return _two(round(seconds / 3600), 24, "d", "h")


def milliseconds(value: float) -> str:
    """A latency where tenths of a millisecond count: `0.4 ms`, `12.8 ms`."""
    return f"{_trimmed(f'{value:,.1f}')} ms"


def rate(per_second: float) -> str:
    """`15,300/s`, `3.4/s`: three digits, for no rate is steady enough for more."""
    if per_second <= 0:
        return "0/s"
    places = 2 - math.floor(math.log10(per_second))
    return f"{_trimmed(f'{round(per_second, places):,.{max(0, places)}f}')}/s"


def similarity(value: float | None) -> str:
    """A cosine, with enough digits to distinguish a faithful vector from an exact one; empty for unknown."""
    if value is None:
        return ""
    gap = 1 - value
    return f"1 − {gap:.1e}" if 0 < gap < 1e-4 else f"{value:.6g}"


def small(value: float) -> str:
    """A bound or an error in three digits: `0.00123`, `1e-07`."""
    return f"{value:.3g}"


def short(number: int) -> str:
    """A count where there is no room for it, cut to three digits: `999`, `12.3k`, `4M`."""
    for unit, of in (("M", 1_000_000), ("k", 1_000)):
        if number >= of:
            places = max(0, 3 - len(str(number // of)))
            return f"{_trimmed(f'{number * 10**places // of / 10**places:,.{places}f}')}{unit}"
    return str(number)


def _two(number: int, base: int, large: str, little: str) -> str:
    """In two units; a rest of nothing is left out."""
    whole, rest = divmod(number, base)
    return f"{whole:,} {large} {rest} {little}" if rest else f"{whole:,} {large}"


def _trimmed(text: str) -> str:
    """Without the zeros that end its decimals."""
    return text.rstrip("0").rstrip(".") if "." in text else text
