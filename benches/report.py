#!/usr/bin/env python3
"""Draws the plots and writes the tables of `docs/src/performance.md` from `benches/results/latest.json`.

    benches/report.py           writes them anew
    benches/report.py --check   ends with 1 where what is there does not belong to these results
"""

import argparse
import json
import math
import pathlib
import re

import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "benches"))

from run import medians  # noqa: E402

RESULTS = ROOT / "benches/results/latest.json"
BOOK = ROOT / "docs/src"
PAGE = BOOK / "performance.md"
BEGIN, END = "<!-- measured -->", "<!-- measured: end -->"
# The tools of a plot, in the order of their names beside it, each with its colour.
TOOLS = {
    "floor": ("floor", "#57606a"),
    "validate": ("loading alone", "#bf8700"),
    "reconcile": ("reconcile", "#0969da"),
    "python": ("Python client", "#8250df"),
    "ansible": ("Ansible", "#cf222e"),
    "opentofu": ("OpenTofu", "#1a7f37"),
}
PEERS = ["python", "ansible", "opentofu"]
CASES = {"noop": "nothing differs", "percent": "1 % differ", "all": "all differ", "creates": "all are missing"}
WIDTH, HEIGHT = 400, 300
LEFT, RIGHT, TOP, BOTTOM = 82, 16, 34, 44


class Axis:
    """A logarithmic axis from one power of ten to another."""

    def __init__(self, values, start, end):
        self.low = math.floor(math.log10(min(values)) + 1e-9)
        self.high = max(math.ceil(math.log10(max(values)) - 1e-9), self.low + 1)
        self.start, self.end = start, end

    def at(self, value):
        share = (math.log10(value) - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    def ticks(self):
        return [10.0**power for power in range(self.low, self.high + 1)]


def short(value):
    """Returns a power of ten as a reader writes it."""
    return f"{value:,.0f}" if value >= 1 else f"{value:g}"


def panel(title, series, unit, x, y_values):
    """Draws one plot: series are (tool, [(n, value)])."""
    across = Axis([n for _, points in series for n, _ in points], x + LEFT, x + WIDTH - RIGHT)
    up = Axis(y_values, HEIGHT - BOTTOM, TOP)
    out = [f'<text x="{x + LEFT}" y="20" font-weight="bold">{title}</text>']
    for tick in across.ticks():
        at = across.at(tick)
        out.append(f'<line x1="{at:.1f}" y1="{TOP}" x2="{at:.1f}" y2="{HEIGHT - BOTTOM}" stroke="#d0d7de"/>')
        out.append(f'<text x="{at:.1f}" y="{HEIGHT - BOTTOM + 17}" text-anchor="middle">{short(tick)}</text>')
    for tick in up.ticks():
        at = up.at(tick)
        out.append(f'<line x1="{x + LEFT}" y1="{at:.1f}" x2="{x + WIDTH - RIGHT}" y2="{at:.1f}" stroke="#d0d7de"/>')
        out.append(f'<text x="{x + LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{short(tick)} {unit}</text>')
    out.append(f'<text x="{x + (LEFT + WIDTH - RIGHT) / 2:.1f}" y="{HEIGHT - 8}" text-anchor="middle">objects</text>')
    for tool, points in series:
        colour = TOOLS[tool][1]
        places = [(across.at(n), up.at(value)) for n, value in points]
        line = " ".join(f"{left:.1f},{top:.1f}" for left, top in places)
        out.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        out += [f'<circle cx="{left:.1f}" cy="{top:.1f}" r="3" fill="{colour}"/>' for left, top in places]
    return out


def plot(table, name, unit, about):
    """Returns a picture with one plot for apps and one for instances, on the same scale."""
    panels = {}
    for kind in ("apps", "instances"):
        series = []
        for tool in TOOLS:
            points = sorted(
                (n, name(row)) for (case, of, n, _, latency, by), row in table.items()
                if (case, of, latency, by) == ("noop", kind, 0, tool)
            )
            if points:
                series.append((tool, points))
        if series:
            panels[kind] = series
    values = [value for series in panels.values() for _, points in series for _, value in points]
    width = WIDTH * len(panels) + 120
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{HEIGHT}" role="img" aria-label="{about}">',
        '<rect width="100%" height="100%" fill="#ffffff"/>',
        '<g font-family="system-ui, sans-serif" font-size="12" fill="#1f2328">',
    ]
    for index, (kind, series) in enumerate(panels.items()):
        out += panel(f"Plan of {kind} in sync: {about}", series, unit, index * WIDTH, values)
    used = [tool for tool in TOOLS if any(tool == by for series in panels.values() for by, _ in series)]
    for index, tool in enumerate(used):
        label, colour = TOOLS[tool]
        top = TOP + 12 + index * 20
        out.append(f'<circle cx="{WIDTH * len(panels) + 8}" cy="{top - 4}" r="4" fill="{colour}"/>')
        out.append(f'<text x="{WIDTH * len(panels) + 18}" y="{top}">{label}</text>')
    return "\n".join([*out, "</g>", "</svg>", ""])


def seconds(value):
    return f"{value:.3f}" if value < 10 else f"{value:.1f}"


