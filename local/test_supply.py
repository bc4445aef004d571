"""Tests of the documents about dependencies: the tables of reasons and roots, SBOMs, licences, features, and reproduce.py."""

import copy
import json
import os
import pathlib
import re
import shutil
import ssl
import subprocess
import tempfile
import time
import tomllib
import unittest
from unittest import mock

import build
import crates
import reproduce
import resolved
from account import Problem
from crates import Crate, Wrong

ROOT = pathlib.Path(__file__).resolve().parent.parent
TOOLS_WITH_HASHES = ("lambda.txt", "checks.txt", "sam.txt", "advisories.txt")


class Reasons(unittest.TestCase):
    def external(self):
        workspace = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["dependencies"]
        return {name for name, value in workspace.items() if not (isinstance(value, dict) and "path" in value)}

    def test_each_dependency_has_one_reason(self):
        page = (ROOT / "docs" / "supply-chain.md").read_text()
        table = page[page.index("## A reason for each dependency") :]
        rows = re.findall(r"^\| `([\w-]+)` \| (\S.*) \|$", table, re.MULTILINE)
        self.assertEqual(sorted(name for name, _ in rows), sorted(self.external()))
        self.assertEqual([name for name, reason in rows if len(reason) < 8 and reason != "the same"], [])

    def test_members_name_their_dependencies_in_the_workspace(self):
        """A version in a member's own Cargo.toml would be a dependency without a reason."""
        members = [*ROOT.glob("functions/*/Cargo.toml"), *ROOT.glob("shared/*/Cargo.toml")]
        members += [ROOT / name / "Cargo.toml" for name in ("cli", "tests", "benches")]
        self.assertGreater(len(members), 30)
        for manifest in members:
            parsed = tomllib.loads(manifest.read_text())
            for section in ("dependencies", "dev-dependencies", "build-dependencies"):
                for name, value in parsed.get(section, {}).items():
                    with self.subTest(manifest=manifest.parent.name, dependency=name):
                        self.assertTrue(value.get("workspace") or "path" in value, value)
            self.assertNotIn("target", parsed)


class Roots(unittest.TestCase):
    def test_the_table_has_the_compiled_in_roots(self):
        crate = ROOT / "shared/aws-client/src"
        file = (crate / "amazon-roots.pem").read_text()
        source, read = re.search(r"(https://\S+) \(read ([\d-]+),", file).groups()
        # A test of the crate compares these with the certificates.
        keys = re.findall(r'^        "(\w{64})",$', (crate / "roots.rs").read_text(), re.MULTILINE)
        blocks = re.findall(r"^-----BEGIN .*?^-----END CERTIFICATE-----$", file, re.MULTILINE | re.DOTALL)
        self.assertEqual((len(blocks), len(keys)), (5, 5))
        roots = []
        for block, key in zip(blocks, keys):
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.load_verify_locations(cadata=block)
            (root,) = context.get_ca_certs()
            (name,) = (value for part in root["subject"] for field, value in part if field == "commonName")
            # The file names each root in the line above it.
            self.assertIn(f"\n{name}\n{block}", file)
            expires = time.strftime("%Y-%m-%d", time.gmtime(ssl.cert_time_to_seconds(root["notAfter"])))
            roots.append((name, key, expires, source, read))
        page = (ROOT / "docs" / "supply-chain.md").read_text()
        table = page[page.index("## Root certificates") : page.index("## Fewer features")]
        row = re.compile(r"^\| ([^|`]+) \| `(\w+)` \| ([\d-]+) \| \[.*?\]\((.*?)\) \| ([\d-]+) \|$", re.MULTILINE)
        self.assertEqual(row.findall(table), roots)


class Pins(unittest.TestCase):
    def test_python_tools_are_pinned(self):
        for file in sorted((ROOT / "local").glob("*.txt")):
            lines = [line for line in file.read_text().splitlines() if line and not line.startswith(("#", " "))]
            for line in lines:
                with self.subTest(file=file.name):
                    self.assertRegex(line, r"^[A-Za-z0-9._-]+(\[\w+\])?==[0-9][\w.]*( \\)?$")

    def test_tools_that_build_have_hashes(self):
        for name in TOOLS_WITH_HASHES:
            text = (ROOT / "local" / name).read_text()
            packages = re.split(r"\n(?=[A-Za-z0-9])", text[text.index("\n") + 1 :])
            for package in packages:
                with self.subTest(file=name, package=package.split("==")[0]):
                    self.assertRegex(package, r"(?s)==.* \\\n    --hash=sha256:[0-9a-f]{64}")

    def test_npm_packages_have_hashes(self):
        listed = subprocess.run(["git", "ls-files", "*package-lock.json"], cwd=ROOT, capture_output=True, text=True, check=True)
        for name in listed.stdout.split():
            packages = json.loads((ROOT / name).read_text())["packages"]
            for path, package in packages.items():
                if path and not package.get("link"):
                    with self.subTest(file=name, package=path):
                        self.assertRegex(package["integrity"], "^sha512-")


