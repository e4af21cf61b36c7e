#!/usr/bin/env python3
"""Measures the program against the floor: the same work with the fewest calls (`benches/floor`).

Run by hand, on a machine that does nothing else: `just bench`, or, behind a `cargo build --release`,

    benches/run.py --cases noop,validate --sizes 1000,10000 --runs 5

The tools of a case take turns, run by run, so that a noisy minute meets all of them. Printed are medians, and ratios
within this run. `benches/results/` keeps each single run; `benches/plots.py` draws it. `--check` compares with the goals
and ends with 1 where one is missed. Times of different days or machines cannot be compared; ratios can, more or less.
"""

import argparse
import datetime
import hashlib
import json
import os
import pathlib
import platform
import re
import shutil
import statistics
import subprocess
import sys
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "benches"))

import goals  # noqa: E402
from peers import peers  # noqa: E402
import sandbox_states  # noqa: E402

SECRET = "a-long-secret-of-the-floor"
KINDS = ["apps", "instances"]
# A case of the table: what of the world differs from the manifests, and the command that finds or mends it.
CHANGED = {"noop": "none", "percent": "percent", "all": "all", "creates": "missing"}
CASES = ["noop", "percent", "all", "models", "creates", "validate", "start", "memory", "watch"]


class Bench:
    """The programs, the directories, and what was measured so far."""

    def __init__(self, arguments):
        self.arguments = arguments
        self.program = str(pathlib.Path(arguments.program).resolve())
        self.floor = str(ROOT / "target/floor/release/floor")
        self.work = pathlib.Path(arguments.work)
        self.work.mkdir(parents=True, exist_ok=True)
        self.rows = []
        os.environ["FLOOR_SECRET"] = SECRET
        self.launcher = subprocess.Popen(
            [self.floor, "measure"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        # A server is another process, and its first world is a small one.
        self.server = subprocess.Popen(
            [self.floor, "serve", "--kind", "apps", "--n", "1"],
            stdout=subprocess.PIPE,
            stderr=open(self.work / "server.log", "w"),
            text=True,
        )
        self.endpoint = self.server.stdout.readline().split()[-1]
        self.directories = {}

    def close(self):
        self.launcher.stdin.close()
        self.launcher.wait()
        self.server.terminate()
        self.server.wait()

    def ask(self, path):
        with urllib.request.urlopen(self.endpoint + path, timeout=60) as answer:
            return json.load(answer)

    def world(self, kind, n, changed="none", models=1, latency=0):
        query = f"kind={kind}&n={n}&models={models}&changed={changed}&latency-ms={latency}"
        return self.ask(f"/_stub/world?{query}")

    def manifests(self, kind, n, models=1, ensure=""):
        """Returns the directory of these manifests, and how many bytes they have."""
        key = (kind, n, models, ensure)
        if key not in self.directories:
            into = self.work / f"{kind}-{n}-{models}{ensure and '-' + ensure}"
            shutil.rmtree(into, ignore_errors=True)
            command = [self.floor, "files", "--into", str(into), "--kind", kind, "--n", str(n)]
            command += ["--models", str(models), "--endpoint", self.endpoint]
            subprocess.run(command + (["--ensure", ensure] if ensure else []), check=True)
            size = sum(file.stat().st_size for file in into.glob("0*.yaml"))
            self.directories[key] = (into, size)
        return self.directories[key]

    def measure(self, command, directory=None, codes=(0,)):
        """Runs a command and returns what it cost."""
        stdout, stderr = str(self.work / "stdout"), str(self.work / "stderr")
        job = {"command": command, "directory": str(directory or self.work), "stdout": stdout, "stderr": stderr}
        self.launcher.stdin.write(json.dumps(job) + "\n")
        self.launcher.stdin.flush()
        cost = json.loads(self.launcher.stdout.readline())
        if cost["code"] not in codes:
            error = "".join(pathlib.Path(file).read_text()[-2000:] for file in (stdout, stderr))
            raise SystemExit(f"{' '.join(command)} ended with {cost['code']}:\n{error}")
        return cost

    def note(self, cost, **about):
        row = about | {name: cost[name] for name in ("wall", "user", "system", "peak") if name in cost}
        row |= {name: cost[name] for name in cost.keys() - row.keys() - {"code"}}
        self.rows.append(row)

    def apply_flags(self):
        state = self.work / "state"
        shutil.rmtree(state, ignore_errors=True)
        return ["--auto-approve", "--quiet", "--state-dir", str(state)]

    def command(self, tool, case, kind, n, models, directory):
        if tool == "floor":
            doing = "plan" if case in ("noop", "models") else "apply"
            command = [self.floor, "run", "--kind", kind, "--n", str(n), "--models", str(models)]
            return command + ["--endpoint", self.endpoint, "--do", doing]
        if tool == "validate":
            return [self.program, "validate", str(directory)]
        if tool in peers.NAMES:
            return peers.command(tool, self, case, kind, n)
        if case in ("noop", "models"):
            # With this flag, a plan that sees a change where there is none ends with 2, and is no measurement.
            return [self.program, "plan", "--detailed-exitcode", "--quiet", str(directory)]
        return [self.program, "apply", *self.apply_flags(), str(directory)]

    def turns(self, case, kind, n, models=1, latency=0, tools=("floor", "validate", "reconcile")):
        """Runs the tools of a case in turn, as often as asked."""
        changed = CHANGED.get(case, "none")
        directory, size = self.manifests(kind, n, models, "present" if case == "creates" else "")
        for run in range(self.runs(n)):
            for tool in tools:
                command = self.command(tool, case, kind, n, models, directory)
                if tool != "validate":
                    self.world(kind, n, changed, models, latency)
                cost = self.measure(command)
                if tool != "validate":
                    report = self.ask("/_stub/report")
                    if not report["as_declared"] or report["refused"]:
                        raise SystemExit(f"{tool}, {case} of {n} {kind}: the end state is not as declared: {report}")
                    cost |= {"calls": report["calls"], "by_operation": report["by_operation"]}
                self.note(cost, case=case, kind=kind, n=n, models=models, latency=latency, tool=tool, run=run, bytes=size)

    def runs(self, n):
        return self.arguments.runs or (5 if n <= 1_000 else 3)

    # The cases.

    def noop(self):
        self.table("noop")

    def percent(self):
        self.table("percent")

    def all(self):
        self.table("all")

    def table(self, case):
        for n in self.arguments.sizes:
            # Each object is a call: a long run with latency says nothing that a shorter one does not.
            latencies = [ms for ms in self.arguments.latencies if not (case == "all" and ms and n > 1_000)]
            for kind in KINDS:
                there = [peer for peer in self.arguments.peers if kind in peers.kinds(peer) and n <= peers.MOST]
                for latency in latencies:
                    # The peers write one object after the other: that of all says nothing that 1 % does not.
                    also = there if case != "all" else []
                    self.turns(case, kind, n, latency=latency, tools=("floor", "validate", "reconcile", *also))

    def models(self):
        for models in (4, 400):
            self.turns("models", "instances", 10_000, models=models)

    def creates(self):
        for latency in self.arguments.latencies:
            self.turns("creates", "apps", 1_000, latency=latency, tools=("floor", "reconcile"))

    def validate(self):
        for n in self.arguments.sizes:
            directory, size = self.manifests("instances", n)
            for run in range(self.runs(n)):
                for tool, before in (("reconcile", []), ("reconcile, one core", ["taskset", "-c", "0"])):
                    cost = self.measure([*before, self.program, "validate", str(directory)])
                    self.note(cost, case="validate", kind="instances", n=n, tool=tool, run=run, bytes=size)

    def start(self):
        """A process from its start to its end."""
        directory, _ = self.manifests("instances", 1)
        self.world("instances", 1)
        commands = {
            "floor": self.command("floor", "noop", "instances", 1, 1, directory),
            "validate": [self.program, "validate", str(directory)],
            "version": [self.program, "version"],
            "reconcile": self.command("reconcile", "noop", "instances", 1, 1, directory),
        }
        for run in range(40):
            for tool, command in commands.items():
                self.note(self.measure(command), case="start", kind="instances", n=1, tool=tool, run=run)

    def memory(self):
        """Plans of kinds that only the sandbox knows: what of the peak each object adds."""
        for kind, state in sandbox_states.STATES.items():
            for n in [size for size in (1_000, 10_000) if size <= max(self.arguments.sizes)]:
                directory = self.work / f"{kind}-{n}"
                shutil.rmtree(directory, ignore_errors=True)
                directory.mkdir()
                size = state(directory, n)
                command = [self.program, "sandbox", "--listen", "127.0.0.1:0", "--state", str(directory / "state.json")]
                sandbox = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
                try:
                    address = sandbox.stdout.readline().split()[-1]
                    sandbox_states.configuration(directory, address)
                    for run in range(self.runs(n)):
                        cost = self.measure([self.program, "plan", "--detailed-exitcode", str(directory / "manifests")])
                        self.note(cost, case="memory", kind=kind, n=n, tool="reconcile", run=run, bytes=size)
                finally:
                    sandbox.terminate()
                    sandbox.wait()

    def watch(self):
        for n in [size for size in self.arguments.sizes if size >= 10_000]:
            self.watch_of(n, saves=self.arguments.runs or (50 if n <= 10_000 else 20))

    def watch_of(self, n, saves):
        directory, size = self.manifests("instances", n, models=4)
        self.world("instances", n, models=4)
        log = self.work / "watch.log"
        state = self.work / "watch-state"
        shutil.rmtree(state, ignore_errors=True)
        command = [self.program, "watch", "--listen", "127.0.0.1:0", "--state-dir", str(state), str(directory)]
        agent = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=open(log, "w"))
        try:
            wait(lambda: self.is_ready(log), 600)
            files = sorted(directory.glob("0*.yaml"))
            for save in range(saves):
                file = files[save % len(files)]
                text = file.read_text()
                start = text.index("owner: ") + len("owner: ")
                end = text.index("\n", start)
                edited = f'{text[:start]}"saved {save}"{text[end:]}'
                self.ask("/_stub/clear")
                file.write_text(edited)
                saved = time.time()
                report = wait(lambda: (r := self.ask("/_stub/report?brief"))["first_write"] and r, 120)
                wait(self.is_quiet, 120)
                report |= self.ask("/_stub/report?brief")
                peak = int(field(f"/proc/{agent.pid}/status", "VmHWM:")) * 1024
                self.note(
                    {"wall": report["first_write"] - saved, "peak": peak, "calls": report["calls"]},
                    case="watch", kind="instances", n=n, tool="reconcile", run=save, bytes=size,
                    to_first_read=report["first_read"] - saved,
                )
        finally:
            agent.terminate()
            agent.wait()
            # The files were edited: others are to see those that belong to the world.
            self.directories.pop(("instances", n, 4, ""))

    def is_ready(self, log):
        line = next((line for line in log.read_text().splitlines() if "listening on http://" in line), None)
        if line is None:
            return False
        try:
            address = line[line.index("http://"):].split()[0]
            with urllib.request.urlopen(address + "/readyz", timeout=60) as answer:
                return answer.status == 200
        except OSError:
            return False

    def is_quiet(self):
        """Returns true if no call comes any more."""
        before = self.ask("/_stub/report?brief")["calls"]
        time.sleep(0.4)
        return self.ask("/_stub/report?brief")["calls"] == before


def wait(condition, seconds):
    end = time.monotonic() + seconds
    while not (result := condition()):
        if time.monotonic() > end:
            raise SystemExit(f"nothing happened for {seconds} s")
        time.sleep(0.02)
    return result


def field(path, name):
    for line in pathlib.Path(path).read_text().splitlines():
        if line.startswith(name):
            return line[len(name):].split()[0]
    raise SystemExit(f"{path} has no {name}")


def about(arguments):
    def said(*command):
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
        return done.stdout.strip() or None

    # The program names the commit that it was built from; the tree may have moved on.
    version = said(arguments.program, "version")
    built = re.search(r"\(([0-9a-f]{7})", version or "")
    processor = None
    if os.path.exists("/proc/cpuinfo"):
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
        processor = next((line.split(": ", 1)[1] for line in lines if line.startswith("model name")), None)
    return {
        "time": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "commit": built[1] if built else said("git", "rev-parse", "--short=7", "HEAD"),
        "version": version,
        "program": hashlib.sha256(pathlib.Path(arguments.program).read_bytes()).hexdigest()[:16],
        "system": f"{platform.system()} {platform.machine()}",
        "processor": processor,
        "cores": os.cpu_count(),
    } | ({"note": arguments.note} if arguments.note else {})


def medians(rows):
    """Returns the medians of each case and tool."""
    groups = {}
    for row in rows:
        groups.setdefault(series(row), []).append(row)
    result = {}
    for key, group in groups.items():
        cpu = [row["user"] + row["system"] for row in group if "user" in row]
        walls = sorted(row["wall"] for row in group)
        result[key] = {
            "wall": statistics.median(walls),
            "least": walls[0],
            "p99": walls[min(len(walls) - 1, int(len(walls) * 0.99))],
            "cpu": statistics.median(cpu) if cpu else None,
            "peak": statistics.median(row["peak"] for row in group),
            "calls": statistics.median_low(row["calls"] for row in group) if "calls" in group[0] else None,
            "bytes": group[0].get("bytes"),
        }
    return result


def print_table(rows):
    print(f"{'case':9} {'kind':17} {'n':>7} {'ms':>3} {'models':>6} {'tool':20} {'median s':>9} {'least':>8} {'p99':>8} "
          f"{'× floor':>8} {'CPU s':>8} {'µs/object':>9} {'peak MB':>8} {'calls':>7} {'MB/s':>6}")
    table = medians(rows)
    for key, row in table.items():
        case, kind, n, models, latency, tool = key
        floor = table.get((case, kind, n, models, latency, "floor"))
        ratio = f"{row['wall'] / floor['wall']:8.2f}" if floor and tool == "reconcile" else " " * 8
        cpu = f"{row['cpu']:8.3f} {row['cpu'] / n * 1e6:9.1f}" if row["cpu"] is not None else " " * 18
        calls = f"{row['calls']:7}" if row["calls"] is not None else " " * 7
        rate = f"{row['bytes'] / row['wall'] / 1e6:6.1f}" if case == "validate" or tool == "validate" and row["bytes"] else ""
        print(f"{case:9} {kind:17} {n:7} {latency or 0:3} {models or 1:6} {tool:20} {row['wall']:9.4f} {row['least']:8.4f} {row['p99']:8.4f} "
              f"{ratio} {cpu} {row['peak'] / 1e6:8.1f} {calls} {rate}")


def series(row):
    """Returns what a median is taken over: all runs of a tool in a case."""
    return tuple(row.get(name) for name in ("case", "kind", "n", "models", "latency", "tool"))


def write(path, head, rows):
    """Writes the runs. Cases that were measured before with the same program are kept."""
    if path.exists():
        before = json.loads(path.read_text())
        if before.get("program") == head["program"]:
            anew = {series(row) for row in rows}
            rows = [row for row in before["runs"] if series(row) not in anew] + rows
            rows.sort(key=lambda row: CASES.index(row["case"]))
    lines = ",\n".join("    " + json.dumps(row, ensure_ascii=False) for row in rows)
    text = json.dumps(head, ensure_ascii=False, indent=2)[:-2]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'{text},\n  "runs": [\n{lines}\n  ]\n}}\n')


