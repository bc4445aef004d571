//! The environment variables: code, `template.yaml` and `docs/configuration.md` must agree. The document is
//! generated from the other two.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use env_config::{ConfigError, Var};
use serde_norway::Value;

use super::{read, root};

type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// A function: its folder under `functions`, its variables, and how it reads them.
struct Function {
    name: &'static str,
    vars: Vec<Var>,
    problems: fn(Lookup<'_>) -> Vec<String>,
}

impl Function {
    fn new(name: &'static str, lists: &[&[Var]], problems: fn(Lookup<'_>) -> Vec<String>) -> Self {
        let vars = lists.concat();
        let names: BTreeSet<&str> = vars.iter().map(|var| var.name).collect();
        assert_eq!(names.len(), vars.len(), "{name} declares a variable twice");
        Self {
            name,
            vars,
            problems,
        }
    }

    fn names(&self) -> BTreeSet<String> {
        self.vars.iter().map(|var| var.name.to_owned()).collect()
    }
}

fn problems_of<T>(result: Result<T, ConfigError>) -> Vec<String> {
    result.err().map(|error| error.0).unwrap_or_default()
}

macro_rules! function {
    ($name:literal, $config:ty) => {
        function!($name, $config, [<$config>::VARS])
    };
    ($name:literal, $config:ty, $lists:expr) => {
        Function::new($name, &$lists, |lookup| {
            problems_of(<$config>::from_lookup(lookup))
        })
    };
}

/// All functions in the order of the document.
fn functions() -> Vec<Function> {
    use auth_jwks::config::VARS as ISSUERS;
    use migrate_user::LookupConfig;
    let old_store = LookupConfig::VARS;
    let functions = vec![
        function!(
            "authorizer",
            authorizer::Config,
            [ISSUERS, authorizer::Config::VARS]
        ),
        function!(
            "auth-api",
            auth_api::Config,
            [ISSUERS, auth_api::Config::VARS]
        ),
        function!(
            "forward-auth",
            forward_auth::Config,
            [ISSUERS, forward_auth::Config::VARS]
        ),
        function!("sessions", sessions::Config),
        function!("admin", admin::Config),
        function!("logout", logout::Config, [ISSUERS, logout::Config::VARS]),
        function!("logout-retry", logout_retry::Config),
        function!("connections", connections::Config),
        function!("close-connections", close_connections::Config),
        function!("user-events", user_events::Config),
        function!("publish-acts", publish_acts::Config),
        function!("user-sweep", user_sweep::Config),
        function!(
            "pre-sign-up",
            pre_sign_up::Config,
            [pre_sign_up::Config::VARS, old_store]
        ),
        function!("post-confirmation", post_confirmation::Config),
        function!("custom-message", custom_message::Config),
        function!("pre-token-generation", pre_token_generation::Config),
        function!(
            "migrate-user",
            migrate_user::Config,
            [migrate_user::Config::VARS, old_store]
        ),
        function!("post-authentication", post_authentication::Config),
        Function::new("whoami", &[], |_| Vec::new()),
    ];
    let listed: BTreeSet<String> = functions.iter().map(|one| one.name.to_owned()).collect();
    let folders = std::fs::read_dir(root().join("functions")).unwrap();
    let folders: BTreeSet<String> = folders
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(listed, folders, "a function is missing in this list");
    functions
}

/// What `template.yaml` says about variables.
struct Template(Value);

impl Template {
    fn read() -> Self {
        Self(serde_norway::from_str(&read("template.yaml")).unwrap())
    }

    /// The properties of the function that is built from `functions/<name>`.
    fn properties(&self, name: &str) -> &Value {
        let code = format!("functions/{name}");
        let resources = self.0["Resources"].as_mapping().unwrap().values();
        resources
            .map(|resource| &resource["Properties"])
            .find(|properties| properties["CodeUri"].as_str() == Some(&code))
            .unwrap()
    }

    /// The variables of a function, those of all functions included, with their values.
    fn variables(&self, name: &str) -> BTreeMap<String, &Value> {
        let own = &self.properties(name)["Environment"]["Variables"];
        let global = &self.0["Globals"]["Function"]["Environment"]["Variables"];
        [global, own]
            .into_iter()
            .filter_map(Value::as_mapping)
            .flatten()
            .map(|(name, value)| (name.as_str().unwrap().to_owned(), value))
            .collect()
    }