class Advisories(unittest.TestCase):
    """local/advisories, with stand-ins for the programs that ask."""

    def asked(self, folder, answers=None):
        """The code and the calls, in a repository with some lock files; `answers` are further lines of a stand-in."""
        here = pathlib.Path(folder)
        for name in ("Cargo.lock", "fuzz/Cargo.lock", "a/b/Cargo.lock", "local/x.txt", "c/package-lock.json"):
            (here / name).parent.mkdir(parents=True, exist_ok=True)
            (here / name).write_text("x==1\n")
        (here / "target").mkdir()
        (here / "target/Cargo.lock").write_text("of no commit")
        shutil.copy(ROOT / "local/advisories", here / "local")
        for name in ("local/venv", ".tools/checks/bin/cargo-deny", ".tools/advisories/bin/pip-audit", "bin/npm"):
            path = here / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f'#!/bin/sh\necho "{path.name} $*" >>calls\n{(answers or {}).get(path.name, "")}\n')
            path.chmod(0o755)
        subprocess.run(["git", "init", "-q"], cwd=here, check=True)
        subprocess.run(["git", "add", "Cargo.lock", "fuzz", "a", "c", "local"], cwd=here, check=True)
        environment = os.environ | {"PATH": f"{here}/bin:{os.environ['PATH']}"}
        done = subprocess.run([here / "local/advisories"], env=environment, stdout=subprocess.DEVNULL, check=False)
        return done.returncode, (here / "calls").read_text().splitlines()

    def test_each_lock_file_is_asked_about(self):
        with tempfile.TemporaryDirectory() as folder:
            code, calls = self.asked(folder)
        self.assertEqual(code, 0)
        deny = [call for call in calls if call.startswith("cargo-deny")]
        command = "cargo-deny --manifest-path {} --config deny.toml --locked --all-features check advisories"
        self.assertEqual(deny, [command.format(one) for one in ("Cargo.toml", "a/b/Cargo.toml", "fuzz/Cargo.toml")])
        # Development dependencies count here, unlike in the checks of deny.toml that `make lint` runs.
        self.assertFalse([call for call in deny if "exclude-dev" in call])
        self.assertNotIn("exclude-dev", tomllib.loads((ROOT / "deny.toml").read_text())["graph"])
        self.assertEqual([call for call in calls if call.startswith("npm")], ["npm audit --prefix c --package-lock-only"])
        self.assertTrue([call for call in calls if call.startswith("pip-audit") and "local/x.txt" in call])

    def test_an_advisory_anywhere_is_a_failure_and_the_others_are_asked(self):
        for name, answer in (("cargo-deny", 'case "$*" in *a/b/*) exit 1 ;; esac'), ("pip-audit", "exit 1"), ("npm", "exit 1")):
            with self.subTest(name), tempfile.TemporaryDirectory() as folder:
                code, calls = self.asked(folder, {name: answer})
                self.assertEqual((code, len([call for call in calls if not call.startswith("venv")])), (1, 5))

    def test_a_changed_lock_file_starts_the_workflow(self):
        text = (ROOT / ".github/workflows/advisories.yml").read_text()
        self.assertEqual(re.findall(r'paths: \[("[^"]*Cargo.lock"), deny', text), ['"**/Cargo.lock"'] * 2)


def document(*names):
    components = [component(name) for name in names]
    edges = [{"ref": f"registry#{name}", "dependsOn": [f"registry#{other}" for other in names if other > name]} for name in names]
    own = {"bom-ref": f"path+file://{ROOT}/functions/f#0.1.0 bin", "name": "f", "version": "0.1.0", "purl": "pkg:cargo/f@0.1.0"}
    edges.append({"ref": own["bom-ref"], "dependsOn": [f"registry#{name}" for name in names]})
    metadata = {"timestamp": "2026-01-01T00:00:00Z", "component": own}
    return {"serialNumber": "urn:uuid:1", "metadata": metadata, "components": components, "dependencies": edges}


