"""Other tools on the same work, where they are installed: `benches/run.py --peers python,ansible,opentofu`.

| tool | what has to be there |
|---|---|
| python | the vendors' clients (`tests/interop/requirements.txt`) in the Python of `RECONCILE_PEERS_PYTHON`, or in `target/interop` |
| ansible | `ansible-playbook` in `PATH` or beside that Python |
| opentofu | `tofu` or `terraform` in `PATH`, and the provider Mastercard/restapi where `init` finds it |
"""

import os
import pathlib
import shutil
import subprocess

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
NAMES = ["python", "ansible", "opentofu"]
# Most objects of a peer's run: it takes minutes.
MOST = 1_000


def _python():
    return os.environ.get("RECONCILE_PEERS_PYTHON") or str(ROOT / "target/interop/bin/python")


def _ansible():
    return shutil.which("ansible-playbook", path=f"{os.environ['PATH']}:{pathlib.Path(_python()).parent}")


def _tofu():
    return shutil.which("tofu") or shutil.which("terraform")


def kinds(peer):
    """Returns the kinds that a peer's script knows."""
    return ["apps", "instances"] if peer == "python" else ["apps"]


def command(peer, bench, case, kind, n):
    """Returns the command of a peer. What it needs once is made first, and is not measured."""
    doing = "plan" if case == "noop" else "apply"
    if peer == "python":
        return [_python(), str(HERE / "python_client.py"), bench.endpoint, kind, str(n), doing]
    if peer == "ansible":
        variables = ["-e", f"endpoint={bench.endpoint}", "-e", f"n={n}"]
        return [_ansible(), "-i", "localhost,", "-c", "local", *variables, str(HERE / "apps.yaml")]
    return [*_workspace(bench, n), doing, *_variables(bench, n), *(["-auto-approve"] if doing == "apply" else [])]


def _variables(bench, n):
    return ["-input=false", "-no-color", f"-var=endpoint={bench.endpoint}", f"-var=n={n}"]


def _workspace(bench, n):
    """Returns the beginning of a command in a directory whose state has all objects."""
    directory = bench.work / f"opentofu-{n}"
    tofu = [_tofu(), f"-chdir={directory}"]
    if directory not in bench.directories:
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir()
        shutil.copy(HERE / "main.tf", directory)
        subprocess.run([*tofu, "init", "-input=false", "-no-color"], check=True, stdout=subprocess.DEVNULL)
        # The state is that of having created all; the ids of the server follow from the names.
        bench.world("apps", n, "missing")
        create = [*tofu, "apply", "-auto-approve", *_variables(bench, n)]
        subprocess.run(create, check=True, stdout=subprocess.DEVNULL)
        bench.directories[directory] = directory
    return tofu
