#!/usr/bin/env python3
"""Runs Schemathesis against the deployed API: sends valid and invalid requests by openapi.yaml, and accepts only
responses that it declares. Run by `make fuzz-api` beside a temporary stack."""

import json
import os
import pathlib
import subprocess
import sys

import client

ROOT = pathlib.Path(__file__).resolve().parent.parent
SCHEMATHESIS = ROOT / ".tools" / "schemathesis" / "bin" / "schemathesis"
# All routes except those that revoke the token that the others need, and the one that calls VerifyUserAttribute,
# which MiniStack does not implement.
ROUTES = "^/(whoami|auth/(?!logout|sessions/|change-password|me/verify))"
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"


def main():
    state = json.loads(os.environ["GATEHOUSE_STACK"])
    person = client.Person(state, lambda *_: None)
    person.sign_up()
    token = person.sign_in().access
    options = {
        "--url": state["api"],
        "--include-path-regex": ROUTES,
        "--checks": CHECKS,
        "--max-examples": os.environ.get("EXAMPLES", "40"),
        "--phases": "examples,coverage,fuzzing",
        "--header": f"Authorization: Bearer {token}",
        "--request-timeout": "60",
        "--workers": "2",
    }
    arguments = [part for pair in options.items() for part in pair]
    return subprocess.run([SCHEMATHESIS, "run", ROOT / "openapi.yaml", *arguments, "--no-color"], cwd=ROOT / ".local", check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
