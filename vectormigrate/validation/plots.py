"""Small SVG plots as text: no script, no style of their own beyond the page's CSS classes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from vectormigrate.figures import counted, percent, short, similarity

_WIDTH, _HEIGHT, _LEFT, _BASE = 520, 190, 8, 138


def histogram(bins: Sequence[tuple[float, int]], title: str) -> str:
    """Bars per similarity bin, best first; heights on a log scale so that one bad vector among millions shows."""
    most = max((count for _, count in bins), default=0)
    step = (_WIDTH - 2 * _LEFT) / max(1, len(bins))
    parts = [_head(title)]
    for number, (edge, count) in enumerate(bins):
        height = 0.0 if not count else 8 + 92 * math.log1p(count) / math.log1p(most)
        x = _LEFT + number * step
        kind = "good" if edge >= 1 - 1e-6 else "mid" if edge >= 0.98 else "bad"
        parts.append(
            f'<rect class="{kind}" x="{_at(x + 2)}" y="{_at(_BASE - height)}"'
            f' width="{_at(step - 4)}" height="{_at(height)}">'
            f"<title>{escape(_label(edge))}: {counted(count)}</title></rect>"
        )
        if count:
            parts.append(
                f'<text class="value" x="{_at(x + step / 2)}" y="{_at(_BASE - height - 4)}">{short(count)}</text>'
            )
        parts.append(
            f'<text class="tick" transform="translate({_at(x + step / 2 + 3)} {_BASE + 8}) rotate(40)">'
            f"{escape(_label(edge))}</text>"
        )
    parts.append(f'<line x1="{_LEFT}" x2="{_WIDTH - _LEFT}" y1="{_BASE}" y2="{_BASE}"/></svg>')
    return "".join(parts)


def _label(edge: float) -> str:
    if edge >= 1:
        return "bit-exact"
    gap = 1 - edge
    if gap < 1e-4:
        return f"≥ 1−1e−{round(-math.log10(gap))}"
    return f"≥ {similarity(edge)}"


def overlaps(values: Sequence[float], title: str) -> str:
    """One bar per query, worst first; a full bar is complete agreement of the two answers."""
    ordered = sorted(values)
    step = (_WIDTH - 2 * _LEFT) / max(1, len(ordered))
    parts = [_head(title, 130)]
    for number, value in enumerate(ordered):
        height = 90 * value
        kind = "good" if value >= 0.999 else "mid" if value >= 0.8 else "bad"
        parts.append(
            f'<rect class="{kind}" x="{_at(_LEFT + number * step)}" y="{_at(110 - max(height, 1))}"'
            f' width="{_at(max(step - 1, 0.5))}" height="{_at(max(height, 1))}">'
            f"<title>query {number + 1}: {percent(value)}</title></rect>"
        )
    parts.append(f'<line x1="{_LEFT}" x2="{_WIDTH - _LEFT}" y1="110" y2="110"/>')
    parts.append(f'<line class="faint" x1="{_LEFT}" x2="{_WIDTH - _LEFT}" y1="20" y2="20"/>')
    parts.append(f'<text class="tick" x="{_LEFT}" y="125">worst query</text>')
    parts.append(f'<text class="tick" text-anchor="end" x="{_WIDTH - _LEFT}" y="125">best query</text></svg>')
    return "".join(parts)


def _at(place: float) -> str:
    """A coordinate."""
    return str(round(place, 2))


def _head(title: str, height: int = _HEIGHT) -> str:
    return f'<svg viewBox="0 0 {_WIDTH} {height}" role="img"><title>{escape(title)}</title>'
