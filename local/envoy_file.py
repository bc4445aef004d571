#!/usr/bin/env python3
"""Reads an Envoy configuration as Envoy's API declares it, and fails at a name or a value that it does not have:

    .tools/envoy/bin/python local/envoy_file.py examples/forward-auth/envoy.yaml
"""

import importlib
import pathlib
import re
import sys

import yaml
from envoy.config.bootstrap.v3 import bootstrap_pb2
from google.protobuf import json_format


def main(path):
    text = pathlib.Path(path).read_text()
    # Each type that the file names must be imported to be known.
    for package in set(re.findall(r"type\.googleapis\.com/(envoy\.\S+\.v3)\.\w+", text)):
        name = package.split(".")[-2]
        importlib.import_module(f"{package}.{name}_pb2")
    json_format.ParseDict(yaml.safe_load(text), bootstrap_pb2.Bootstrap())


if __name__ == "__main__":
    main(*sys.argv[1:])
