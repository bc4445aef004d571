//! `gatehouse definition`: generates API Gateway's definition from `openapi.yaml`.
//!
//! Omits what only people and clients need: responses, examples, descriptions. Adds what API
//! Gateway needs: for each operation an integration with the function that its tag names, and for
//! each path a response to preflights. Members that start with `x-amazon-` are copied.
//! Source: AWS, "OpenAPI extensions for API Gateway".

use std::fs;
use std::path::PathBuf;

use clap::Args;
use serde_json::{Map, Value, json};

const VERBS: &[&str] = &["get", "put", "post", "delete", "head", "patch"];
/// The schema keywords that are kept: API Gateway's models are of JSON Schema draft 4.
const KEYWORDS: &[&str] = &[
    "$ref",
    "additionalProperties",
    "enum",
    "items",
    "maxLength",
    "minLength",
    "minProperties",
    "properties",
    "required",
    "type",
];
const ORIGIN: &str = "Access-Control-Allow-Origin";
const CREDENTIALS: &str = "Access-Control-Allow-Credentials";
const METHODS: &str = "Access-Control-Allow-Methods";
const HEADERS: &str = "Access-Control-Allow-Headers";
const MAX_AGE: &str = "Access-Control-Max-Age";

/// Generate generated/api-gateway.json, which template.yaml deploys.
#[derive(Args)]
pub(crate) struct Definition {
    /// The API's definition.
    #[arg(default_value = "openapi.yaml")]
    openapi: PathBuf,
    /// The generated file.
    #[arg(default_value = "generated/api-gateway.json")]
    made: PathBuf,
    /// The template, whose `AUTHORIZER_TTL_SECONDS` must be equal to the definition's. Ignored if
    /// it does not exist.
    #[arg(long, default_value = "template.yaml")]
    template: PathBuf,
    /// Only check whether the generated file is up to date.
    #[arg(long)]
    check: bool,
}

impl Definition {
    /// Generates or checks the file.
    ///
    /// # Errors
    /// A text about the files.
    pub(crate) fn run(self) -> Result<String, String> {
        let read = |path: &PathBuf| {
            fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
        };
        let document: Value = serde_norway::from_str(&read(&self.openapi)?)
            .map_err(|error| format!("{}: {error}", self.openapi.display()))?;
        if self.template.exists() {
            check_ttl(&document, &read(&self.template)?)?;
        }
        let made = definition(&document)?;
        let made = serde_json::to_string_pretty(&made).map_err(|error| error.to_string())? + "\n";
        let shown = self.made.display();
        if self.check {
            if read(&self.made)? == made {
                return Ok(format!("{shown} is up to date."));
            }
            return Err(format!(
                "{shown} is out of date: run `gatehouse definition`"
            ));
        }
        fs::write(&self.made, made).map_err(|error| format!("{shown}: {error}"))?;
        Ok(format!("{shown} is written."))
    }
}

/// API Gateway's default for the authorizer's TTL.
/// Source: AWS, "x-amazon-apigateway-authorizer object".
const DEFAULT_TTL_SECONDS: u64 = 300;

/// The authorizer writes policies for the TTL that it is configured with. If API Gateway caches for
/// a different time, it may apply one route's policy to another route. If the template has a
/// parameter, the definition must have a function of `CloudFormation`; `tests/template` compares
/// their values.
fn check_ttl(document: &Value, template: &str) -> Result<(), String> {
    const NAME: &str = "AUTHORIZER_TTL_SECONDS";
    let told = template.lines().find_map(|line| {
        let value = line.trim().strip_prefix(NAME)?.strip_prefix(':')?;
        Some(value.trim().trim_matches(['"', '\'']))
    });
    let Some(told) = told else {
        return Ok(());
    };
    let seconds = told.parse::<u64>().ok();
    if seconds.is_none() && !told.starts_with("!Ref ") {
        return Err(format!(
            "{NAME} in the template is neither a number nor a parameter"
        ));
    }
    for (name, scheme) in members(document, "/components/securitySchemes") {
        let Some(authorizer) = scheme.get("x-amazon-apigateway-authorizer") else {
            continue;
        };
        let ttl = authorizer.get("authorizerResultTtlInSeconds");
        let equal = match seconds {
            Some(seconds) => ttl.map_or(Some(DEFAULT_TTL_SECONDS), Value::as_u64) == Some(seconds),
            None => ttl.is_some_and(Value::is_object),
        };
        if !equal {
            return Err(format!(
                "authorizerResultTtlInSeconds of {name} is not the template's {NAME}, {told} \
                 (API Gateway's default is {DEFAULT_TTL_SECONDS})"
            ));
        }
    }
    Ok(())
}

