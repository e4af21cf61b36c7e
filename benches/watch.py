#!/usr/bin/env python3
"""Measures a running `watch` against the sandbox, or wears it out.

    benches/watch.py bench --sizes 1000,10000,100000 --rounds 50
    benches/watch.py soak --minutes 30

`bench` prints one line of JSON for each size: from a saved file to its first call, from somebody else's edit to the call
that takes it back, the requests of an hour at rest, memory, processor time at rest. `--check` ends with 1 where a goal is
missed. `soak` edits, saves, makes the server fail and kills the agent at random, then lets all come to rest, and ends with
1 unless everything is as declared, no run is left unfinished and the memory stayed flat. Both need a program that is
built; `--program` names it.
"""

import argparse
import datetime
import json
import os
import pathlib
import random
import re
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
PER_FILE = 100
PAGE = resource.getpagesize()
# Looks at everything before the memory is measured, and the seconds after which what they needed is given back.
LOOKS = 3
GIVEN_BACK = 15
# Seconds, and MiB of resident memory for 1,000 objects.
GOALS = {"save_p99": 0.3, "edit_p95": 1.0, "mib_per_1000": 2.0}


def ask(url, method="GET", body=None):
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data=data, method=method), timeout=60) as answer:
        text = answer.read().decode()
    try:
        return json.loads(text)
    except ValueError:
        return text


def quantile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def document(number, ports):
    return (
        f"apiVersion: bk-cmdb/v1\nkind: Instance\nmetadata: {{name: sw-{number:06}}}\nspec:\n  model: bk_switch\n"
        f"  match: {{bk_inst_name: sw-{number:06}}}\n  fields: {{ports: {ports}}}\n"
    )


def state(count):
    def attribute(name, kind):
        return {"bk_obj_id": "bk_switch", "bk_property_id": name, "bk_property_name": name, "bk_property_type": kind}

    rows = [{"bk_inst_id": n + 1, "bk_inst_name": f"sw-{n:06}", "ports": 24} for n in range(count)]
    return {
        "bk-cmdb": {
            "version": "3.14",
            "objects": [{"bk_obj_id": "bk_switch", "bk_obj_name": "Switch"}],
            "attributes": [attribute("bk_inst_name", "singlechar"), attribute("ports", "int")],
            "instances": {"bk_switch": rows},
        }
    }


