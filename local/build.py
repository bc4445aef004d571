#!/usr/bin/env python3
"""Builds the functions for Lambda, for one architecture, and checks their sizes against the budget.

    build.py x86_64|arm64 [FUNCTION ...]   sam build, of these functions of the template or of all, then the sizes
    build.py --features otlp ARCHITECTURE [FUNCTION ...]   the same with cargo features, separated by commas
    build.py sizes                         the sizes of the built functions
    build.py zips x86_64|arm64 FOLDER      a zip of each built function, and the hashes of the binaries, for a release
"""

import hashlib
import io
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import zipfile

import compose
import elapsed
from account import Problem, run

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILT = ROOT / ".aws-sam" / "build"
TARGETS = {"x86_64": "x86_64-unknown-linux-gnu", "arm64": "aarch64-unknown-linux-gnu"}
# The oldest processors on which Lambda runs functions, as cargo-lambda chooses them.
PROCESSORS = {"x86_64": "haswell", "arm64": "neoverse-n1"}
# `e_machine` of an ELF file's header.
MACHINES = {62: "x86_64", 183: "arm64"}
# Maximum bytes of a function's zip, which Lambda loads at a cold start. Cedar is a third of the authorizer's.
BUDGET = 4_500_000
# Cargo features that every function has.
FEATURES = {"otlp"}
# A text of shared/runtime that a binary without the feature has.
LACKS = {"otlp": b"built without the feature `otlp`"}


def main(arguments):
    match arguments:
        case ["sizes"]:
            return report(sizes(BUILT))
        case ["zips", architecture, folder]:
            return write_zips(BUILT, architecture, pathlib.Path(folder))
        case ["--features", features, architecture, *functions]:
            return build(architecture, functions, features=features.split(","))
        case [architecture, *functions]:
            return build(architecture, functions)
    print(__doc__)
    return 2


def build(architecture, functions=(), template="template.yaml", features=()):
    """`sam build` of a whole template, or of some functions. `sam deploy` must get the same architecture.

    The budget is that of a build without features.
    """
    unknown = set(features) - FEATURES
    if unknown:
        raise Problem(f"FEATURES={','.join(features)}: every function has only {', '.join(sorted(FEATURES))}.")
    if architecture not in TARGETS:
        raise Problem(f"ARCH={architecture} is not an architecture of Lambda: x86_64 or arm64.")
    if wrong := compose.problem(template):
        raise Problem(wrong)
    ready(architecture)
    began = elapsed.began()
    print(f"==> sam build for {architecture} (release, link-time optimised: the first build takes many minutes)", flush=True)
    # sam builds one function or all.
    for function in functions or [None]:
        sam_build(architecture, [function] if function else [], template, features)
        right_machine(BUILT, architecture)
        # The other functions of the folder may be older.
        has_features([BUILT / one for one in functions] if functions else BUILT.iterdir(), features)
        report(sizes(BUILT), None if features else BUDGET)
    print(f"The build took {elapsed.since(began)}, and {elapsed.processor_time()} of processor time.")
    return 0


def sam_build(architecture, function, template, features=(), root=None, variables=None):
    """`sam build` in the checkout at `root`, by default this one; `variables` add to the environment."""
    root = root or ROOT
    environment = os.environ | (variables or {})
    # An empty variable: cargo-lambda compiles with zig, against the old glibc of Lambda's own system.
    environment |= {"CARGO_LAMBDA_COMPILER": "", "SAM_CLI_TELEMETRY": "0"}
    environment |= {"__SAM_CLI_APP_DIR": str(root / ".local" / "sam")}
    environment |= {"CARGO_ENCODED_RUSTFLAGS": "\x1f".join(compiler_flags(root, architecture, environment))}
    caches = root / ".tools" / "cache"
    environment |= {"ZIG_GLOBAL_CACHE_DIR": str(caches / "zig"), "CARGO_ZIGBUILD_CACHE_DIR": str(caches / "zigbuild")}
    # cargo-lambda looks for zig in the first python3 on the PATH.
    environment |= {"PATH": f"{root / '.tools' / 'lambda' / 'bin'}{os.pathsep}{environment['PATH']}"}
    if features:
        # SAM cannot pass features on; cargo-lambda reads them from a file.
        settings = root / ".local" / "features.toml"
        settings.parent.mkdir(exist_ok=True)
        settings.write_text(f"[build]\nfeatures = {json.dumps([*features])}\n")
        environment |= {"CARGO_LAMBDA_GLOBAL": str(settings)}
    command = ["sam", "build", *function, "--template-file", template]
    command += ["--parameter-overrides", f"Architecture={architecture}"]
    result = subprocess.run(command, cwd=root, env=environment, check=False)
    if result.returncode:
        raise Problem("sam build failed: see the lines above.")


