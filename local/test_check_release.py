"""Tests of check_release.py: what it accepts, and each difference that it must name."""

import hashlib
import pathlib
import shutil
import subprocess
import tempfile
import unittest
import zipfile
from unittest import mock

import build
import check_release
from account import Problem


def elf(text):
    return b"\x7fELF" + bytes(14) + (62).to_bytes(2, "little") + text


class CheckRelease(unittest.TestCase):
    def setUp(self):
        self.here = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.root, self.release, self.built = self.here / "root", self.here / "release", self.here / "built"
        self.root.mkdir()
        (self.root / "template.yaml").write_text("".join(f"  {name}:\n    Type: AWS::Serverless::Function\n" for name in "AB"))
        for name in "AB":
            (self.built / name).mkdir(parents=True)
            (self.built / name / "bootstrap").write_bytes(elf(name.encode()))
        self.enterContext(mock.patch("builtins.print"))
        for module, name, value in (
            (build, "ROOT", self.root),
            (check_release, "ROOT", self.root),
            (check_release, "BUILT", self.built),
            (build, "build", lambda *_: 0),
        ):
            self.enterContext(mock.patch.object(module, name, value))
        self.git("init", "-q")
        self.git("add", "-A")
        self.git("commit", "-qm", "x")
        self.git("tag", "v1.0.0")
        build.write_zips(self.built, "x86_64", self.release)
        self.sum()

    def git(self, *words):
        settings = [word for one in ("user.name=a", "user.email=a", "commit.gpgsign=false") for word in ("-c", one)]
        subprocess.run(["git", "-C", self.root, *settings, *words], check=True, stdout=subprocess.DEVNULL)

    def sum(self):
        """As the workflow does."""
        names = sorted(file.name for file in self.release.iterdir() if file.name != "SHA256SUMS")
        done = subprocess.run(["sha256sum", "--", *names], cwd=self.release, check=True, stdout=subprocess.PIPE)
        (self.release / "SHA256SUMS").write_bytes(done.stdout)

    def check(self):
        return check_release.main([str(self.release), "x86_64"])

    def test_a_release_of_the_tag_is_accepted(self):
        self.assertEqual(self.check(), 0)
        # sha256sum itself accepts both lists.
        subprocess.run(["sha256sum", "--quiet", "-c", "SHA256SUMS"], cwd=self.release, check=True)
        subprocess.run(["sha256sum", "--quiet", "-c", self.release / "bootstrap-x86_64.sha256"], cwd=self.built, check=True)

    def test_the_other_architecture_need_not_be_there(self):
        with (self.release / "SHA256SUMS").open("a") as file:
            file.write(f"{'0' * 64}  A-arm64.zip\n{'0' * 64}  bootstrap-arm64.sha256\n")
        self.assertEqual(self.check(), 0)
        with self.assertRaisesRegex(Problem, "Not in .*: A-arm64.zip, bootstrap-arm64.sha256"):
            check_release.main([str(self.release), "arm64"])

    def test_another_zlib_is_no_difference(self):
        with zipfile.ZipFile(self.release / "A-x86_64.zip", "w", zipfile.ZIP_STORED) as archive:
            archive.writestr("bootstrap", elf(b"A"))
        self.sum()
        text = check_release.compared("v1.0.0", check_release.read(self.release, "x86_64"), "x86_64", self.built)
        self.assertIn("another zlib, with an equal binary: A.", text)

    def test_each_difference_is_named(self):
        def other_zip(*files):
            with zipfile.ZipFile(self.release / "A-x86_64.zip", "w") as archive:
                for name, content in files:
                    archive.writestr(name, content)
            self.sum()

        def other_list(change):
            file = self.release / "bootstrap-x86_64.sha256"
            file.write_text(change(file.read_text()))
            self.sum()

        def more():
            shutil.copy(self.release / "A-x86_64.zip", self.release / "C-x86_64.zip")
            self.sum()

        hashed = hashlib.sha256(elf(b"A")).hexdigest()
        for change, expected in (
            (lambda: (self.built / "A/bootstrap").write_bytes(elf(b"other")), "Not what v1.0.0 gives for x86_64: A."),
            (lambda: other_zip(("bootstrap", elf(b"other"))), ": A."),
            (lambda: other_zip(("bootstrap", elf(b"A")), ("config.json", "{}")), ": A."),
            (lambda: other_list(lambda text: text.replace(hashed, "0" * 64)), ": A."),
            (lambda: other_list(lambda text: text.split("\n", 1)[1]), ": A .not everywhere"),
            (more, ": C .not everywhere"),
            (lambda: (self.release / "B-x86_64.zip").write_bytes(b"no zip"), "another hash of B-x86_64.zip"),
            (lambda: (self.release / "B-x86_64.zip").unlink(), "Not in .*: B-x86_64.zip"),
            (lambda: (self.release / "SHA256SUMS").unlink(), "SHA256SUMS is missing"),
            (lambda: (self.release / "SHA256SUMS").write_text(""), "names no bootstrap-x86_64.sha256"),
            (lambda: (self.root / "new.rs").write_text("x"), "differs from v1.0.0: new.rs"),
            (lambda: self.git("commit", "-q", "--allow-empty", "-m", "y"), "No tag is checked out"),
        ):
            with self.subTest(expected):
                self.doCleanups()
                self.setUp()
                change()
                with self.assertRaisesRegex(Problem, expected):
                    self.check()


if __name__ == "__main__":
    unittest.main()
