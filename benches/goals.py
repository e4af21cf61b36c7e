"""The goals of the measurements. Compared by hand only (`benches/run.py --check`): times of shared machines vary."""

import sys


def check(table):
    """Prints each goal with what was measured. Returns false if one is missed."""
    met = True
    for about, value, goal, is_met in goals(table):
        met = met and is_met
        print(f"{'met   ' if is_met else 'MISSED'}  {about}: {value} (goal {goal})", file=sys.stderr)
    return met


def goals(table):
    """Returns (what, measured, goal, whether it is met) for all goals whose cases were measured."""

    def row(case, kind, n, tool="reconcile", latency=0, models=1):
        keys = [(case, kind, n, models, latency, tool), (case, kind, n, None, None, tool)]
        return next((table[key] for key in keys if key in table), None)

    def most(about, value, goal, form):
        return (about, form.format(value), "≤ " + form.format(goal), value <= goal)

    def beside_floor(case, kind, n, latency, factor, with_parsing=True):
        own, floor, parsing = (row(case, kind, n, tool, latency) for tool in ("reconcile", "floor", "validate"))
        if own and floor and parsing:
            goal = factor * floor["wall"] + (parsing["wall"] if with_parsing else 0)
            what = f"{case}, {n} {kind}, {latency} ms: {factor} × floor" + (" + parsing" if with_parsing else "")
            yield most(what, own["wall"], goal, "{:.3f} s")

    for (case, kind, n, models, latency, tool), own in table.items():
        floor = table.get((case, kind, n, models, latency, "floor"))
        if floor and tool == "reconcile" and case in ("noop", "models"):
            # The state of the ROMA instance, or the definition of each model.
            extra = 1 if kind == "apps" else models
            yield most(f"{case}, {n} {kind} of {models} models, {latency} ms: calls", own["calls"], floor["calls"] + extra, "{}")
    for kind in ("apps", "instances"):
        yield from beside_floor("noop", kind, 1_000, 20, 1.2)
        yield from beside_floor("percent", kind, 1_000, 20, 1.2)
        yield from beside_floor("all", kind, 1_000, 20, 1.1, with_parsing=False)
        for latency in (0, 20):
            yield from beside_floor("noop", kind, 10_000, latency, 1.5)
        small, large = row("noop", kind, 10_000), row("noop", kind, 100_000)
        if small:
            yield most(f"noop, 10,000 {kind}: memory", small["peak"] / 1e6, 60, "{:.0f} MB")
        if small and large:
            yield most(f"noop, {kind}: growth of time from 10,000 to 100,000", large["wall"] / small["wall"], 10.5, "× {:.1f}")
            yield most(f"noop, {kind}: growth of memory", large["peak"] / small["peak"], 9, "× {:.1f}")
            # Per object beyond its text, of which the peak of the smaller run takes the base away.
            each = (large["peak"] - small["peak"] - (large["bytes"] - small["bytes"])) / 90_000
            yield most(f"noop, {kind}: memory of each object beyond its text", each, 1536, "{:.0f} B")
    few, many = row("models", "instances", 10_000, models=4), row("models", "instances", 10_000, models=400)
    if few and many:
        yield most("400 models instead of 4: processor time", many["cpu"] / few["cpu"], 1.2, "× {:.2f}")
    for kind, goal in (("process templates", 6 * 1024), ("modules", 1536), ("associations", 1536)):
        small, large = row("memory", kind, 1_000), row("memory", kind, 10_000)
        if small and large:
            beyond = 0 if kind == "process templates" else large["bytes"] - small["bytes"]
            each = (large["peak"] - small["peak"] - beyond) / 9_000
            yield most(f"{kind} in sync: memory of each", each, goal, "{:.0f} B")
    for tool in ("reconcile, one core", "reconcile"):
        own = row("validate", "instances", 100_000, tool)
        if own:
            rate = own["bytes"] / own["wall"] / 1e6
            yield (f"validate of 100,000 documents ({tool})", f"{rate:.1f} MB/s", "≥ 25 MB/s", rate >= 25)
            yield most(f"validate of 100,000 documents ({tool}): memory", own["peak"] / 1e6, 150, "{:.0f} MB")
    start = row("start", "instances", 1)
    if start:
        yield most("plan of one object, start to end", start["wall"] * 1e3, 5, "{:.1f} ms")
    for n in (10_000, 100_000):
        watch = row("watch", "instances", n)
        if watch:
            yield most(f"watch, {n} objects: file saved → first write, p99", watch["p99"] * 1e3, 300, "{:.0f} ms")
    creates = row("creates", "apps", 1_000)
    if creates:
        yield most("1,000 creates of apps: calls", creates["calls"], 1_002, "{}")
