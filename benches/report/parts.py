"""The parts of the benchmarks: what each builds and runs, and the results that its programs print."""

import contextlib
import datetime
import io
import json
import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile

import keys_proxy
import results as judged

ROOT = pathlib.Path(__file__).resolve().parents[2]
PEERS = ROOT / "benches/peers"
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
# The functions that are measured; GATEHOUSE_BIN_DIR names those of another checkout.
BINARIES = pathlib.Path(os.environ.get("GATEHOUSE_BIN_DIR", TARGET / "release")).resolve()
MARKER = '{"bench":'
# The last commit before the work on start and warm path: what `before` compares with.
EARLIER = "71a638f1e3"
# Allocators instead of glibc's: their names, Debian's packages, and the libraries in these.
ALLOCATORS = (
    ("mimalloc", "libmimalloc2.0", "libmimalloc.so.2"),
    ("jemalloc", "libjemalloc2", "libjemalloc.so.2"),
    ("tcmalloc", "libtcmalloc-minimal4", "libtcmalloc_minimal.so.4"),
)
COMPARED = ("whoami", "custom-message", "pre-token-generation", "logout", "authorizer")
JOBS = os.environ.get("GATEHOUSE_JOBS", "").split()
FUNCTIONS = sorted(folder.name for folder in (ROOT / "functions").iterdir() if (folder / "Cargo.toml").exists())


def measured(name):
    """Builds and runs a part: its results, with when, where and how they were measured."""
    prepare, run = PARTS[name]
    print(f"\n==> {name}", flush=True)
    # Of the sources that are built next: a commit during the run is not the one that is measured.
    its_commit, its_changes = commit(), modified()
    if "GATEHOUSE_BUILT" not in os.environ:
        prepare()
    if missing := [one for one in NEEDED.get(name, ()) if not (BINARIES / one).exists()]:
        raise SystemExit(f"{name} needs {' and '.join(missing)}, which {BINARIES} lacks")
    # Before the part begins, so that it does not count itself.
    others, before, began = [others_use()], os.getloadavg()[0], time.monotonic()
    results = list(run())
    seconds, after = round(time.monotonic() - began), os.getloadavg()[0]
    others.append(others_use())
    if commit() != its_commit:
        its_changes.append("another commit was checked out during the run")
    return {
        "part": name,
        "command": f"make bench PART={name}",
        "date": datetime.date.today().isoformat(),
        "commit": its_commit,
        "modified": sorted({*its_changes, *modified()}),
        "machine": machine(),
        "load": [round(before, 2), round(after, 2)],
        "others": [round(used, 2) for used in others],
        "seconds": seconds,
        "quick": "GATEHOUSE_QUICK" in os.environ,
        "versions": versions(),
        "results": results,
    }


def lacking(name):
    """What a part needs and this machine does not have, if it can be known beforehand."""
    if name == "quota":
        return no_control_group()
    return no_history() if name == "before" else None