def component(name):
    return {"bom-ref": f"registry#{name}", "name": name, "version": "1.0.0"}


class Sboms(unittest.TestCase):
    a, b, f = Crate("a", "1.0.0"), Crate("b", "1.0.0"), Crate("f", "0.1.0")
    wanted, between = {a, b, f}, {(f, a), (f, b), (a, b)}

    def test_crates_of_others_and_traces_of_the_build_are_removed(self):
        done = crates.completed(document("b", "a", "only-a-test"), self.wanted, self.between)
        self.assertEqual(crates.differs(done, self.wanted, self.between), "")
        self.assertEqual([one["name"] for one in done["components"]], ["a", "b"])
        self.assertEqual(done["dependencies"][0], {"ref": "path+file:///gatehouse/functions/f#0.1.0 bin", "dependsOn": ["registry#a", "registry#b"]})
        text = json.dumps(done)
        for trace in (str(ROOT), "only-a-test", "urn:uuid", "2026-01-01"):
            self.assertNotIn(trace, text)
        self.assertEqual(done, crates.completed(document("a", "b"), self.wanted, self.between))

    def test_an_edge_of_others_is_removed(self):
        done = crates.completed(document("a", "b"), self.wanted, self.between - {(self.a, self.b)})
        self.assertEqual(crates.differs(done, self.wanted, self.between), "lacks a 1.0.0 -> b 1.0.0")
        self.assertEqual(crates.differs(done, self.wanted, self.between - {(self.a, self.b)}), "")

    def test_a_difference_is_named(self):
        complete = crates.completed(document("a", "b"), self.wanted, self.between)
        self.assertEqual(crates.differs(complete, self.wanted, self.between), "")
        for change, expected in (
            (lambda one: one["components"].pop(), "lacks b 1.0.0"),
            (lambda one: one["components"].append(component("z")), "has z 1.0.0"),
            (lambda one: one["components"].append(component("a")), "lists a crate twice"),
            (lambda one: one["components"][0].update(version="2.0.0"), "lacks a 1.0.0; has a 2.0.0"),
            (lambda one: one["dependencies"][0]["dependsOn"].pop(), "lacks f 0.1.0 -> b 1.0.0"),
            (lambda one: one["dependencies"][2]["dependsOn"].append("registry#a"), "has b 1.0.0 -> a 1.0.0"),
            (lambda one: one["dependencies"][2]["dependsOn"].append("registry#z"), "has an edge of registry#z, which it does not list"),
        ):
            changed = copy.deepcopy(complete)
            change(changed)
            with self.subTest(expected):
                self.assertIn(expected, crates.differs(changed, self.wanted, self.between))

    def test_the_tree_is_that_of_the_binary(self):
        names = {crate.name for crate in crates.crates("whoami")}
        self.assertLessEqual({"whoami", "runtime", "api-gateway", "lambda_runtime", "tokio"}, names)
        # Of its tests, of its build, of the feature otlp, of other functions.
        self.assertFalse(names & {"testkit", "axum", "opentelemetry", "aws-config", "cedar-policy", "mrml"}, names)
        self.assertIn("aws-config", {crate.name for crate in crates.crates("logout")})

    def test_cargo_and_the_manifests_agree(self):
        for function in ("authorizer", "custom-message", "forward-auth"):
            with self.subTest(function):
                found, between = resolved.of(crates.metadata(), function)
                self.assertEqual(found, crates.crates(function))
                self.assertEqual(between, crates.edges(function))


def package(name, *dependencies, macro=False, **features):
    """A package of `cargo metadata`. A dependency is a name, with `?` if it is optional, and changes of its entry."""
    entries = []
    for one in dependencies:
        of, changes = one if isinstance(one, tuple) else (one, {})
        entry = {"name": of.rstrip("?"), "rename": None, "kind": None, "target": None, "features": []}
        entries.append(entry | {"optional": of.endswith("?"), "uses_default_features": True} | changes)
    kind = "proc-macro" if macro else "lib"
    targets = [{"name": name.replace("-", "_"), "kind": [kind]}]
    return {"id": name, "name": name, "version": "1.0.0", "dependencies": entries, "features": features, "targets": targets}