def compiler_flags(root, architecture, environment):
    """The compiler's flags: those of the environment, the processor, and names for the folders of this machine.

    Panics name source files. With the same names everywhere, two builds of the same sources are equal. `trim-paths` of
    a cargo profile, which does the same, is not stable in the pinned version. cargo-lambda chooses the processor by
    `build.rustflags`, which cargo ignores beside these flags.
    """
    cargo_home = environment.get("CARGO_HOME") or pathlib.Path(environment.get("HOME", "~")).expanduser() / ".cargo"
    target = environment.get("CARGO_TARGET_DIR") or root / "target"
    # The last prefix that fits applies, and any of these may be below an earlier one.
    pairs = [(root, "/gatehouse"), (root / target, "/gatehouse/target"), (root / cargo_home, "/cargo")]
    given = environment.get("CARGO_ENCODED_RUSTFLAGS", "").split("\x1f")
    given = given if any(given) else environment.get("RUSTFLAGS", "").split()
    processor = [] if any("target-cpu=" in flag for flag in given) else [f"-Ctarget-cpu={PROCESSORS[architecture]}"]
    return [*given, *processor, *(f"--remap-path-prefix={place}={name}" for place, name in pairs)]


def ready(architecture):
    """Raises a Problem if a tool for `architecture` is missing, before minutes of compiling."""
    for tool in ("cargo", "rustc"):
        if not shutil.which(tool):
            raise Problem(f"{tool} is not installed. Get Rust from https://rustup.rs; rust-toolchain.toml names the version.")
    # cargo-lambda and zig are a separate set of tools, installed once.
    if (ROOT / "local" / "lambda.txt").exists():
        command = ["local/venv", ".tools/lambda", "local/lambda.txt"]
        if subprocess.run(command, cwd=ROOT, check=False).returncode:
            raise Problem("cargo-lambda could not be installed: see the lines above.")
    if not shutil.which("cargo-lambda"):
        raise Problem("cargo-lambda is not on the PATH: run this with make, which sets the PATH.")
    target = TARGETS[architecture]
    if has_target(target):
        return
    if not shutil.which("rustup"):
        raise Problem(
            f"This Rust has no standard library for {target}, and there is no rustup to add it.\n"
            "Install the package of your system that has it, or Rust from https://rustup.rs."
        )
    print(f"==> rustup target add {target}", flush=True)
    result = subprocess.run(["rustup", "target", "add", target], cwd=ROOT, check=False)
    if result.returncode or not has_target(target):
        raise Problem(
            f"The standard library for {target} is missing, and rustup could not fetch it: its server\n"
            "(RUSTUP_DIST_SERVER, by default https://static.rust-lang.org) is unreachable or does not have it.\n"
            f"Run `rustup target add {target}` where the server is reachable, or choose the other architecture with ARCH=."
        )


def has_target(target):
    """Whether the compiler of this folder has the target's standard library. Does not use the network."""
    command = ["rustc", "--print", "target-libdir", "--target", target]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return result.returncode == 0 and any(pathlib.Path(result.stdout.strip()).glob("libstd-*"))