def no_checkout():
    """Why the commit that a report names cannot be read."""
    try:
        done = subprocess.run(["git", "-C", ROOT, "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    except OSError as error:
        why = str(error)
    else:
        why = done.stderr.strip().splitlines()[0] if done.returncode else ""
    return f"needs a checkout with git, because a report names its commit ({why})" if why else None


def no_history():
    """Why the functions of the earlier commit can be neither found nor built."""
    if earlier_folder().exists() or "GATEHOUSE_BUILT" in os.environ:
        return None
    words = ["git", "-C", ROOT, "cat-file", "-e", f"{EARLIER}^{{commit}}"]
    if subprocess.run(words, stderr=subprocess.DEVNULL, check=False).returncode == 0:
        return None
    return f"needs the whole history, for commit {EARLIER}: git fetch --unshallow"


def no_control_group():
    """Why the benchmark `quota` cannot make a control group with a quota, in the folder where it makes its own."""
    if os.geteuid() != 0:
        return "a control group needs root"
    first = pathlib.Path("/sys/fs/cgroup/cpu")
    is_first = (first / "cgroup.procs").exists()
    parent = first if is_first else first.parent
    group = parent / f"gatehouse-probe-{os.getpid()}"
    try:
        if not is_first:
            (parent / "cgroup.subtree_control").write_text("+cpu")
        group.mkdir()
    except OSError as error:
        return f"no control group can be made: {error}"
    try:
        file = "cpu.cfs_quota_us" if is_first else "cpu.max"
        return None if os.access(group / file, os.W_OK) else f"a control group has no {file}"
    finally:
        group.rmdir()


def busy_now():
    """That other programs use the processors, if they do."""
    used = others_use()
    return f"other programs use {used:.1f} processors" if judged.is_much(used, os.cpu_count()) else None


# What each part builds.


def cargo(*arguments):
    command("cargo", "build", "-q", *JOBS, *arguments)


def benches(*names):
    cargo("--release", "-p", "benches", *(f"--bin={name}" for name in names))


def drivers(*names):
    """Programs that only start others and wait: as `make test` builds, which takes seconds."""
    cargo("--workspace", "--example", "token", *(f"--bin={name}" for name in names))


def function(name, root=None, target=None, **environment):
    """Separately, as SAM builds it: no feature of another function is enabled."""
    root = root or ROOT
    manifest = root / f"functions/{name}/Cargo.toml"
    words = ("--release", "--manifest-path", manifest, "--target-dir", target or TARGET)
    command("cargo", "build", "-q", *JOBS, *words, root=root, **environment)


def node_authorizer():
    command("local/npm", "benches/peers/node-authorizer")
    command("npm", "--prefix", "benches/peers/node-authorizer", "run", "--silent", "build")


def prepare_verify():
    for peer in ("aws-jwt-verify", "jose"):
        command("local/npm", f"benches/peers/{peer}")
    benches("hot_path", "allocations")
    cargo("--release", "--manifest-path", "benches/peers/rust/Cargo.toml", "--target-dir", TARGET / "peers")


def prepare_start():
    node_authorizer()
    for name in FUNCTIONS:
        function(name)
    drivers("startup")


def prepare_warm():
    node_authorizer()
    for name in ("authorizer", "whoami"):
        function(name)
    benches("invocation")


def prepare_before():
    """The functions of the earlier commit, from its own sources and lock file, and those of this one."""
    folder = earlier_folder()
    if not folder.exists():
        archive = subprocess.run(["git", "-C", ROOT, "archive", EARLIER], stdout=subprocess.PIPE, check=True).stdout
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = tempfile.mkdtemp(dir=folder.parent)
        subprocess.run(["tar", "-x", "-C", partial], input=archive, check=True)
        os.rename(partial, folder)
    # Its own settings: without these, cargo would read those of this checkout, which contains the folder.
    environment = {"AWS_LC_SYS_NO_JITTER_ENTROPY_x86_64_unknown_linux_gnu": "0", "AWS_LC_SYS_USE_SYSTEM": "0"}
    for name in COMPARED:
        function(name, folder, folder / "target", **environment)
        function(name)
    benches("before")


def prepare_tried():
    """The authorizer as it is, and what was tried to make its invocations cheaper."""
    for _, package, _ in ALLOCATORS:
        # Where Debian's packages cannot be had, it says so, and the allocator is left out.
        subprocess.run(["local/debian", f".tools/{package}", package], cwd=ROOT, check=False)
    function("authorizer")
    function("authorizer", target=TARGET / "opt-level-3", CARGO_PROFILE_RELEASE_OPT_LEVEL="3")
    benches("before")


def earlier_folder():
    return ROOT / ".local/before" / EARLIER


def prepare_quota():
    node_authorizer()
    function("authorizer")
    benches("quota")


def dynamodb():
    command("local/venv", ".tools/dynamodb", "local/dynamodb.txt")
    command("local/npm", "tests/dynamodb")


def prepare_load():
    for package in ("nginx", "wrk"):
        command("local/debian", f".tools/{package}", package)
    dynamodb()
    function("forward-auth")


def prepare_front_door():
    command("local/debian", ".tools/wrk", "wrk")
    command("local/venv", ".tools/ministack", "local/ministack.txt")
    for name in FUNCTIONS:
        function(name)


def prepare_growth():
    dynamodb()
    benches("growth")


def prepare_other():
    benches("phantom", "render")


def prepare_migration():
    command("local/prepare", "test", *JOBS)
    for name in ("migrate-user", "auth-api"):
        function(name)
    drivers("migration", "refusals")


# How each part runs.


def run_verify():
    material = output(TARGET / "release/hot_path", "material").strip()
    yield from beside_floor(material, openssl_speed)
    yield from program("hot_path", material)
    for peer in ("aws-jwt-verify", "jose"):
        yield from beside_floor(material, peer_rounds, material, "node", PEERS / peer / "measure.js")
    yield from beside_floor(material, peer_rounds, material, sys.executable, PEERS / "python/measure.py")
    with keys_proxy.answering(json.dumps(json.loads(material)["jwks"])) as environment:
        yield from beside_floor(material, peer_rounds, material, TARGET / "peers/release/peers", **environment)


def beside_floor(material, measure, *arguments, **environment):
    """The results of `measure`, with the bare check directly before and after it: the machine may be slower by then."""
    before = floor_rounds(material)
    found = list(measure(*arguments, **environment))
    floor_ns = spread([*before, *floor_rounds(material)])
    for row in found:
        yield row | {"floor_ns": floor_ns}


def floor_rounds(material):
    return json.loads(output(TARGET / "release/hot_path", "floor", material))


def openssl_speed():
    """OpenSSL's own benchmark of an RSA-2048 verification, three times."""
    seconds = "1" if "GATEHOUSE_QUICK" in os.environ else "3"
    took = []
    for _ in range(3):
        printed = output("openssl", "speed", "-mr", "-seconds", seconds, "rsa2048")
        took.append(1e9 / float(re.search(r"^\+F2:\d+:2048:[0-9.]+:([0-9.]+)", printed, re.MULTILINE)[1]))
    yield {"bench": "peer", "name": "`openssl speed rsa2048`, verify", "ns": spread(took)}


def peer_rounds(material, *arguments, **environment):
    done = subprocess.run(
        [str(one) for one in arguments], input=material, env=os.environ | environment, cwd=ROOT,
        stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    for line in done.stdout.splitlines():
        for name, rounds in json.loads(line).items():
            print(f"{name}: {spread(rounds)['median']:.0f} ns", flush=True)
            yield {"bench": "peer", "name": name, "ns": spread(rounds)}


def run_load():
    environment = {"PYTHONPATH": str(ROOT / "local")}
    yield from printed(sys.executable, "local/bench_forward.py", BINARIES / "forward-auth", **environment)


def run_front_door():
    yield from printed(ROOT / ".tools/ministack/bin/python", "local/bench_front_door.py", BINARIES)


def run_before():
    earlier = earlier_folder() / "target/release"
    compared = [name for name in COMPARED if all((folder / name).exists() for folder in (earlier, BINARIES))]
    if not compared:
        raise SystemExit(f"before compares nothing: no function is in both {earlier} and {BINARIES}")
    for name in compared:
        before, after = (zipped_mb(folder / name) for folder in (earlier, BINARIES))
        yield {"bench": "zip", "name": name, "commit": EARLIER, "before": before, "after": after}
    # It names the functions that it leaves out.
    yield from program("before", earlier)


def run_tried():
    """Each variant beside the authorizer as it is, which is alone in a folder."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy2(BINARIES / "authorizer", folder)
        variants, faster = [], TARGET / "opt-level-3/release"
        if (faster / "authorizer").exists():
            variants.append(("opt-level 3 for every crate", faster, ()))
        else:
            print(f"opt-level 3 for every crate is left out: {faster} lacks authorizer", flush=True)
        for name, package, library in ALLOCATORS:
            libraries = list((ROOT / ".tools" / package).rglob(library))
            if not libraries:
                print(f"{name} is left out: .tools/{package} lacks {library}", flush=True)
            variants += [(f"{name} instead of glibc's allocator", folder, (found,)) for found in libraries]
        for name, second, preloaded in variants:
            print(name, flush=True)
            environment = {"GATEHOUSE_BIN_DIR": str(second), "GATEHOUSE_SAME_ROOTS": "1"}
            for row in printed(TARGET / "release/before", folder, *preloaded, **environment):
                yield row | {"bench": "tried", "variant": name, "zip": zipped_mb(pathlib.Path(second) / "authorizer")}


def zipped_mb(binary):
    """As in a function's package, which has the binary as `bootstrap`."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as package:
        package.write(binary, "bootstrap")
    return packed.tell() / 1e6


def run_growth():
    """DynamoDB Local's file is in memory where the system has a folder for that: on a disk each row waits for it."""
    memory = pathlib.Path("/dev/shm")
    yield from program("growth", **({"TMPDIR": str(memory)} if memory.is_dir() else {}))


def run_other():
    yield from program("phantom")
    yield from program("render")


def run_migration():
    """Over PostgreSQL, in a local stack that ends with the commands."""
    stack = [ROOT / ".tools/ministack/bin/python", "local/stack.py", "exec", "--databases"]
    for name in ("migration", "refusals"):
        yield from printed(*stack, TARGET / f"debug/{name}", GATEHOUSE_BIN_DIR=str(BINARIES))


def program(name, *arguments, build="release", **environment):
    """The results of one of the benches."""
    # The venv's Python is that of peers/python.
    path = f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}"
    return printed(TARGET / build / name, *arguments, GATEHOUSE_BIN_DIR=str(BINARIES), PATH=path, **environment)


def printed(*arguments, **environment):
    """Runs a command, shows what it prints for people, and yields the results among it."""
    names = os.environ | {"AWS_EC2_METADATA_DISABLED": "true"} | environment
    arguments = [str(one) for one in arguments]
    with subprocess.Popen(arguments, env=names, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            if line.startswith(MARKER):
                parsed = json.loads(line)
                yield {"bench": parsed["bench"], **parsed["result"]}
            else:
                print(line, end="", flush=True)
    if process.returncode:
        raise SystemExit(f"{pathlib.Path(arguments[0]).name} failed ({process.returncode}).")


def spread(values):
    """As `benches::output::Spread`."""
    values = sorted(values)
    at = lambda percent: values[min(len(values) * percent // 100, len(values) - 1)]  # noqa: E731
    return {"median": values[len(values) // 2], "low": at(10), "high": at(90), "runs": len(values)}


# Where it was measured.


def commit():
    return output("git", "-C", ROOT, "rev-parse", "--short=10", "HEAD").strip()


def modified():
    """Why what is measured may not be what the commit has. Results and documents are not built."""
    why = []
    changed = output("git", "-C", ROOT, "status", "--porcelain", "--", ".", ":!benches/last", ":!docs").splitlines()
    if changed:
        why.append(f"the checkout has changes ({', '.join(line[3:] for line in changed[:3])})")
    if "GATEHOUSE_BUILT" in os.environ:
        why.append("what was built before is measured (GATEHOUSE_BUILT)")
    if "GATEHOUSE_BIN_DIR" in os.environ:
        why.append("the functions of another folder are measured (GATEHOUSE_BIN_DIR)")
    return why


def others_use():
    """The processors that programs use while this one sleeps."""
    began, before = time.monotonic(), used_seconds()
    time.sleep(1 if "GATEHOUSE_QUICK" in os.environ else 5)
    return (used_seconds() - before) / (time.monotonic() - began)


def used_seconds():
    """Of all processors since the start, with what other machines of the host took, without idle time."""
    line = pathlib.Path("/proc/stat").read_text().split("\n")[0]
    user, nice, system, _idle, _wait, *rest = map(int, line.split()[1:9])
    return (user + nice + system + sum(rest)) / os.sysconf("SC_CLK_TCK")


def machine():
    """The machine, without a name of it."""
    models = re.findall(r"^model name\s*: (.*)$", pathlib.Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    memory = re.search(r"^MemTotal:\s*(\d+)", pathlib.Path("/proc/meminfo").read_text(), re.MULTILINE)
    return {
        "processors": os.cpu_count(),
        "model": models[0] if models else platform.machine(),
        "architecture": platform.machine(),
        "memory_gb": round(int(memory[1]) / 1e6),
        "kernel": ".".join(re.findall(r"\d+", platform.release())[:2]),
    }


def versions():
    programs = {
        "rustc": ("rustc", "--version"),
        "Node": ("node", "--version"),
        "OpenSSL": ("openssl", "version"),
    }
    found = {"Python": platform.python_version()}
    for name, words in programs.items():
        if shutil.which(words[0]):
            found[name] = re.search(r"\d+(\.\d+)+", output(*words))[0]
    for lock in PEERS.glob("*/package.json"):
        found |= json.loads(lock.read_text()).get("dependencies", {})
    with contextlib.suppress(FileNotFoundError):
        lock = (PEERS / "rust/Cargo.lock").read_text()
        for crate in ("jsonwebtokens-cognito", "jwt-verify"):
            if version := re.search(rf'name = "{crate}"\nversion = "(.*)"', lock):
                found[crate] = version[1]
    pinned = (ROOT / "local/bench.txt").read_text()
    found |= {name: version for name, version in re.findall(r"^(PyJWT|boto3)==(\S+)$", pinned, re.MULTILINE)}
    return found


def command(*arguments, root=None, **environment):
    subprocess.run([str(one) for one in arguments], cwd=root or ROOT, env=os.environ | environment, check=True)


def output(*arguments):
    arguments = [str(one) for one in arguments]
    done = subprocess.run(arguments, cwd=ROOT, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return done.stdout


PARTS = {
    "verify": (prepare_verify, run_verify),
    "start": (prepare_start, lambda: program("startup", build="debug")),
    "warm": (prepare_warm, lambda: program("invocation")),
    "before": (prepare_before, run_before),
    "tried": (prepare_tried, run_tried),
    "load": (prepare_load, run_load),
    "front-door": (prepare_front_door, run_front_door),
    "growth": (prepare_growth, run_growth),
    "quota": (prepare_quota, lambda: program("quota")),
    "other": (prepare_other, run_other),
    "migration": (prepare_migration, run_migration),
}
# Migrations take a quarter of an hour of their own, most of it in waits that are measured; the builds of `before` and
# `tried` take as long each.
USUAL = [name for name in PARTS if name not in ("migration", "before", "tried")]
# The functions without which a part measures nothing.
NEEDED = {
    "start": ("whoami",),
    "warm": ("authorizer", "whoami"),
    "tried": ("authorizer",),
    "load": ("forward-auth",),
    "front-door": FUNCTIONS,
    "quota": ("authorizer",),
    "migration": ("migrate-user", "auth-api"),
}