def resolution(*packages, inactive=()):
    """What `cargo metadata` resolves for a workspace of the first package and others: every optional dependency."""
    nodes = []
    for one in packages:
        deps = [
            {"name": (entry["rename"] or entry["name"]).replace("-", "_"), "pkg": entry["name"],
             "dep_kinds": [{"kind": entry["kind"], "target": entry["target"]}]}
            for entry in one["dependencies"] if entry["target"] not in inactive
        ]  # fmt: skip
        nodes.append({"id": one["id"], "deps": deps})
    return {"packages": packages, "resolve": {"nodes": nodes}, "workspace_members": [packages[0]["id"]]}


class Resolved(unittest.TestCase):
    def names(self, *packages, **more):
        return {crate.name for crate in resolved.of([resolution(*packages, **more)], packages[0]["name"])[0]}

    def test_kinds_and_platforms(self):
        packages = [
            package("f", "a", ("b", {"kind": "build"}), ("d", {"kind": "dev"}), ("w", {"target": "cfg(windows)"})),
            package("a", "c"),
            *map(package, "bcdw"),
        ]
        self.assertEqual(self.names(*packages, inactive=["cfg(windows)"]), {"f", "a", "c"})
        self.assertEqual(self.names(*packages), {"f", "a", "c", "w"})

    def test_optional_dependencies_need_a_feature(self):
        def names(features, of_a=None, **more):
            wanted = ("a", {"features": features, "uses_default_features": bool(more)})
            of_a = of_a or {"x": ["dep:x"], "y": ["x?/z"], "v": ["x/z"]}
            return self.names(package("f", wanted), package("a", "x?", **of_a, **more), package("x", "z?", z=["dep:z"]), package("z"))

        self.assertEqual(names([]), {"f", "a"})
        self.assertEqual(names(["x"]), {"f", "a", "x"})
        # A weak feature enables nothing alone.
        self.assertEqual(names(["y"]), {"f", "a"})
        self.assertEqual(names(["y", "x"]), {"f", "a", "x", "z"})
        self.assertEqual(names(["x", "y"]), {"f", "a", "x", "z"})
        self.assertEqual(names(["v"]), {"f", "a", "x", "z"})
        self.assertEqual(names([], default=["x"]), {"f", "a", "x"})
        self.assertEqual(names(["unknown"]), {"f", "a"})

    def test_features_of_macros_and_of_build_scripts_are_their_own(self):
        shared = package("s", "x?", x=["dep:x"])
        wants, plain = ("s", {"features": ["x"]}), ("s", {})
        # The macro's own s has x, the function's has not; what only a build script needs is not listed.
        macro = package("m", wants, macro=True)
        self.assertEqual(self.names(package("f", "m", plain), macro, shared, package("x")), {"f", "m", "s", "x"})
        edges = resolved.of([resolution(package("f", "m", plain), macro, shared, package("x"))], "f")[1]
        self.assertIn((Crate("m", "1.0.0"), Crate("s", "1.0.0")), edges)
        build = package("b", wants)
        self.assertEqual(self.names(package("f", ("b", {"kind": "build"}), plain), build, shared, package("x")), {"f", "s"})

    def test_features_that_arrive_late_count(self):
        packages = [package("f", "a", "b"), package("a", "c"), package("b", ("c", {"features": ["x"]})), package("c", "x?", x=["dep:x"]), package("x")]
        self.assertEqual(self.names(*packages), {"f", "a", "b", "c", "x"})

    def test_a_renamed_dependency_is_found(self):
        packages = [package("f", ("a-b", {"rename": "c-d", "optional": True}), default=["c-d"], **{"c-d": ["dep:c-d"]}), package("a-b")]
        self.assertEqual(self.names(*packages), {"f", "a-b"})


