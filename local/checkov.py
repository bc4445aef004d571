"""Runs checkov over expanded templates. Fails on findings that local/checkov.yaml does not explain, and on
explanations without a finding.

    .tools/checkov/bin/python local/checkov.py FILE ...
"""

import fnmatch
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import yaml

HERE = pathlib.Path(__file__).resolve().parent
CHECKOV = pathlib.Path(sys.executable).with_name("checkov")


def main(files):
    exceptions = yaml.safe_load((HERE / "checkov.yaml").read_text())
    found = {finding for file in files for finding in findings(file)}
    wrong = sorted(judge(exceptions, found))
    print("\n".join(wrong) or f"checkov: {len(found)} findings, all of them explained in local/checkov.yaml")
    return 1 if wrong else 0


def findings(file):
    command = [CHECKOV, "--framework", "cloudformation", "--compact", "--quiet", "--skip-download", "-o", "json", "-f", file]
    with tempfile.TemporaryDirectory(prefix="gatehouse-checkov-") as folder:
        # It leaves caches in both.
        environment = os.environ | {"TMPDIR": folder, "XDG_CACHE_HOME": folder}
        result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    try:
        report = json.loads(result.stdout)
        summary, failed = report["summary"], report["results"]["failed_checks"]
    except (ValueError, KeyError, TypeError):
        raise SystemExit(f"checkov gave no report on {file}: {result.stdout[-2000:]}{result.stderr[-2000:]}") from None
    resources = len(json.loads(pathlib.Path(file).read_text())["Resources"])
    if summary["parsing_errors"] or summary["resource_count"] != resources or not summary["passed"]:
        raise SystemExit(f"checkov did not read {file}: {summary}")
    for check in failed:
        yield check["check_id"], check["resource"].rpartition(".")[2], check["check_name"]


def judge(exceptions, found):
    """The findings without an exception, and the exceptions without a finding."""
    needed = set()
    for check, resource, name in found:
        patterns = exceptions.get(check, {}).get("resources", [])
        explained = {(check, pattern) for pattern in patterns if fnmatch.fnmatchcase(resource, pattern)}
        if not explained:
            yield f"{resource}: {check} {name}"
        needed |= explained
    for check, exception in exceptions.items():
        if not str(exception.get("reason", "")).strip():
            yield f"local/checkov.yaml: {check} has no reason"
        for pattern in exception["resources"]:
            if (check, pattern) not in needed:
                yield f"local/checkov.yaml: {check} no longer finds {pattern}; remove it"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