    /// The parameters that a value depends on, those of its conditions after the others.
    fn parameters(&self, value: &Value) -> Vec<String> {
        let mut found = References::default();
        found.collect(value);
        let mut names = found.names;
        let mut conditions = found.conditions;
        while let Some(condition) = conditions.pop() {
            let mut found = References::default();
            found.collect(&self.0["Conditions"][condition.as_str()]);
            names.extend(found.names);
            conditions.extend(found.conditions);
        }
        let mut seen = BTreeSet::new();
        names.retain(|name| {
            self.0["Parameters"].get(name.as_str()).is_some() && seen.insert(name.clone())
        });
        names
    }

    fn set_by(&self, value: &Value) -> String {
        let parameters = self.parameters(value);
        if !parameters.is_empty() {
            let quoted: Vec<String> = parameters.iter().map(|name| format!("`{name}`")).collect();
            return quoted.join(", ");
        }
        match value {
            Value::String(text) if text.is_empty() => "not set".to_owned(),
            Value::String(text) => format!("template: `{text}`"),
            _ => "template".to_owned(),
        }
    }
}

/// The names in a value of the template: of parameters and resources, and of conditions.
#[derive(Default)]
struct References {
    names: Vec<String>,
    conditions: Vec<String>,
}

impl References {
    fn collect(&mut self, value: &Value) {
        match value {
            Value::Tagged(tagged) => match (tagged.tag.to_string().as_str(), &tagged.value) {
                ("!Ref", Value::String(name)) => self.names.push(name.clone()),
                ("!Sub", Value::String(text)) => {
                    let parts = text.split("${").skip(1);
                    let names = parts.filter_map(|part| part.split_once('}'));
                    self.names.extend(names.map(|(name, _)| name.to_owned()));
                }
                ("!Condition", Value::String(name)) => self.conditions.push(name.clone()),
                ("!If", Value::Sequence(parts)) => {
                    self.conditions.push(parts[0].as_str().unwrap().to_owned());
                    parts[1..].iter().for_each(|part| self.collect(part));
                }
                ("!GetAtt", _) => {}
                ("!Equals" | "!Not" | "!And" | "!Or" | "!Join" | "!Split", value) => {
                    self.collect(value);
                }
                (tag, _) => panic!("an unknown form of {tag}"),
            },
            Value::Sequence(parts) => parts.iter().for_each(|part| self.collect(part)),
            Value::Mapping(_) => panic!("a long form is unknown here: {value:?}"),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
}

const INTRODUCTION: &str = "\
<!-- Generated by `make docs`: do not edit. The texts are in the code, beside each function's `Config`. -->

# Configuration

Functions read environment variables, once, at start. An empty variable counts as unset. A function
with an invalid configuration does not start; it logs every problem with the variable's name, without
values. A missing variable never has a permissive default.

The AWS SDK's own variables (`AWS_REGION`, `AWS_ENDPOINT_URL_DYNAMODB`,
`AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER`, `AWS_ENDPOINT_URL`) keep their meaning.

`template.yaml` names all of these variables. \"Set by\" lists the parameters of the template that a value depends
on; \"template\" is a value that the template computes or fixes; \"not set\" is empty there. A test keeps code,
template and this page in step.

";

/// A text of the template; of a conditional one, that of a stack with the default parameters.
fn default_text(value: &Value) -> &str {
    let Value::Tagged(condition) = value else {
        return value.as_str().unwrap();
    };
    assert_eq!(condition.tag, "If");
    condition.value[2].as_str().unwrap()
}

/// Generates `docs/configuration.md`.
fn document() -> String {
    let (template, functions) = (Template::read(), functions());
    let mut text = INTRODUCTION.to_owned();
    text.push_str("| variable | functions |\n|---|---|\n");
    for var in runtime::VARS {
        writeln!(
            text,
            "| `{}` | [every function](#every-function) |",
            var.name
        )
        .unwrap();
    }
    let mut index: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for function in &functions {
        for var in &function.vars {
            let link = format!("[{0}](#{0})", function.name);
            index.entry(var.name).or_default().push(link);
        }
    }
    for (variable, links) in index {
        writeln!(text, "| `{variable}` | {} |", links.join(", ")).unwrap();
    }
    text.push_str("\n## every function\n");
    let values = template.variables("whoami");
    text.push_str(&table(&template, runtime::VARS, &values));
    for function in &functions {
        let description = default_text(&template.properties(function.name)["Description"]);
        write!(text, "\n## {}\n\n{description}\n", function.name).unwrap();
        if function.vars.is_empty() {
            text.push_str("\nIt reads no variables.\n");
            continue;
        }
        let values = template.variables(function.name);
        text.push_str(&table(&template, &function.vars, &values));
    }
    text
}

/// The table of variables that the template gives these values.
fn table(template: &Template, vars: &[Var], values: &BTreeMap<String, &Value>) -> String {
    let mut text = "\n| variable | default | meaning | set by |\n|---|---|---|---|\n".to_owned();
    for var in vars {
        let value = values.get(var.name);
        let value = value.unwrap_or_else(|| panic!("template.yaml lacks {}", var.name));
        let cells = [var.default, var.meaning, &template.set_by(value)];
        let cells = cells.map(|cell| cell.replace('|', "\\|")).join(" | ");
        writeln!(text, "| `{}` | {cells} |", var.name).unwrap();
    }
    text
}

#[test]
fn the_template_sets_the_variables_that_the_code_reads() {
    let template = Template::read();
    for function in functions() {
        let mut given: BTreeSet<String> = template.variables(function.name).into_keys().collect();
        // The template sets these for all functions at once, also for one that logs nothing.
        for global in ["LOG_LEVEL", "METRICS_NAMESPACE", "STACK_NAME"] {
            if !function.names().contains(global) {
                given.remove(global);
            }
        }
        for var in runtime::VARS {
            let name = var.name;
            assert!(
                given.remove(name),
                "template.yaml, {}: {name}",
                function.name
            );
        }
        assert_eq!(given, function.names(), "template.yaml, {}", function.name);
    }
}

/// `make docs` sets `GATEHOUSE_UPDATE`: then the test writes the document.
#[test]
fn the_document_is_up_to_date() {
    let made = document();
    if std::env::var_os("GATEHOUSE_UPDATE").is_some() {
        std::fs::write(root().join("docs/configuration.md"), made).unwrap();
        return;
    }
    let current = read("docs/configuration.md");
    let changed = made.lines().zip(current.lines()).find(|(a, b)| a != b);
    assert!(
        made == current,
        "docs/configuration.md is out of date: run `make docs`; first: {changed:?}"
    );
}

#[test]
fn configurations_declare_the_variables_they_read() {
    for function in functions() {
        let asked = RefCell::new(BTreeSet::new());
        (function.problems)(&|name| {
            asked.borrow_mut().insert(name.to_owned());
            None
        });
        assert_eq!(asked.take(), function.names(), "{}", function.name);
    }
}

#[test]
fn required_variables_are_documented_as_required() {
    for function in functions() {
        let problems = (function.problems)(&|_| None);
        let missing: BTreeSet<&str> = problems
            .iter()
            .filter_map(|problem| problem.strip_suffix(" is not set"))
            .collect();
        let required = function.vars.iter().filter(|var| var.default == "required");
        let required: BTreeSet<&str> = required.map(|var| var.name).collect();
        assert_eq!(missing, required, "{}", function.name);
    }
}

/// The documented default is a valid value: setting it adds no problem.
#[test]
fn documented_defaults_are_valid_values() {
    let mut checked = 0;
    for function in functions() {
        let without = (function.problems)(&|_| None);
        for var in &function.vars {
            let literal = var.default.strip_prefix('`');
            let literal = literal.and_then(|text| text.strip_suffix('`'));
            let Some(literal) = literal.filter(|text| !text.contains(['`', '<'])) else {
                continue;
            };
            let with = (function.problems)(&|name| (name == var.name).then(|| literal.to_owned()));
            assert_eq!(with, without, "{} of {}", var.name, function.name);
            checked += 1;
        }
    }
    assert!(checked > 40, "{checked}");
}