def numbers(text):
    return [int(word) for word in text.split(",")]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", default=",".join(CASES), help="of " + ", ".join(CASES))
    parser.add_argument("--sizes", type=numbers, default=[1_000, 10_000, 100_000])
    parser.add_argument("--latencies", type=numbers, default=[0, 20], help="of the server, in milliseconds")
    parser.add_argument("--runs", type=int, help="of each tool; by default 5, and 3 above 1,000 objects. Saves of `watch`: 50, and 20 of 100,000")
    parser.add_argument("--program", default=str(ROOT / "target/release/reconcile"))
    parser.add_argument("--work", default=str(ROOT / "target/bench"), help="where the manifests are written")
    parser.add_argument("--out", help="where the single runs are written, such as benches/results/latest.json")
    parser.add_argument("--peers", type=lambda text: text.split(","), default=[], help="other tools: " + ", ".join(peers.NAMES))
    parser.add_argument("--note", help="what a reader of the results has to know")
    parser.add_argument("--check", action="store_true", help="compare with the goals")
    arguments = parser.parse_args()
    cases = arguments.cases.split(",")
    if unknown := set(cases) - set(CASES):
        parser.error(f"no such case: {', '.join(sorted(unknown))}")
    build = ["cargo", "build", "--release", "--locked", "--quiet", "--manifest-path", "benches/floor/Cargo.toml"]
    subprocess.run([*build, "--target-dir", "target/floor"], check=True, cwd=ROOT)
    bench = Bench(arguments)
    try:
        for case in cases:
            print(f"measuring: {case}", file=sys.stderr)
            getattr(bench, case)()
    finally:
        bench.close()
        if arguments.out and bench.rows:
            write(pathlib.Path(arguments.out), about(arguments), bench.rows)
    print_table(bench.rows)
    if arguments.check and not goals.check(medians(bench.rows)):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