def against_floor(table):
    """Returns a table with a line for each case that the floor took too."""
    lines = [
        "| what | objects | latency | floor: s, calls | loading: s | reconcile: s, calls | × (floor + loading) "
        "| processor time of an object | peak memory |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for (case, kind, n, models, latency, tool), row in table.items():
        if tool != "reconcile" or case not in CASES:
            continue
        floor, loading = (table.get((case, kind, n, models, latency, by)) for by in ("floor", "validate"))
        least = floor["wall"] + (loading["wall"] if loading else 0)
        lines.append(
            f"| {kind}: {CASES[case]} | {n:,} | {latency} ms | {seconds(floor['wall'])}, {floor['calls']:,} "
            f"| {seconds(loading['wall']) if loading else '–'} | {seconds(row['wall'])}, {row['calls']:,} "
            f"| {row['wall'] / least:.1f} | {row['cpu'] / n * 1e6:.0f} µs | {row['peak'] / 1e6:.0f} MB |"
        )
    return lines


def others(table):
    """Returns a table of what has no floor."""
    lines = ["| what | measured |", "|---|---|"]
    for (case, kind, n, models, _, tool), row in table.items():
        text = None
        if case == "validate" and tool == "reconcile":
            text = f"{row['wall']:.2f} s, {row['bytes'] / row['wall'] / 1e6:.1f} MB/s, {row['peak'] / 1e6:.0f} MB of memory"
            what = f"`validate` of {n:,} documents ({row['bytes'] / 1e6:.0f} MB)"
        elif case == "validate" and tool == "reconcile, one core":
            text = f"{row['wall']:.2f} s, {row['bytes'] / row['wall'] / 1e6:.1f} MB/s"
            what = f"the same of {n:,} on one core"
        elif case == "start" and tool in ("reconcile", "version"):
            text = f"{row['wall'] * 1e3:.1f} ms"
            what = "`plan` of one object, from start to end" if tool == "reconcile" else "`version`, from start to end"
        elif case == "models" and tool == "reconcile":
            text = f"{row['cpu']:.2f} s of processor time, {row['calls']:,} calls"
            what = f"plan of {n:,} instances of {models} models"
        elif case == "memory":
            text = f"{row['wall']:.2f} s, {row['peak'] / 1e6:.0f} MB of memory"
            what = f"plan of {n:,} {kind} in sync"
        elif case == "watch":
            text = f"median {row['wall'] * 1e3:.0f} ms, 99 % within {row['p99'] * 1e3:.0f} ms; {row['calls']:,} calls"
            what = f"`watch` of {n:,} objects: from a saved file to the first write"
        if text:
            lines.append(f"| {what} | {text} |")
    return lines


def peers(table):
    """Returns a table of other tools on the same work, and which were not there."""
    there = [peer for peer in PEERS if any(key[5] == peer for key in table)]
    lines = []
    if there:
        lines += ["| what | objects | latency | tool | s | processor time | calls | peak memory | its time : that of reconcile |"]
        lines += ["|---|---|---|---|---|---|---|---|---|"]
    for (case, kind, n, models, latency, tool), row in table.items():
        own = table.get((case, kind, n, models, latency, "reconcile"))
        if tool in there and own:
            lines.append(
                f"| {kind}: {CASES[case]} | {n:,} | {latency} ms | {TOOLS[tool][0]} | {seconds(row['wall'])} "
                f"| {row['cpu']:.2f} s | {row['calls']:,} | {row['peak'] / 1e6:.0f} MB | {row['wall'] / own['wall']:.0f} × |"
            )
    absent = [TOOLS[peer][0] for peer in PEERS if peer not in there]
    if absent:
        lines += ([""] if lines else []) + [f"Not measured, because not installed on that machine: {', '.join(absent)}."]
    return lines


def measured(head, table):
    """Returns what stands between the marks of the page."""
    machine = f"{head['cores']} cores ({head['processor']}), {head['system']}"
    lines = [f"Commit {head['commit']}, {head['time'][:10]}, {machine}. Medians."]
    if head.get("note"):
        lines[0] += f" {head['note']}"
    lines += ["", *against_floor(table), "", *others(table), "", *peers(table)]
    return "\n".join(lines)


def made(results):
    """Returns the text of each file that follows from the results."""
    table = medians(results["runs"])
    page = PAGE.read_text()
    marks = re.compile(f"(?<={re.escape(BEGIN)}\n).*?(?=\n{re.escape(END)})", re.DOTALL)
    return {
        BOOK / "performance-time.svg": plot(table, lambda row: row["wall"], "s", "time"),
        BOOK / "performance-memory.svg": plot(table, lambda row: row["peak"] / 1e6, "MB", "memory"),
        PAGE: marks.sub(lambda _: measured(results, table), page),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    arguments = parser.parse_args()
    wrong = []
    for path, text in made(json.loads(RESULTS.read_text())).items():
        if arguments.check:
            if not path.exists() or path.read_text() != text:
                wrong.append(str(path.relative_to(ROOT)))
        else:
            path.write_text(text)
    if wrong:
        raise SystemExit(f"not what benches/report.py makes of benches/results/latest.json: {', '.join(wrong)}")


if __name__ == "__main__":
    main()