class World:
    """A sandbox with switches, a document for each of them, and the agent over them. The first has a file of its own."""

    def __init__(self, program, count, directory):
        self.program, self.count, self.directory = program, count, directory
        self.environment = {"PATH": os.environ["PATH"], "BENCH_SECRET": "hush", "RECONCILE_STATE_DIR": str(directory / "state")}
        (directory / "manifests").mkdir()
        (directory / "state.json").write_text(json.dumps(state(count)))
        self.declared = {n: 24 for n in range(count)}
        for first in range(0, count, PER_FILE):
            self.write(first)
        self.sandbox = subprocess.Popen(
            [program, "sandbox", "--listen", "127.0.0.1:0", "--state", str(directory / "state.json")],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=self.environment,
        )
        self.server = self.sandbox.stdout.readline().split()[-1]
        (directory / "reconcile.yaml").write_text(
            "apiVersion: reconcile/v1\nkind: Config\nsafety: {maxChanges: 100%}\n"
            "watch: {ceasefire: {after: 1000000}}\ntargets:\n"
            f'  cmdb: {{platform: bk-cmdb, access: esb, endpoint: "{self.server}", '
            "auth: {appCode: bench, appSecret: {env: BENCH_SECRET}, username: admin}}\n"
        )
        self.agent = None

    def write(self, number):
        """Writes the file of a document, as editors do: beside it, and then over it."""
        first = number // PER_FILE * PER_FILE
        if number == 0:
            files = {"hot.yaml": [0]}
            if not (self.directory / "manifests/00000000.yaml").exists():
                files["00000000.yaml"] = list(range(1, min(PER_FILE, self.count)))
        else:
            files = {f"{first:08}.yaml": [n for n in range(first, min(first + PER_FILE, self.count)) if n > 0]}
        for name, numbers in files.items():
            path = self.directory / "manifests" / name
            beside = path.with_suffix(".tmp")
            beside.write_text("---\n".join(document(n, self.declared[n]) for n in numbers))
            beside.rename(path)

    def start(self, *more):
        log = open(self.directory / "watch.log", "a")
        # Before the agent writes: it shares the place in the file.
        at = log.tell()
        self.agent = subprocess.Popen(
            [self.program, "watch", str(self.directory / "manifests"), "--listen", "127.0.0.1:0", *more],
            stdout=subprocess.DEVNULL, stderr=log, env=self.environment, cwd=self.directory,
        )
        self.pages = self.until("it listens", lambda: self.listening(at), 60)

    def listening(self, at):
        # The place counts bytes, and the log has arrows in it.
        text = (self.directory / "watch.log").read_bytes()[at:].decode(errors="replace")
        found = re.findall(r"listening on (http://\S+)", text)
        return found[-1] if found else None

    def until(self, what, condition, seconds=120):
        end = time.time() + seconds
        while time.time() < end:
            try:
                found = condition()
            except (urllib.error.URLError, OSError):
                found = None
            if found:
                return found
            time.sleep(0.02)
        raise SystemExit(f"waited in vain until {what}")

    def settled(self):
        ready = ask(f"{self.pages}/readyz")
        return ready["lastPass"] and ready["lastPass"]["verdict"] == "converged"

    def edit(self, number, ports):
        body = {"bk_obj_id": "bk_switch", "bk_inst_id": number + 1, "ports": ports}
        ask(f"{self.server}/_sandbox/edit", "POST", {"user": "zoe", "operation": "update_inst", "body": body})

    def writes(self):
        return [call for call in ask(f"{self.server}/_sandbox/calls") if call["write"]]

    def clear(self):
        ask(f"{self.server}/_sandbox/calls", "DELETE")

    def first_write(self, start):
        """Returns the seconds from a moment until the first write was answered."""
        call = self.until("there is a write", self.writes)[0]
        came = datetime.datetime.fromisoformat(re.sub(r"(\.\d{6})\d*Z$", r"\1+00:00", call["time"]).replace("Z", "+00:00"))
        return came.timestamp() - start

    def passes(self):
        counts = re.findall(r"^reconcile_passes_total\{.*\} (\d+)$", ask(f"{self.pages}/metrics"), re.MULTILINE)
        return sum(map(int, counts))

    def memory(self):
        return int(pathlib.Path(f"/proc/{self.agent.pid}/statm").read_text().split()[1]) * PAGE / 2**20

    def processor(self):
        fields = pathlib.Path(f"/proc/{self.agent.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def close(self):
        for process in [self.agent, self.sandbox]:
            if process and process.poll() is None:
                process.send_signal(signal.SIGTERM)
                process.wait()


def bench_of(program, count, rounds, rest):
    with tempfile.TemporaryDirectory() as directory:
        world = World(program, count, pathlib.Path(directory))
        try:
            start = time.time()
            world.start("--resync", "5m")
            world.until("the first pass is done", world.settled, 600)
            first = time.time() - start
            saves, edits = [], []
            for number in range(rounds):
                world.clear()
                world.declared[0] = 25 + number
                start = time.time()
                world.write(0)
                saves.append(world.first_write(start))
                world.until("it is settled", world.settled)
                world.clear()
                start = time.time()
                world.edit(0, 1_000 + number)
                edits.append(world.first_write(start))
                world.until("it is settled", world.settled)
            # What is kept after several looks at everything is more than after the first.
            for _ in range(LOOKS):
                done = world.passes()
                world.agent.send_signal(signal.SIGHUP)
                world.until("everything was looked at", lambda: world.passes() > done and world.settled(), 600)
            time.sleep(GIVEN_BACK)
            world.clear()
            before, began = world.processor(), time.time()
            time.sleep(rest)
            took = time.time() - began
            requests = len(ask(f"{world.server}/_sandbox/calls")) / took * 3600
            idle = (world.processor() - before) / took
            memory = world.memory()
            return {
                "objects": count, "rounds": rounds, "first_pass": round(first, 2),
                "save_p50": round(statistics.median(saves), 3), "save_p99": round(quantile(saves, 0.99), 3),
                "edit_p50": round(statistics.median(edits), 3), "edit_p95": round(quantile(edits, 0.95), 3),
                # A rest shorter than the resync has none in it.
                "requests_per_hour_without_resync": round(requests), "rest_seconds": round(took),
                "mib": round(memory, 1), "mib_per_1000": round(memory / count * 1_000, 2),
                "idle_processor_percent": round(idle * 100, 2),
            }
        finally:
            world.close()


def bench(arguments):
    missed = []
    for count in map(int, arguments.sizes.split(",")):
        row = bench_of(arguments.program, count, arguments.rounds, arguments.rest)
        print(json.dumps(row), flush=True)
        # Of few objects the program itself is most of the memory.
        goals = {name: most for name, most in GOALS.items() if name != "mib_per_1000" or count >= 10_000}
        missed += [f"{count}: {name} is {row[name]}, not {most}" for name, most in goals.items() if row[name] > most]
    print("\n".join(missed) or "all goals are met")
    return 1 if arguments.check and missed else 0


FAULTS = [
    {"fault": "status", "status": 503, "probability": 0.3},
    {"fault": "delay", "ms": 800, "probability": 0.3},
    {"fault": "reset_after", "probability": 0.2},
    {"fault": "reset_before", "probability": 0.2},
]


def soak(arguments):
    pick = random.Random(arguments.seed)
    count = arguments.objects
    with tempfile.TemporaryDirectory() as directory:
        world = World(arguments.program, count, pathlib.Path(directory))
        try:
            # An agent that is killed leaves its lock behind until that runs out.
            more = ["--resync", "10s", "--lock-timeout", "60s"]
            world.start(*more)
            begin, end = time.time(), time.time() + arguments.minutes * 60
            done = {"edits": 0, "saves": 0, "faults": 0, "restarts": 0}
            memory = []
            while time.time() < end:
                step = pick.random()
                if step < 0.5:
                    world.edit(pick.randrange(count), pick.randrange(1_000))
                    done["edits"] += 1
                elif step < 0.85:
                    number = pick.randrange(count)
                    world.declared[number] = pick.randrange(1_000)
                    world.write(number)
                    done["saves"] += 1
                elif step < 0.95:
                    faults = [pick.choice(FAULTS)] if pick.random() < 0.5 else []
                    ask(f"{world.server}/_sandbox/faults", "PUT", faults)
                    done["faults"] += len(faults)
                elif step > 0.985 and time.time() < begin + (end - begin) / 3:
                    # Later the memory of one process is looked at.
                    world.agent.send_signal(pick.choice([signal.SIGKILL, signal.SIGTERM]))
                    world.agent.wait()
                    world.start(*more)
                    done["restarts"] += 1
                if time.time() > begin + (end - begin) / 3:
                    memory.append(world.memory())
                time.sleep(pick.random() * 0.3)
            ask(f"{world.server}/_sandbox/faults", "PUT", [])
            def differing():
                rows = ask(f"{world.server}/_sandbox/state")["bk-cmdb"]["instances"]["bk_switch"]
                return [row["bk_inst_name"] for row in rows if row["ports"] != world.declared[row["bk_inst_id"] - 1]]
            world.until("all is as declared", lambda: not differing(), 180)
            world.until("the agent knows", world.settled, 60)
            world.agent.send_signal(signal.SIGTERM)
            code = world.agent.wait()
            history = subprocess.run(
                [world.program, "history", "-o", "json", "--limit", "100000"], env=world.environment, cwd=directory, capture_output=True, text=True
            )
            runs = json.loads(history.stdout)["runs"]
            unfinished = [run["id"] for run in runs if run["verdict"] == "unfinished"]
            third = max(1, len(memory) // 3)
            early, late = statistics.median(memory[:third]), statistics.median(memory[-third:])
            result = done | {"runs": len(runs), "unfinished": unfinished, "mib_early": round(early, 1), "mib_late": round(late, 1), "exit": code}
            print(json.dumps(result))
            grew = late > early * 1.1 + 4
            return 1 if unfinished or code != 0 or grew else 0
        finally:
            world.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    one = commands.add_parser("bench")
    one.add_argument("--sizes", default="1000,10000")
    one.add_argument("--rounds", type=int, default=50)
    one.add_argument("--rest", type=float, default=60, help="seconds at rest")
    one.add_argument("--check", action="store_true")
    one.set_defaults(run=bench)
    other = commands.add_parser("soak")
    other.add_argument("--minutes", type=float, default=30)
    other.add_argument("--objects", type=int, default=300)
    other.add_argument("--seed", type=int, default=1)
    other.set_defaults(run=soak)
    for command in [one, other]:
        command.add_argument("--program", default=str(ROOT / "target/release/reconcile"))
    arguments = parser.parse_args()
    arguments.program = str(pathlib.Path(arguments.program).resolve())
    sys.exit(arguments.run(arguments))


if __name__ == "__main__":
    main()