fn definition(document: &Value) -> Result<Value, String> {
    let object = document
        .as_object()
        .ok_or("the definition is not an object")?;
    let mut made = Map::new();
    made.insert("openapi".to_owned(), json!("3.0.1"));
    let version = document.pointer("/info/version").cloned();
    let info = json!({"title": {"Ref": "AWS::StackName"}, "version": version});
    made.insert("info".to_owned(), info);
    let extensions = object
        .iter()
        .filter(|(name, _)| name.starts_with("x-amazon-"));
    made.extend(extensions.map(|(name, value)| (name.clone(), value.clone())));

    let security = object.get("security").cloned().unwrap_or(json!([]));
    let mut paths = Map::new();
    let mut wanted = Vec::new();
    for (path, item) in members(document, "/paths") {
        let mut methods = Map::new();
        for verb in VERBS {
            let Some(operation) = item.get(verb) else {
                continue;
            };
            let operation = of_operation(operation, &security, &mut wanted)
                .map_err(|problem| format!("{verb} {path}: {problem}"))?;
            methods.insert((*verb).to_owned(), operation);
        }
        let mut verbs: Vec<String> = methods.keys().map(|verb| verb.to_uppercase()).collect();
        verbs.push("OPTIONS".to_owned());
        methods.insert("options".to_owned(), preflight(&verbs.join(",")));
        for method in methods.values_mut() {
            if let Some(method) = method.as_object_mut()
                && let Some(parameters) = path_parameters(path)
            {
                method.insert("parameters".to_owned(), parameters);
            }
        }
        paths.insert(path.clone(), Value::Object(methods));
    }
    made.insert("paths".to_owned(), Value::Object(paths));

    let mut schemas = Map::new();
    while let Some(name) = wanted.pop() {
        if schemas.contains_key(&name) {
            continue;
        }
        let schema = document.pointer(&format!("/components/schemas/{name}"));
        let schema = schema.ok_or_else(|| format!("there is no schema {name}"))?;
        schemas.insert(name, of_schema(schema, &mut wanted));
    }
    let schemes = members(document, "/components/securitySchemes");
    let schemes: Map<String, Value> = schemes
        .map(|(name, scheme)| (name.clone(), of_scheme(scheme)))
        .collect();
    let components = json!({"schemas": schemas, "securitySchemes": schemes});
    made.insert("components".to_owned(), components);
    Ok(Value::Object(made))
}

fn members<'v>(value: &'v Value, pointer: &str) -> impl Iterator<Item = (&'v String, &'v Value)> {
    let object = value.pointer(pointer).and_then(Value::as_object);
    object.into_iter().flatten()
}

fn of_operation(
    operation: &Value,
    security: &Value,
    wanted: &mut Vec<String>,
) -> Result<Value, &'static str> {
    let tag = operation.pointer("/tags/0").and_then(Value::as_str);
    let tag = tag.ok_or("no tag names its function")?;
    let uri = format!(
        "arn:${{AWS::Partition}}:apigateway:${{AWS::Region}}:lambda:path/2015-03-31/functions/${{{}.Arn}}/invocations",
        function(tag)
    );
    let mut made = json!({
        "security": operation.get("security").unwrap_or(security),
        "responses": {"200": {"description": "The function's response."}},
        "x-amazon-apigateway-integration": {
            "type": "aws_proxy",
            "httpMethod": "POST",
            "uri": {"Fn::Sub": uri},
        },
    });
    // An optional body is not validated, because API Gateway would require it; nor one that may be
    // a form.
    let content = operation
        .pointer("/requestBody/content")
        .and_then(Value::as_object);
    let required = operation.pointer("/requestBody/required") == Some(&json!(true))
        && content.is_some_and(|types| types.len() == 1);
    let schema = operation.pointer("/requestBody/content/application~1json/schema");
    if let (true, Some(schema), Some(made)) = (required, schema, made.as_object_mut()) {
        let schema = of_schema(schema, wanted);
        let body = json!({"required": true, "content": {"application/json": {"schema": schema}}});
        made.insert("requestBody".to_owned(), body);
    }
    Ok(made)
}

/// `auth-api` is `AuthApiFunction` in the template.
fn function(tag: &str) -> String {
    let words = tag.split('-').map(|word| {
        let mut chars = word.chars();
        let first = chars.next().map(|first| first.to_ascii_uppercase());
        first.into_iter().chain(chars).collect::<String>()
    });
    words.collect::<String>() + "Function"
}