class Licences(unittest.TestCase):
    def test_expressions(self):
        for expression, expected in (
            ("MIT", {"MIT"}),
            ("MIT OR Apache-2.0", {"Apache-2.0"}),
            ("MIT/Apache-2.0", {"Apache-2.0"}),
            ("(MIT OR Apache-2.0) AND Unicode-3.0", {"Apache-2.0", "Unicode-3.0"}),
            ("ISC AND (Apache-2.0 OR ISC)", {"ISC", "Apache-2.0"}),
            ("Apache-2.0 WITH LLVM-exception OR MIT", {"Apache-2.0"}),
            ("Zlib OR MIT AND ISC", {"Zlib"}),
        ):
            self.assertEqual(crates.choice(expression), expected, expression)
        with self.assertRaises(Wrong):
            crates.choice("MIT )")

    def package(self, folder, name, licence, **files):
        place = pathlib.Path(folder) / name
        place.mkdir()
        for file, text in files.items():
            (place / file).write_text(text)
        manifest = str(place / "Cargo.toml")
        return {"name": name, "license": licence, "manifest_path": manifest, "repository": None, "authors": ["Ada"]}

    def test_a_text_is_there_once_with_each_crate_that_has_it(self):
        mit = "MIT License\n\nCopyright (c) Grace\n\nPermission is hereby granted, free of charge, to any"
        apache = "Apache License, January 2004\nTERMS AND CONDITIONS FOR USE, REPRODUCTION, AND DISTRIBUTION"
        with tempfile.TemporaryDirectory() as folder:
            packages = {
                Crate("a", "1"): self.package(folder, "a", "MIT OR Apache-2.0", LICENSE_MIT="unused MIT", LICENSE_APACHE=apache),
                Crate("b", "1"): self.package(folder, "b", "MIT", LICENSE=mit),
                Crate("c", "1"): self.package(folder, "c", "MIT", LICENCE=mit + "  \n"),
                Crate("d", "1"): self.package(folder, "d", "MIT"),
                Crate("e", "1"): self.package(folder, "e", "Apache-2.0", NOTICE="made by Hopper"),
            }
            text = crates.notices(packages)
            self.assertEqual(text.count("Copyright (c) Grace"), 1)
            self.assertIn("b 1, c 1\n\nMIT License", text)
            self.assertIn("d 1\n\nCopyright (c) Ada\n\nPermission is hereby granted", text)
            self.assertIn("e 1\n\nmade by Hopper", text)
            self.assertEqual(text.count("January 2004"), 1)
            self.assertNotIn("unused MIT", text)
            lacking = {Crate("g", "1"): self.package(folder, "g", "ISC", LICENSE=mit)}
            with self.assertRaisesRegex(Wrong, "g has no text of ISC"):
                crates.notices(lacking)

    def test_each_allowed_licence_is_recognised(self):
        allowed = tomllib.loads((ROOT / "deny.toml").read_text())["licenses"]["allow"]
        self.assertEqual({one.split(" WITH ")[0] for one in allowed}, set(crates.SAYS))


class Features(unittest.TestCase):
    def test_the_list_is_that_of_the_authorizer(self):
        found = crates.features("authorizer")
        self.assertLessEqual({"tokio", "hyper", "rustls", "aws-config", "cedar-policy", "serde_json"}, found.keys())
        crates.check_features(found, crates.FEATURES.read_text())

    def test_a_change_is_named(self):
        known = crates.listed({"tokio": {"net", "rt"}, "hyper": set()})
        crates.check_features({"tokio": {"rt", "net"}, "hyper": set()}, known)
        for found, expected in (
            ({"tokio": {"net", "rt", "fs"}, "hyper": set()}, "tokio also has fs"),
            ({"tokio": {"net"}, "hyper": set()}, "tokio has no rt any more"),
            ({"tokio": {"net", "rt"}, "hyper": {"server"}}, "hyper also has server"),
            ({"tokio": {"net", "rt"}}, "hyper is gone"),
            ({"tokio": {"net", "rt"}, "hyper": set(), "rustls": set()}, "rustls is new"),
        ):
            with self.assertRaisesRegex(Wrong, expected):
                crates.check_features(found, known)


