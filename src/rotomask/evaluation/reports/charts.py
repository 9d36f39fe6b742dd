"""Charts as inline SVG, which need no scripts and no external files."""

import math
from collections.abc import Mapping, Sequence
from html import escape

import numpy as np
import numpy.typing as npt

COLOURS = ("#2f6fed", "#f0a020", "#19a974", "#a463f2", "#e7040f", "#5e7a8c")
"""Colours of the series in order; readable on white and on black."""

ROW_PX, BAR_PX, LABEL_PX, VALUE_PX = 34, 11, 170, 52
BARS_WIDTH_PX = 860
CURVE_SIZE_PX = (260, 110)


def bar_chart(
    rows: Sequence[tuple[str, Sequence[float]]], series: Sequence[str], *, maximum: float = 1.0
) -> str:
    """SVG of horizontal bars, one group per row, each bar with its value.

    Args:
        rows: (label, one value per series); NaN draws no bar.
        series: Names of the values, for the tooltips.
        maximum: The value of a bar of full length.
    """
    height = ROW_PX * len(rows) + 8
    span = BARS_WIDTH_PX - LABEL_PX - VALUE_PX
    parts = [f'<svg class="bars" viewBox="0 0 {BARS_WIDTH_PX} {height}" role="img">']
    # At 0, a quarter, a half, three quarters and the whole of the maximum.
    for tick in range(5):
        x = LABEL_PX + span * tick / 4
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{height}"/>')
    for index, (label, values) in enumerate(rows):
        # The group of bars is centred in its row; 4 px above the first row are left for its grid.
        top = ROW_PX * index + 4 + (ROW_PX - BAR_PX * len(series)) / 2
        middle = ROW_PX * index + 4 + ROW_PX / 2
        parts.append(
            f'<text class="label" x="{LABEL_PX - 10}" y="{middle:.1f}">{escape(label)}</text>'
        )
        for number, (name, value) in enumerate(zip(series, values, strict=True)):
            if math.isnan(value):
                continue
            width = span * min(max(value / maximum, 0), 1)
            y = top + BAR_PX * number
            text = f"{value:.3f}" if maximum <= 1 else f"{value:.1f}"
            parts.append(
                f'<rect x="{LABEL_PX}" y="{y:.1f}" width="{width:.1f}" height="{BAR_PX - 2}" '
                f'rx="2" fill="{COLOURS[number]}"><title>{escape(label)}: {escape(name)} {text}'
                "</title></rect>"
                f'<text class="value" x="{LABEL_PX + width + 5:.1f}" y="{y + BAR_PX - 3:.1f}">'
                f"{text}</text>"
            )
    return "".join([*parts, "</svg>"])


def curve_chart(
    curves: Mapping[str, npt.NDArray[np.float64]],
    frames: Sequence[str],
    *,
    maximum: float = 1.0,
) -> str:
    """SVG of values over frames, one line per series, on an axis from 0 to `maximum`.

    Args:
        curves: Name -> T values; NaN leaves a gap.
        frames: Names of the T frames; the first and the last label the axis.
        maximum: The value at the top of the axis.
    """
    width, height = CURVE_SIZE_PX
    left, top, right, bottom = 26, 6, 6, 16
    across, up = width - left - right, height - top - bottom
    parts = [f'<svg class="curve" viewBox="0 0 {width} {height}" role="img">']
    # SVG counts y downwards, so that a value of 1 is at the top of the box.
    for fraction in (0, 0.5, 1):
        y = top + up * (1 - fraction)
        text = f"{fraction * maximum:g}" if maximum <= 1 else f"{fraction * maximum:.0f}"
        parts.append(f'<line class="grid" x1="{left}" x2="{width - right}" y1="{y}" y2="{y}"/>')
        parts.append(f'<text class="tick" x="{left - 4}" y="{y + 3}">{text}</text>')
    for index, (name, values) in enumerate(curves.items()):
        path = _path(values / maximum, left, top, across, up)
        colour = COLOURS[index % len(COLOURS)]
        parts.append(
            f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="1.6" '
            f'stroke-linejoin="round"><title>{escape(name)}</title></path>'
        )
    if frames:
        y = height - 4
        parts.append(f'<text class="tick start" x="{left}" y="{y}">{escape(frames[0])}</text>')
        parts.append(f'<text class="tick" x="{width - right}" y="{y}">{escape(frames[-1])}</text>')
    return "".join([*parts, "</svg>"])


def legend(series: Sequence[str]) -> str:
    """HTML legend of the series' colours."""
    items = (
        f'<span><i style="background:{COLOURS[i % len(COLOURS)]}"></i>{escape(name)}</span>'
        for i, name in enumerate(series)
    )
    return f'<p class="legend">{"".join(items)}</p>'


def _path(
    values: npt.NDArray[np.float64], left: float, top: float, across: float, up: float
) -> str:
    """SVG path of a curve in a box of `across` × `up` px, with a gap at each NaN."""
    # T values have T - 1 steps between them; a single one would divide by 0.
    steps = max(len(values) - 1, 1)
    commands, pen_down = [], False
    for index, value in enumerate(values):
        if math.isnan(value):
            pen_down = False
            continue
        x, y = left + across * index / steps, top + up * (1 - min(max(float(value), 0), 1))
        commands.append(f"{'L' if pen_down else 'M'}{x:.1f} {y:.1f}")
        pen_down = True
    if len(commands) == 1:  # a single point has no length and would not show
        commands.append("h3")
    return "".join(commands)
