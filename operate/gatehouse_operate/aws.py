"""AWS clients with retries, and what several commands need to know of AWS's responses."""

import json

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

# Adaptive: the SDK slows down when a service throttles, instead of giving up.
RETRIES = Config(retries={"mode": "adaptive", "total_max_attempts": 12}, connect_timeout=10, read_timeout=60)


class Aws:
    """The clients of one account and region, each made once."""

    def __init__(self, region=None, profile=None, endpoint=None, session=None):
        self.session = session or boto3.Session(region_name=region, profile_name=profile)
        self.endpoint = endpoint
        self.clients = {}

    def client(self, service):
        if service not in self.clients:
            self.clients[service] = self.session.client(service, endpoint_url=self.endpoint, config=RETRIES)
        return self.clients[service]

    @property
    def region(self):
        return self.session.region_name

    @property
    def partition(self):
        return self.session.get_partition_for_region(self.region)


def pages(client, operation, key, **arguments):
    """The entries of every page of a listing."""
    found = []
    for page in client.get_paginator(operation).paginate(**arguments):
        found += page.get(key) or []
    return found


def pages_or_none(client, operation, key, **arguments):
    """The entries of every page of a listing; none if what it lists does not exist."""
    return or_none(lambda: pages(client, operation, key, **arguments), "NotFoundException") or []


def code_of(error):
    """The error code of a ClientError."""
    return error.response.get("Error", {}).get("Code", "")


def or_none(call, *codes, **arguments):
    """A call's response, or None if it fails with one of these error codes."""
    try:
        return call(**arguments)
    except ClientError as error:
        if code_of(error) in codes:
            return None
        raise


def with_unknown_members(client, operation, **arguments):
    """A JSON operation's response, and the paths of members that this version of boto3 does not know and has dropped.

    An update that sends a described configuration back would reset them."""
    unknown = []

    def look(response_dict, operation_model, **_):
        if response_dict["status_code"] < 300:
            unknown[:] = unknown_members(json.loads(response_dict["body"]), operation_model.output_shape)

    model = client.meta.service_model
    name = f"before-parse.{model.service_id.hyphenize()}.{client.meta.method_to_api_mapping[operation]}"
    client.meta.events.register(name, look)
    try:
        return getattr(client, operation)(**arguments), unknown
    finally:
        client.meta.events.unregister(name, look)


def unknown_members(value, shape, path=""):
    """The paths of members of a JSON value that the shape does not have."""
    if shape.type_name == "structure" and isinstance(value, dict):
        names = {member.serialization.get("name", name): member for name, member in shape.members.items()}
        found = [f"{path}{name}" for name in value if name not in names]
        for name, member in names.items():
            if name in value:
                found += unknown_members(value[name], member, f"{path}{name}.")
        return found
    if shape.type_name == "list" and isinstance(value, list):
        return [one for entry in value for one in unknown_members(entry, shape.member, path)]
    if shape.type_name == "map" and isinstance(value, dict):
        return [one for entry in value.values() for one in unknown_members(entry, shape.value, path)]
    return []