class Reproduce(unittest.TestCase):
    def built(self, folder, content):
        place = pathlib.Path(folder) / ".aws-sam" / "build" / "F"
        place.mkdir(parents=True)
        (place / "bootstrap").write_bytes(content)
        return pathlib.Path(folder)

    def compared(self, first, second):
        with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as two:
            return reproduce.compared("F", self.built(one, first), self.built(two, second.replace(b"HERE", two.encode())))

    def test_equal_builds(self):
        lines, equal = self.compared(b"\x7fELF text", b"\x7fELF text")
        self.assertTrue(equal)
        self.assertEqual([line.split()[0] for line in lines], ["bootstrap", "zip"])

    def test_a_difference_is_shown(self):
        lines, equal = self.compared(b"\x7fELF first text", b"\x7fELF other text")
        self.assertFalse(equal)
        self.assertEqual(len([line for line in lines if line.startswith("bootstrap")]), 2)
        self.assertEqual(lines[4:], ["15 and 15 bytes, different from byte 5 on", "- ELF first text", "+ ELF other text"])

    def test_a_folder_of_the_machine_is_a_difference(self):
        lines, equal = self.compared(b"a panic at HERE/src", b"a panic at HERE/src")
        self.assertFalse(equal)
        self.assertTrue([line for line in lines if line.startswith("names /")], lines)

    def test_each_function_is_compared_before_sam_removes_it(self):
        with tempfile.TemporaryDirectory() as here:
            there = []

            def built(_, functions, template=None, root=None, variables=None):
                place = pathlib.Path(root or here) / ".aws-sam" / "build"
                shutil.rmtree(place, ignore_errors=True)
                (place / functions[0]).mkdir(parents=True)
                content = b"other" if root and functions == ["B"] else b"same"
                (place / functions[0] / "bootstrap").write_bytes(content)
                there.append(root)

            with (
                mock.patch("reproduce.ROOT", pathlib.Path(here)),
                mock.patch("reproduce.copy", side_effect=lambda folder: folder.mkdir(parents=True)),
                mock.patch("reproduce.elsewhere", return_value={}),
                mock.patch("reproduce.subprocess.run", return_value=mock.Mock(returncode=0)),
                mock.patch("reproduce.build.build", side_effect=built),
                mock.patch("reproduce.build.sam_build", side_effect=built),
                mock.patch("builtins.print"),
            ):
                self.assertEqual(reproduce.main(["x86_64", "A", "C"]), 0)
                with self.assertRaisesRegex(Problem, "differ: B"):
                    reproduce.main(["x86_64", "A", "B", "C"])
            self.assertEqual(len([root for root in there if root]), 5)

    def test_the_second_build_shares_nothing_but_downloads(self):
        with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as cargo_home:
            for name in ("registry/cache/crate", "registry/src/source", "bin/tool"):
                path = pathlib.Path(cargo_home) / name
                path.parent.mkdir(parents=True)
                path.write_text("x")
            with mock.patch.dict(os.environ, {"CARGO_HOME": cargo_home}):
                variables = reproduce.elsewhere(pathlib.Path(folder))
            copied = [path.relative_to(variables["CARGO_HOME"]) for path in pathlib.Path(variables["CARGO_HOME"]).rglob("*") if path.is_file()]
            self.assertEqual(copied, [pathlib.Path("registry/cache/crate")])
            for name in ("HOME", "CARGO_HOME", "CARGO_TARGET_DIR"):
                self.assertTrue(variables[name].startswith(folder), name)

    def test_paths_are_mapped_to_fixed_names(self):
        here = pathlib.Path("/a folder")
        flags = build.compiler_flags(here, "x86_64", {"HOME": "/users/ada"})
        self.assertEqual(
            flags,
            [
                "-Ctarget-cpu=haswell",
                "--remap-path-prefix=/a folder=/gatehouse",
                "--remap-path-prefix=/a folder/target=/gatehouse/target",
                "--remap-path-prefix=/users/ada/.cargo=/cargo",
            ],
        )
        other = build.compiler_flags(here, "arm64", {"CARGO_HOME": "/c", "CARGO_TARGET_DIR": "/t", "RUSTFLAGS": "-g -Cx=y"})
        self.assertEqual(other[:3], ["-g", "-Cx=y", "-Ctarget-cpu=neoverse-n1"])
        self.assertEqual([flag.split("=")[1] for flag in other[3:]], ["/a folder", "/t", "/c"])
        own = build.compiler_flags(here, "x86_64", {"HOME": "/", "CARGO_ENCODED_RUSTFLAGS": "-C\x1ftarget-cpu=znver4", "RUSTFLAGS": "-g"})
        self.assertEqual(own[:2], ["-C", "target-cpu=znver4"])
        self.assertEqual(len(own), 5)

    def test_cargo_gets_the_flags(self):
        with mock.patch("build.subprocess.run", return_value=mock.Mock(returncode=0)) as run:
            build.sam_build("arm64", ["F"], "template.yaml", root=pathlib.Path("/there"), variables={"HOME": "/h", "PATH": "/p"})
        self.assertEqual(run.call_args.kwargs["cwd"], pathlib.Path("/there"))
        environment = run.call_args.kwargs["env"]
        flags = environment["CARGO_ENCODED_RUSTFLAGS"].split("\x1f")
        self.assertEqual(flags, build.compiler_flags(pathlib.Path("/there"), "arm64", environment | {"CARGO_ENCODED_RUSTFLAGS": ""}))


if __name__ == "__main__":
    unittest.main()
