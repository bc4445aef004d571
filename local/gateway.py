"""Creates the resources that MiniStack's import of a definition leaves out, with API Gateway's own calls: request
validators, the models of request bodies, the responses to preflights, gateway responses."""

import json
import re


def complete(apigateway, api_id, stage, definition, parameters):
    """Adds the resources to the API and deploys it again. `parameters` are those of the stack."""
    api = {"restApiId": api_id}
    made = apigateway.create_request_validator(**api, name="body", validateRequestBody=True)
    for name, schema in definition["components"]["schemas"].items():
        with_ids = json.dumps(schema).replace(
            "#/components/schemas/", f"https://apigateway.amazonaws.com/restapis/{api_id}/models/"
        )
        apigateway.create_model(**api, name=name, contentType="application/json", schema=with_ids)
    resources = apigateway.get_resources(**api, limit=500)["items"]
    ids = {resource["path"]: resource["id"] for resource in resources}
    for path, item in definition["paths"].items():
        for verb, operation in item.items():
            body = operation.get("requestBody")
            if not body:
                continue
            reference = body["content"]["application/json"]["schema"]["$ref"]
            method = api | {"resourceId": ids[path], "httpMethod": verb.upper()}
            known = apigateway.get_method(**method)
            integration = known["methodIntegration"]
            # Created again, because MiniStack stores a patch of `requestModels` in the wrong place.
            apigateway.put_method(
                **method,
                authorizationType=known["authorizationType"],
                **{name: known[name] for name in ("authorizerId",) if name in known},
                requestModels={"application/json": reference.rpartition("/")[2]},
                requestValidatorId=made["id"],
            )
            apigateway.put_integration(
                **method,
                type=integration["type"],
                integrationHttpMethod=integration["httpMethod"],
                uri=integration["uri"],
            )
        method = api | {"resourceId": ids[path], "httpMethod": "OPTIONS"}
        integration = item["options"]["x-amazon-apigateway-integration"]
        apigateway.put_integration(**method, type="MOCK", requestTemplates=integration["requestTemplates"])
        answer = integration["responses"]["default"]
        headers = {name: resolved(value, parameters) for name, value in answer["responseParameters"].items()}
        status = {"statusCode": answer["statusCode"]}
        apigateway.put_method_response(**method, **status, responseParameters=dict.fromkeys(headers, False))
        templates = {"responseTemplates": answer["responseTemplates"]}
        apigateway.put_integration_response(**method, **status, **templates, responseParameters=headers)
    for kind, response in definition["x-amazon-apigateway-gateway-responses"].items():
        headers = response["responseParameters"]
        optional = {"statusCode": response["statusCode"]} if "statusCode" in response else {}
        apigateway.put_gateway_response(
            **api,
            **optional,
            responseType=kind,
            responseParameters={name: resolved(value, parameters) for name, value in headers.items()},
            responseTemplates=response.get("responseTemplates", {}),
        )
    apigateway.create_deployment(**api, stageName=stage)


def resolved(value, parameters):
    """Resolves `Fn::Sub` of parameters, and `Fn::If` as in the local stack, where all options are disabled."""
    match value:
        case {"Fn::Sub": text}:
            return re.sub(r"\$\{(\w+)\}", lambda found: parameters[found[1]], text)
        case {"Fn::If": [_, _, otherwise]}:
            return otherwise
    return value