fn path_parameters(path: &str) -> Option<Value> {
    let names = path
        .split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let parameters: Vec<Value> = names
        .map(|name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}}))
        .collect();
    (!parameters.is_empty()).then(|| Value::from(parameters))
}

fn preflight(methods: &str) -> Value {
    let text = json!({"schema": {"type": "string"}});
    let header = |name: &str| format!("method.response.header.{name}");
    json!({
        "security": [],
        "responses": {"200": {"description": "The response to a CORS preflight.", "headers": {
            ORIGIN: text, CREDENTIALS: text, METHODS: text, HEADERS: text, MAX_AGE: text,
        }}},
        "x-amazon-apigateway-integration": {
            "type": "mock",
            "requestTemplates": {"application/json": "{\"statusCode\": 200}"},
            "responses": {"default": {
                "statusCode": "200",
                "responseTemplates": {"application/json": "{}"},
                "responseParameters": {
                    header(ORIGIN): {"Fn::Sub": "'${AllowedOrigin}'"},
                    header(CREDENTIALS): {"Fn::If": ["HasLogoutCookies", "'true'", "'false'"]},
                    header(METHODS): format!("'{methods}'"),
                    header(HEADERS): "'Authorization,Content-Type'",
                    header(MAX_AGE): "'600'",
                },
            }},
        },
    })
}

fn of_schema(schema: &Value, wanted: &mut Vec<String>) -> Value {
    let Some(object) = schema.as_object() else {
        return schema.clone();
    };
    let mut made = Map::new();
    for (name, value) in object {
        if !KEYWORDS.contains(&name.as_str()) {
            continue;
        }
        let value = match (name.as_str(), value) {
            ("properties", Value::Object(properties)) => {
                let properties = properties.iter();
                properties
                    .map(|(name, schema)| (name.clone(), of_schema(schema, wanted)))
                    .collect()
            }
            ("items" | "additionalProperties", schema) => of_schema(schema, wanted),
            _ => value.clone(),
        };
        made.insert(name.clone(), value);
    }
    let reference = object.get("$ref").and_then(Value::as_str);
    wanted.extend(reference.and_then(|name| Some(name.rsplit_once('/')?.1.to_owned())));
    Value::Object(made)
}

/// A custom authorizer is an `apiKey` to API Gateway, even if it is `http` to clients.
fn of_scheme(scheme: &Value) -> Value {
    if scheme.get("x-amazon-apigateway-authorizer").is_none() {
        return scheme.clone();
    }
    let mut made = Map::new();
    made.insert("type".to_owned(), json!("apiKey"));
    made.insert("name".to_owned(), json!("Authorization"));
    made.insert("in".to_owned(), json!("header"));
    let object = scheme.as_object().into_iter().flatten();
    let extensions = object.filter(|(name, _)| name.starts_with("x-amazon-"));
    made.extend(extensions.map(|(name, value)| (name.clone(), value.clone())));
    Value::Object(made)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejects_ttls_that_differ() {
        let document = |authorizer: Value| {
            json!({"components": {"securitySchemes": {
                "g": {"x-amazon-apigateway-authorizer": authorizer}, "other": {"type": "http"}}}})
        };
        let of = |ttl: u64| document(json!({"authorizerResultTtlInSeconds": ttl}));
        let template = |value: &str| format!("x:\n  AUTHORIZER_TTL_SECONDS: {value}\n");
        assert_eq!(check_ttl(&of(0), &template("\"0\"")), Ok(()));
        assert_eq!(check_ttl(&of(60), &template("60")), Ok(()));
        assert_eq!(check_ttl(&of(60), "x: 1"), Ok(()));
        let function = json!({"authorizerResultTtlInSeconds": {"Fn::If": ["Caches", 60, 0]}});
        assert_eq!(
            check_ttl(&document(function.clone()), &template("!Ref Ttl")),
            Ok(())
        );
        for (document, value) in [
            (of(60), "\"0\""),
            (of(0), "\"60\""),
            (of(0), "!Ref Ttl"),
            (document(json!({})), "!Ref Ttl"),
            (document(function.clone()), "\"0\""),
            (document(function), "!If [Caches, 60, 0]"),
            // API Gateway's default.
            (document(json!({})), "\"0\""),
            (
                document(json!({"authorizerResultTtlInSeconds": "0"})),
                "\"0\"",
            ),
        ] {
            assert!(check_ttl(&document, &template(value)).is_err(), "{value}");
        }
    }
}
