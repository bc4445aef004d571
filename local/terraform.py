#!/usr/bin/env python3
"""Checks the Terraform blocks of docs/existing-api.md: they parse, cache no decision, read the header `Authorization`, and
limit the permission to the API."""

import pathlib
import re
import sys

import hcl2

PAGE = pathlib.Path(__file__).resolve().parent.parent / "docs/existing-api.md"
KINDS = {
    "REST API, `REQUEST`": "method.request.header.Authorization",
    "REST API, `TOKEN`": "method.request.header.Authorization",
    "HTTP API": "$request.header.Authorization",
    "WebSocket API": "route.request.header.Authorization",
    "AppSync": None,
}


def plain(value):
    """Text without the quotation marks that the parser keeps."""
    if isinstance(value, list):
        return [plain(one) for one in value]
    return value.strip('"') if isinstance(value, str) else value


def resources(block):
    parsed = hcl2.loads(block)
    defaults = {
        f"${{var.{plain(name)}}}": arguments["default"]
        for entry in parsed.get("variable", [])
        for name, arguments in entry.items()
        if "default" in arguments
    }
    for entry in parsed.get("resource", []):
        for kind, named in entry.items():
            for arguments in named.values():
                found = {name: plain(value) for name, value in arguments.items()}
                yield plain(kind), {name: defaults.get(str(value), value) for name, value in found.items()}


def problems(kind, block):
    made = list(resources(block))
    for name, arguments in made:
        if name.endswith("_authorizer"):
            source = arguments.get("identity_source") or arguments["identity_sources"]
            if source not in (KINDS[kind], [KINDS[kind]]):
                yield f"identity source {source}"
            if kind != "WebSocket API" and arguments.get("authorizer_result_ttl_in_seconds") != 0:
                yield "a TTL"
        if name == "aws_appsync_graphql_api" and arguments["lambda_authorizer_config"][0]["authorizer_result_ttl_in_seconds"] != 0:
            yield "a TTL"
        if name == "aws_lambda_permission":
            source, of_api = arguments["source_arn"], "/authorizers/" if kind != "AppSync" else "aws_appsync_graphql_api.api.arn"
            if of_api not in source or "qualifier" not in arguments:
                yield f"permission for {source}"
    if not any(name.endswith("_authorizer") or name == "aws_appsync_graphql_api" for name, _ in made):
        yield "no authorizer"
    if kind != "REST API, `TOKEN`" and not any(name == "aws_lambda_permission" for name, _ in made):
        yield "no permission"


def main():
    sections = re.split(r"^## ", PAGE.read_text(), flags=re.MULTILINE)
    blocks = {
        section.partition("\n")[0]: found
        for section in sections
        if (found := re.findall(r"^```hcl\n(.*?)^```$", section, re.MULTILINE | re.DOTALL))
    }
    found = [f"{kind}: no block" for kind in KINDS.keys() - blocks.keys()]
    for kind, of_kind in blocks.items():
        found += [f"{kind}: {problem}" for block in of_kind for problem in problems(kind, block)]
    print("\n".join(found), end="\n" if found else "")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
