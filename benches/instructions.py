#!/usr/bin/env python3
"""Counts the instructions of load, plan and a 1 % apply with valgrind: repeatable where times are not.

Without a flag it compares with `benches/instructions.json` and ends with 1 where a count is more than 5 % above it.
Whoever means to raise one changes that file in the same commit: `just instructions`.

Only the program is counted. The server is another process (`benches/floor`), every run starts from the same state, and
nothing of the machine's environment reaches the program.
"""

import argparse
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
BASELINE = ROOT / "benches/instructions.json"
# How far above the baseline a count may be. Hash seeds and the order of threads move it by much less.
MARGIN = 0.05
_PLAN = ["plan", "--detailed-exitcode", "--quiet"]
_APPLY = ["apply", "--auto-approve", "--quiet"]
# What is counted: the command, the kind, and what of the live state differs.
COUNTS = {
    "load": (["validate"], "instances", "none"),
    "plan of instances": (_PLAN, "instances", "none"),
    "plan of apps": (_PLAN, "apps", "none"),
    "apply of 1 %, instances": (_APPLY, "instances", "percent"),
    "apply of 1 %, apps": (_APPLY, "apps", "percent"),
}


def compare(baseline, counts, margin=MARGIN):
    """Returns a line for each count, and whether all are within the margin."""
    lines, is_fine = [], True
    for name in sorted(baseline.keys() | counts.keys()):
        before, now = baseline.get(name), counts.get(name)
        if before is None or now is None:
            lines.append(f"FAILED  {name}: in the baseline {before}, counted {now}")
            is_fine = False
            continue
        change = now / before - 1
        is_more = change > margin
        is_fine = is_fine and not is_more
        word = "FAILED" if is_more else "better" if change < -margin else "ok    "
        lines.append(f"{word}  {name}: {now:,} instructions, {change:+.1%} of {before:,}")
    return lines, is_fine


class Counter:
    def __init__(self, program, n, work):
        self.program, self.n, self.work = str(pathlib.Path(program).resolve()), n, pathlib.Path(work)
        shutil.rmtree(self.work, ignore_errors=True)
        self.work.mkdir(parents=True)
        self.floor = str(ROOT / "target/floor/release/floor")
        self.server = subprocess.Popen(
            [self.floor, "serve", "--kind", "instances", "--n", str(n)], stdout=subprocess.PIPE, text=True
        )
        self.endpoint = self.server.stdout.readline().split()[-1]
        for kind in ("instances", "apps"):
            into = str(self.work / kind)
            command = [self.floor, "files", "--into", into, "--kind", kind, "--n", str(n), "--endpoint", self.endpoint]
            subprocess.run(command, check=True)

    def close(self):
        self.server.terminate()
        self.server.wait()

    def ask(self, path):
        with urllib.request.urlopen(self.endpoint + path, timeout=60) as answer:
            return json.load(answer)

    def count(self, arguments, kind, changed):
        self.ask(f"/_stub/world?kind={kind}&n={self.n}&changed={changed}")
        state = self.work / "state"
        shutil.rmtree(state, ignore_errors=True)
        (self.work / "no-certificates").mkdir(exist_ok=True)
        environment = {
            "RECONCILE_STATE_DIR": str(state), "PATH": "/usr/bin:/bin", "HOME": str(self.work), "LANG": "C.UTF-8", "TZ": "UTC", "FLOOR_SECRET": "a-long-secret",
            # Opening the machine's own certificates costs as many instructions as it has certificates.
            "SSL_CERT_DIR": str(self.work / "no-certificates"), "SSL_CERT_FILE": "/dev/null",
        }
        valgrind = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
        command = [*valgrind, self.program, *arguments, str(self.work / kind)]
        # Where there are more cores, there are more threads, and each costs something.
        cores = sorted(os.sched_getaffinity(0))[:2]
        done = subprocess.run(
            command, env=environment, cwd=self.work, capture_output=True, text=True,
            preexec_fn=lambda: os.sched_setaffinity(0, cores),
        )
        collected = re.search(r"Collected : (\d+)", done.stderr)
        if done.returncode != 0 or collected is None:
            raise SystemExit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr[-3000:]}")
        if arguments[0] != "validate":
            report = self.ask("/_stub/report")
            if not report["as_declared"] or report["refused"]:
                raise SystemExit(f"{arguments[0]}: the end state is not as declared: {report}")
        return int(collected[1])

    def all(self):
        counts = {}
        for name, (arguments, kind, changed) in COUNTS.items():
            counts[name] = self.count(arguments, kind, changed)
            print(f"{name}: {counts[name]:,}", file=sys.stderr, flush=True)
        return counts


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default=str(ROOT / "target/release/reconcile"))
    parser.add_argument("--work", default=str(ROOT / "target/instructions"))
    parser.add_argument("--baseline", default=str(BASELINE))
    parser.add_argument("--write", action="store_true", help="write the baseline instead of comparing with it")
    parser.add_argument("--n", type=int, help="objects; by default as many as the baseline was counted with")
    arguments = parser.parse_args()
    path = pathlib.Path(arguments.baseline)
    baseline = json.loads(path.read_text()) if path.exists() else {"objects": 10_000, "instructions": {}}
    n = arguments.n or baseline["objects"]
    counter = Counter(arguments.program, n, arguments.work)
    try:
        counts = counter.all()
    finally:
        counter.close()
    if arguments.write:
        path.write_text(json.dumps({"objects": n, "instructions": counts}, indent=2) + "\n")
        return
    if n != baseline["objects"]:
        raise SystemExit(f"the baseline is of {baseline['objects']} objects, not of {n}")
    lines, is_fine = compare(baseline["instructions"], counts)
    print("\n".join(lines))
    if not is_fine:
        raise SystemExit(f"more instructions than {path} allows: mend it, or change the file in this commit (`just instructions`)")


if __name__ == "__main__":
    main()
