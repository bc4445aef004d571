"""Expands template.yaml and core.yaml as CloudFormation does: the pinned SAM translator expands them, api-gateway.json
replaces the AWS::Include, and their conditions are evaluated for given parameters."""

import functools
import itertools
import json
import logging
import os
import pathlib
import pickle
import re
from unittest import mock

import boto3
import yaml

# The translator needs a region; it uses no credentials and no network.
os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")

from samtranslator.model import apigateway
from samtranslator.parser.parser import Parser
from samtranslator.policy_template_processor.processor import PolicyTemplatesProcessor
from samtranslator.translator.translator import Translator
from samtranslator.yaml_helper import intrinsics_multi_constructor

# Hides the translator's internal warnings.
logging.getLogger("samtranslator").setLevel(logging.ERROR)
ROOT = pathlib.Path(__file__).resolve().parents[2]
MANAGED = {
    name: f"arn:aws:iam::aws:policy/service-role/{name}"
    for name in ("AWSLambdaBasicExecutionRole", "AWSLambdaSQSQueueExecutionRole", "AWSLambdaDynamoDBExecutionRole")
}
PSEUDO = {
    "AWS::AccountId": "123456789012",
    "AWS::NotificationARNs": [],
    "AWS::Partition": "aws",
    "AWS::Region": "us-east-1",
    "AWS::StackId": "arn:aws:cloudformation:us-east-1:123456789012:stack/gatehouse/0",
    "AWS::StackName": "gatehouse",
    "AWS::URLSuffix": "amazonaws.com",
}
NO_VALUE = object()
# Represents a value that CloudFormation knows only after it has created a resource.
MADE = "<{0}>"
clock = itertools.count(1_700_000_000)
# One for all translators, of which each would make its own, and validate SAM's own policy templates again.
session = boto3.Session()
PolicyTemplatesProcessor._is_valid_templates_dict = staticmethod(lambda *_: True)


class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
    """The translator's loader, in C where PyYAML has it: the one in Python takes most of the time of these tests."""


Loader.add_multi_constructor("!", intrinsics_multi_constructor)


def yaml_parse(source):
    return yaml.load(source, Loader)


def text(name="template.yaml"):
    return (ROOT / name).read_text()


@functools.cache
def routes():
    """The operations of openapi.yaml."""
    paths = yaml_parse((ROOT / "openapi.yaml").read_text())["paths"]
    verbs = {"get", "post", "put", "patch", "delete"}
    return {(verb.upper(), path) for path, item in paths.items() for verb in verbs & item.keys()}


def load(source):
    """The template as CloudFormation passes it to SAM, with includes resolved."""
    template = yaml_parse(source)
    if "Api" not in template["Resources"]:
        return template
    include = {"Name": "AWS::Include", "Parameters": {"Location": "generated/api-gateway.json"}}
    body = template["Resources"]["Api"]["Properties"]["DefinitionBody"]
    if body != {"Fn::Transform": include}:
        raise AssertionError("Api.DefinitionBody is not the AWS::Include of api-gateway.json")
    template["Resources"]["Api"]["Properties"]["DefinitionBody"] = json.loads(
        (ROOT / "generated/api-gateway.json").read_text()
    )
    return template


@functools.lru_cache(8)
def loaded(source):
    return pickle.dumps(load(source))


class Parsed:
    """One text of the template, parsed once."""

    def __init__(self, source):
        self.template = pickle.loads(loaded(source))
        self.parameters = self.template["Parameters"]

    def values(self, given):
        unknown = given.keys() - self.parameters.keys()
        if unknown:
            raise AssertionError(f"the template has no parameter {sorted(unknown)}")
        known = {
            name: given.get(name, parameter.get("Default"))
            for name, parameter in self.parameters.items()
        }
        return known

    def expand(self, given):
        """The translator's output. Each call is a second later than the one before."""
        values = {name: str(value) for name, value in self.values(given).items()}
        # Ten times faster than `copy.deepcopy`.
        template = pickle.loads(pickle.dumps(self.template))
        for resource in template["Resources"].values():
            if resource["Type"] == "AWS::Serverless::Function":
                # `sam deploy` uploads the code and writes an address of this form.
                name = resource["Properties"]["CodeUri"].rpartition("/")[2]
                resource["Properties"]["CodeUri"] = f"s3://artifacts/{name}"
        now = next(clock)
        with mock.patch.object(apigateway.time, "time", lambda: now):
            return Translator(MANAGED, Parser(), boto_session=session).translate(template, values)

    def stack(self, given):
        return Stack(self.expand(given), self.values(given))