def right_machine(built, architecture):
    """Checks each binary's architecture: a wrong one deploys without an error, and then no invocation starts."""
    for binary in sorted(built.glob("*/bootstrap")):
        with binary.open("rb") as file:
            header = file.read(20)
        machine = MACHINES.get(int.from_bytes(header[18:20], "little")) if header[:4] == b"\x7fELF" else None
        if machine != architecture:
            raise Problem(
                f"{binary.parent.name} was compiled for {machine or 'another system'}, not for {architecture}. "
                f"Remove .aws-sam and run `make build ARCH={architecture}` again."
            )


def sizes(built):
    """Each built function with the bytes of its zip, packed as SAM packs it."""
    return {binary.parent.name: len(packed(binary.parent)) for binary in sorted(built.glob("*/bootstrap"))}


def has_features(folders, features):
    """Raises a Problem if a built function among the folders lacks one of the cargo features: it would ignore the
    variables of that feature."""
    binaries = [file for folder in sorted(folders) if (file := folder / "bootstrap").is_file()]
    for feature in features:
        lacking = [file.parent.name for file in binaries if LACKS[feature] in file.read_bytes()]
        if lacking:
            names = ", ".join(lacking)
            raise Problem(f"Built without the feature {feature}: {names}. Run `make build FEATURES={feature}`.")


def packed(folder):
    """The zip of a function's folder. Equal files give an equal zip: every entry has the same time and the same mode."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                entry = zipfile.ZipInfo(file.relative_to(folder).as_posix())
                entry.compress_type = zipfile.ZIP_DEFLATED
                # A regular file that Lambda may read and execute.
                entry.create_system, entry.external_attr = 3, 0o100755 << 16
                archive.writestr(entry, file.read_bytes())
    return buffer.getvalue()


def write_zips(built, architecture, folder):
    """Writes <function>-<architecture>.zip for each function of the template, and the hash of each binary, as sha256sum
    does; a Problem names those that are not built."""
    right_machine(built, architecture)
    template = (ROOT / "template.yaml").read_text()
    functions = re.findall(r"^  (\w+):\n    Type: AWS::Serverless::Function$", template, re.MULTILINE)
    missing = [name for name in functions if not (built / name / "bootstrap").is_file()]
    if missing or not functions:
        raise Problem(f"Not built: {', '.join(missing)}. Run `make build ARCH={architecture}` first.")
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for name in functions:
        (folder / f"{name}-{architecture}.zip").write_bytes(packed(built / name))
        lines.append(f"{hashlib.sha256((built / name / 'bootstrap').read_bytes()).hexdigest()}  {name}/bootstrap\n")
    (folder / binaries_file(architecture)).write_text("".join(lines))
    print(f"{len(functions)} zips in {folder}")
    return 0


def binaries_file(architecture):
    """The hashes of a release's binaries, which do not depend on the version of zlib, as those of the zips do."""
    return f"bootstrap-{architecture}.sha256"


def identity(built, function):
    """Identifies a built function's package: equal for equal files."""
    hashed = hashlib.sha256()
    for file in sorted(path for path in (built / function).rglob("*") if path.is_file()):
        hashed.update(f"{file.relative_to(built / function)}\n{file.stat().st_size}\n".encode())
        hashed.update(file.read_bytes())
    if not (built / function / "bootstrap").exists():
        raise Problem(f"{function} is not built beside the template in {built}: run `make build` first.")
    return hashed.hexdigest()[:32]


def report(found, budget=BUDGET):
    """Prints the sizes; a Problem names each that is above the budget, if there is one."""
    if not found:
        raise Problem("No function is built: run `make build` first.")
    for name, size in found.items():
        print(f"{size / 1e6:6.2f} MB  {name}")
    above = [f"{name} ({size / 1e6:.2f} MB)" for name, size in found.items() if budget and size > budget]
    if above:
        raise Problem(f"Above the budget of {budget / 1e6:.1f} MB for a zip: {', '.join(above)}.")
    return 0


if __name__ == "__main__":
    run(main)
