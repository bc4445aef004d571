"""Whether a JSON value has the form of an AWS operation's answer, by botocore's service models."""

import functools

import botocore.session

# JSON texts that boto3 and the AWS CLI return as objects.
DOCUMENTS = {"policyDocumentType", "TemplateBody"}
CONTAINERS = {"structure": dict, "map": dict, "list": list}
NUMBER = (int, float)
# Times are texts or numbers.
VALUES = {"string": str, "boolean": bool, "integer": NUMBER, "long": NUMBER, "double": NUMBER, "float": NUMBER}


@functools.cache
def model(service):
    """The model of a service."""
    return botocore.session.get_session().get_service_model(service)


@functools.cache
def output(call):
    """The shape of a call's answer."""
    wanted = call.operation.replace("_", "")
    found = model(call.service)
    return found.operation_model(next(one for one in found.operation_names if one.lower() == wanted)).output_shape


def misfit(value, shape, path=""):
    """The path of the first member that is of another type than the shape's; None if all fit.

    Members that the model does not know are left alone: AWS adds some at any time."""
    if value is None or shape.name in DOCUMENTS:
        return None
    container = CONTAINERS.get(shape.type_name)
    if container is None:
        expected = VALUES.get(shape.type_name, (str, *NUMBER))
        if expected is NUMBER and isinstance(value, str):
            # Some tools write numbers as text.
            return None if value.isdigit() else path
        is_other_number = isinstance(value, bool) and expected is not bool
        return path if is_other_number or not isinstance(value, expected) else None
    if not isinstance(value, container):
        return path or "the answer"
    if shape.type_name == "list":
        members = [(member, shape.member, f"{path}[{number}]") for number, member in enumerate(value)]
    elif shape.type_name == "map":
        members = [(member, shape.value, f"{path}.{name}") for name, member in value.items()]
    else:
        known = shape.members
        members = [(member, known[name], f"{path}.{name}") for name, member in value.items() if name in known]
    return next((found for member in members if (found := misfit(*member))), None)