class Stack:
    """What exists for one set of parameters: resources and outputs, every `Fn::If` decided."""

    def __init__(self, expanded, parameters):
        self.expanded = expanded
        self.parameters = parameters
        self.conditions = expanded.get("Conditions", {})
        self.resources = {
            name: self.decide({key: value for key, value in resource.items() if key != "Condition"})
            for name, resource in expanded["Resources"].items()
            if self.holds(resource.get("Condition"))
        }
        self.outputs = {
            name: self.decide(output)
            for name, output in expanded.get("Outputs", {}).items()
            if self.holds(output.get("Condition"))
        }

    def of_type(self, kind):
        return {
            name: resource.get("Properties", {})
            for name, resource in self.resources.items()
            if resource["Type"] == kind
        }

    def holds(self, condition):
        return condition is None or self.truth({"Condition": condition})

    def truth(self, expression):
        """The value of a condition or of a rule's assertion."""
        ((function, argument),) = expression.items()
        match function:
            case "Condition":
                return self.truth(self.conditions[argument])
            case "Fn::Equals":
                left, right = (self.plain(side) for side in argument)
                return str(left) == str(right)
            case "Fn::Not":
                return not self.truth(argument[0])
            case "Fn::And":
                return all(self.truth(part) for part in argument)
            case "Fn::Or":
                return any(self.truth(part) for part in argument)
            case "Fn::Contains":
                options, value = argument
                return str(self.plain(value)) in [str(self.plain(option)) for option in options]
        raise AssertionError(f"unknown in a condition: {function}")

    def decide(self, value):
        """Replaces each `Fn::If` by its chosen branch, and removes values of AWS::NoValue."""
        if isinstance(value, dict):
            if value.keys() == {"Fn::If"}:
                condition, yes, no = value["Fn::If"]
                return self.decide(yes if self.holds(condition) else no)
            if value == {"Ref": "AWS::NoValue"}:
                return NO_VALUE
            pairs = ((key, self.decide(inner)) for key, inner in value.items())
            return {key: inner for key, inner in pairs if inner is not NO_VALUE}
        if isinstance(value, list):
            return [inner for inner in map(self.decide, value) if inner is not NO_VALUE]
        return value

    def plain(self, value):
        """A value with parameters resolved; attributes of created resources become `<name>`."""
        if isinstance(value, list):
            return [self.plain(inner) for inner in value]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            ((function, argument),) = value.items()
            match function:
                case "Ref":
                    return self.named(argument)
                case "Fn::GetAtt":
                    parts = argument if isinstance(argument, list) else argument.split(".")
                    return MADE.format(".".join(parts))
                case "Fn::Sub":
                    pattern, local = argument if isinstance(argument, list) else (argument, {})
                    return re.sub(
                        r"\$\{([^!}]+)\}",
                        lambda found: str(self.plain(local[found[1]]) if found[1] in local else self.named(found[1])),
                        pattern,
                    )
                case "Fn::Join":
                    separator, parts = argument
                    return separator.join(str(part) for part in self.plain(parts))
                case "Fn::Split":
                    separator, whole = argument
                    return str(self.plain(whole)).split(separator)
                case "Fn::Select":
                    index, options = argument
                    return self.plain(options)[int(self.plain(index))]
                case "Fn::FindInMap":
                    name, first, second = (self.plain(part) for part in argument)
                    return self.expanded["Mappings"][name][str(first)][str(second)]
                case "Fn::If":
                    return self.plain(self.decide(value))
        return {key: self.plain(inner) for key, inner in value.items()}

    def named(self, name):
        if name in PSEUDO:
            return PSEUDO[name]
        if name in self.parameters:
            return self.parameters[name]
        return MADE.format(name)


def references(value):
    """The names that a value refers to, by any function, with the function."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "Ref" and isinstance(inner, str):
                yield key, inner
            elif key == "Fn::GetAtt":
                yield key, inner[0] if isinstance(inner, list) else inner.split(".")[0]
            elif key == "Fn::Sub":
                pattern, local = inner if isinstance(inner, list) else (inner, {})
                for name in re.findall(r"\$\{([^!}]+)\}", pattern):
                    if name not in local:
                        yield key, name.split(".")[0]
                yield from references(local)
            elif key == "DependsOn":
                for name in [inner] if isinstance(inner, str) else inner:
                    yield key, name
            else:
                yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)
