"""Curves of a log as an SVG: notebooks show it, files keep it, nothing else is needed."""

from __future__ import annotations

import os
from html import escape
from typing import Any, List, Mapping, Sequence, Tuple, Union

from ._errors import ArgumentError

WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 640, 320, 64, 14, 16, 40
COLOURS = ("#d9480f", "#1f6feb", "#2b8a3e", "#862e9c")


class Plot:
    """Numbers of a log's lines over steps; the highest and the lowest are written at the axis."""

    def __init__(self, history: Sequence[Mapping[str, Any]], names: Sequence[str]):
        known = sorted({name for line in history for name in line} - {"step"})
        for name in names:
            if name not in known:
                raise ArgumentError(f"{name}: not in the log, which has {', '.join(known)}")
        self.curves: List[Tuple[str, List[Tuple[float, float]]]] = [
            (name, [(line["step"], line[name]) for line in history if name in line])
            for name in names]

    def __repr__(self) -> str:
        names = ", ".join(name for name, _curve in self.curves)
        return f'<usp.Plot: {names}; .save("curves.svg") writes it>'

    @property
    def svg(self) -> str:
        points = [point for _name, curve in self.curves for point in curve]
        (x0, x1), (y0, y1) = ((min(axis), max(axis)) for axis in zip(*points))
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
            f'width="{WIDTH}" font-family="sans-serif" font-size="12">'
            f'<rect width="100%" height="100%" fill="#fff"/>']

        def x(value: float) -> float:
            return float(LEFT + (value - x0) / max(x1 - x0, 1e-12) * (WIDTH - LEFT - RIGHT))

        def y(value: float) -> float:
            share = (value - y0) / max(y1 - y0, 1e-12)
            return float(HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM))

        for value in (y0, (y0 + y1) / 2, y1):
            parts.append(
                f'<path d="M{LEFT} {y(value):.1f}H{WIDTH - RIGHT}" stroke="#dfe2e8"/>'
                f'<text x="{LEFT - 6}" y="{y(value) + 4:.1f}" text-anchor="end">{value:.4g}</text>')
        for value in (x0, x1):
            anchor = "start" if value == x0 else "end"
            parts.append(
                f'<text x="{x(value):.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="{anchor}">'
                f"{value:g}</text>")
        for index, (name, curve) in enumerate(self.curves):
            colour = COLOURS[index % len(COLOURS)]
            line = " ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in curve)
            parts.append(
                f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>'
                f'<text x="{LEFT + 110 * index}" y="{HEIGHT - 8}" fill="{colour}">'
                f"{escape(name)}</text>")
        return "".join(parts) + "</svg>"

    def _repr_svg_(self) -> str:
        return self.svg

    def save(self, path: "Union[str, os.PathLike[str]]") -> None:
        """Writes the SVG."""
        with open(path, "w", encoding="utf-8") as file:
            file.write(self.svg)
