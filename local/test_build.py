"""Tests of build.py: missing tools, and sizes against the budget."""

import hashlib
import os
import pathlib
import subprocess
import sys
import tempfile
import tomllib
import unittest
import zipfile
from unittest import mock

import build
import compose
import stack
from account import Problem


def elf(machine):
    return b"\x7fELF" + bytes(14) + machine.to_bytes(2, "little") + bytes(100)


class Build(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.built = pathlib.Path(folder.name)
        # A checkout without a set of tools to install.
        patched = mock.patch("build.ROOT", self.built)
        patched.start()
        self.addCleanup(patched.stop)

    def function(self, name, content):
        (self.built / name).mkdir(exist_ok=True)
        (self.built / name / "bootstrap").write_bytes(content)

    def test_features_reach_cargo_lambda_and_have_no_budget(self):
        self.function("Function", elf(62) + os.urandom(5000))
        done = mock.Mock(returncode=0)
        with (
            mock.patch("build.ready"),
            mock.patch("build.BUILT", self.built),
            mock.patch("build.BUDGET", 100),
            mock.patch("build.subprocess.run", return_value=done) as run,
            mock.patch("builtins.print"),
        ):
            self.assertEqual(build.build("x86_64", features=["otlp"]), 0)
            environment = run.call_args.kwargs["env"]
            settings = tomllib.loads(pathlib.Path(environment["CARGO_LAMBDA_GLOBAL"]).read_text())
            self.assertEqual(settings, {"build": {"features": ["otlp"]}})
            run.reset_mock()
            with self.assertRaisesRegex(Problem, "Above the budget"):
                build.build("x86_64")
            self.assertNotIn("CARGO_LAMBDA_GLOBAL", run.call_args.kwargs["env"])
            for unknown in ("olpt", "", "otlp,"):
                with self.assertRaisesRegex(Problem, "FEATURES="):
                    build.main(["--features", unknown, "x86_64"])

    def test_a_build_does_not_write_what_the_tests_run(self):
        # cargo-lambda copies binaries to target/lambda, into the files that are there.
        written = pathlib.Path(build.__file__).resolve().parent.parent / "target/lambda"
        here = pathlib.Path(sys.executable).read_bytes()[18:20]
        tested = list(stack.BINARIES.glob("*/bootstrap"))
        self.assertTrue(tested, "local/prepare has linked the binaries")
        for binary in tested:
            self.assertEqual(binary.read_bytes()[18:20], here, f"{binary} is of another processor")
            other = written / binary.parent.name / "bootstrap"
            self.assertFalse(other.exists() and other.samefile(binary), other)

    def test_every_function_has_the_features(self):
        root = pathlib.Path(build.__file__).resolve().parent.parent
        for manifest in sorted((root / "functions").glob("*/Cargo.toml")):
            with self.subTest(manifest.parent.name):
                declared = tomllib.loads(manifest.read_text()).get("features", {})
                self.assertEqual(declared, {name: [f"runtime/{name}"] for name in build.FEATURES})

    def test_a_function_without_a_feature_is_named(self):
        """The text that tells is in the code that the feature replaces."""
        source = (pathlib.Path(build.__file__).parent.parent / "shared/runtime/src/run.rs").read_text()
        for feature, text in build.LACKS.items():
            without = source[source.index(f'#[cfg(not(feature = "{feature}"))]\nfn install') :]
            self.assertIn(text.decode(), without[: without.index("\n}\n")])
            self.assertEqual(source.count(text.decode()), 1)
            self.function("Old", elf(62) + text + bytes(9))
            self.function("New", elf(62))
            (self.built / "template.yaml").write_text("")
            build.has_features(self.built.iterdir(), [])
            build.has_features([self.built / "New"], [feature])
            expected = rf"without the feature {feature}: Old\. Run `make build FEATURES={feature}`"
            with self.assertRaisesRegex(Problem, expected):
                build.has_features(self.built.iterdir(), [feature])
            done = mock.Mock(returncode=0)
            with (
                mock.patch("build.ready"),
                mock.patch("build.BUILT", self.built),
                mock.patch("build.subprocess.run", return_value=done),
                mock.patch("builtins.print"),
            ):
                self.assertEqual(build.build("x86_64", ["New"], features=[feature]), 0)
                with self.assertRaisesRegex(Problem, "without the feature"):
                    build.build("x86_64", features=[feature])

    def test_names_each_function_above_the_budget(self):
        self.function("Small", b"x")
        self.function("Large", os.urandom(5000))
        found = build.sizes(self.built)
        self.assertLess(found["Small"], 200)
        with mock.patch("builtins.print"):
            self.assertEqual(build.report(found, budget=6000), 0)
            with self.assertRaisesRegex(Problem, r"Large \(0.01 MB\)"):
                build.report(found, budget=4000)

    def test_identity_changes_with_the_package(self):
        self.function("AuthorizerFunction", b"a build")
        first = build.identity(self.built, "AuthorizerFunction")
        self.assertRegex(first, "^[0-9a-f]{32}$")
        self.function("LogoutFunction", b"another function")
        self.assertEqual(build.identity(self.built, "AuthorizerFunction"), first)
        self.function("AuthorizerFunction", b"b build")
        self.assertNotEqual(build.identity(self.built, "AuthorizerFunction"), first)
        with self.assertRaisesRegex(Problem, "WhoamiFunction is not built"):
            build.identity(self.built, "WhoamiFunction")

    def test_a_missing_build_fails(self):
        with self.assertRaisesRegex(Problem, "make build"):
            build.report(build.sizes(self.built))

    def test_refuses_a_binary_of_the_other_architecture(self):
        self.function("Function", elf(62))
        build.right_machine(self.built, "x86_64")
        with self.assertRaisesRegex(Problem, "compiled for x86_64, not for arm64"):
            build.right_machine(self.built, "arm64")
        self.function("Mac", b"\xcf\xfa\xed\xfe" + bytes(100))
        with self.assertRaisesRegex(Problem, "another system"):
            build.right_machine(self.built, "x86_64")

    def test_zips_are_reproducible_and_executable(self):
        self.template("Function")
        self.function("Function", elf(62))
        first, second = self.built / "first", self.built / "second"
        for folder, seconds in ((first, 0), (second, 1_000_000_000)):
            file = self.built / "Function" / "bootstrap"
            file.chmod(0o600)
            os.utime(file, (seconds, seconds))
            with mock.patch("builtins.print"):
                self.assertEqual(build.write_zips(self.built, "x86_64", folder), 0)
        hashed = hashlib.sha256(elf(62)).hexdigest()
        self.assertEqual((first / "bootstrap-x86_64.sha256").read_text(), f"{hashed}  Function/bootstrap\n")
        name = "Function-x86_64.zip"
        self.assertEqual((first / name).read_bytes(), (second / name).read_bytes())
        with zipfile.ZipFile(first / name) as archive:
            self.assertEqual(archive.read("bootstrap"), elf(62))
            self.assertEqual(archive.getinfo("bootstrap").external_attr >> 16, 0o100755)

    def test_zips_need_every_function_of_the_template(self):
        self.template("Function", "Missing")
        self.function("Function", elf(62))
        with self.assertRaisesRegex(Problem, "Not built: Missing. Run `make build ARCH=x86_64`"):
            build.write_zips(self.built, "x86_64", self.built / "zips")
        self.assertFalse((self.built / "zips").exists())

    def template(self, *functions):
        resources = (f"  {name}:\n    Type: AWS::Serverless::Function\n" for name in functions)
        (self.built / "template.yaml").write_text("Resources:\n" + "".join(resources))

    def test_refuses_a_template_that_its_fragments_do_not_give(self):
        with tempfile.TemporaryDirectory() as folder, mock.patch.object(compose, "ROOT", pathlib.Path(folder)):
            pathlib.Path(folder, "core.yaml").write_text("changed by hand")
            with self.assertRaisesRegex(Problem, "core.yaml is out of date: run `make compose`"):
                build.build("x86_64", template="core.yaml")
        with mock.patch.dict(compose.IN_THE_CORE, {"an old text": ""}):
            with self.assertRaisesRegex(Problem, "no fragment of the core has this text any more:\nan old text"):
                build.build("x86_64", template="core.yaml")

    def test_the_local_stack_refuses_it_too(self):
        with mock.patch.object(compose, "problem", return_value="template.yaml is out of date"):
            with self.assertRaisesRegex(SystemExit, "template.yaml is out of date"):
                stack.deploy(pathlib.Path(), "http://127.0.0.1:1", "http://127.0.0.1:1", {}, stack.binary_of, {})

    def test_refuses_an_unknown_architecture(self):
        with self.assertRaisesRegex(Problem, "x86_64 or arm64"):
            build.build("arm")

    def test_reports_a_target_that_cannot_be_fetched(self):
        failed = subprocess.CompletedProcess([], 1)
        with (
            mock.patch("build.has_target", return_value=False),
            mock.patch("build.shutil.which", return_value="/bin/tool"),
            mock.patch("build.subprocess.run", return_value=failed),
            mock.patch("builtins.print"),
            self.assertRaisesRegex(Problem, "aarch64-unknown-linux-gnu is missing, and rustup could not fetch it"),
        ):
            build.ready("arm64")

    def test_does_not_fetch_an_installed_target(self):
        with (
            mock.patch("build.has_target", return_value=True),
            mock.patch("build.shutil.which", return_value="/bin/tool"),
            mock.patch("build.subprocess.run") as run,
        ):
            build.ready("x86_64")
        run.assert_not_called()

    def test_cargo_lambda_is_installed_first(self):
        (self.built / "local").mkdir()
        (self.built / "local" / "lambda.txt").touch()
        failed = subprocess.CompletedProcess([], 1)
        with (
            mock.patch("build.shutil.which", return_value="/bin/tool"),
            mock.patch("build.subprocess.run", return_value=failed) as run,
            self.assertRaisesRegex(Problem, "cargo-lambda could not be installed"),
        ):
            build.ready("x86_64")
        self.assertEqual(run.call_args.args[0], ["local/venv", ".tools/lambda", "local/lambda.txt"])

    def test_without_rustup_the_message_says_what_to_install(self):
        with (
            mock.patch("build.has_target", return_value=False),
            mock.patch("build.shutil.which", side_effect=lambda tool: None if tool == "rustup" else tool),
            self.assertRaisesRegex(Problem, "no rustup to add it"),
        ):
            build.ready("arm64")


if __name__ == "__main__":
    unittest.main()
