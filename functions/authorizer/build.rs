//! Compiles the repository's policies and route table into the binary, so that a package without
//! policy files still uses them.

use std::fmt::Write;
use std::path::Path;
use std::{env, fs, io};

use serde_norway::Value;

/// Some user pool's id, for the placeholder in policies.
const POOL: &str = "eu-central-1_Example00";

fn main() -> io::Result<()> {
    let root = Path::new("../..").canonicalize()?;
    let code = policies(&root.join("policies"))? + &routes(&root.join("openapi.yaml"))?;
    let out = env::var_os("OUT_DIR").ok_or_else(|| io::Error::other("no OUT_DIR"))?;
    fs::write(Path::new(&out).join("compiled_in.rs"), code)
}

/// Every `*.cedar` file, sorted by name, and the schema's namespace. They are validated here, not at each start.
fn policies(folder: &Path) -> io::Result<String> {
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut names: Vec<_> = fs::read_dir(folder)?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.ends_with(".cedar"))
        .collect();
    names.sort();
    let schema = fs::read_to_string(folder.join("schema.cedarschema"))?;
    let files = names
        .into_iter()
        .map(|name| fs::read_to_string(folder.join(&name)).map(|text| (name, text)))
        .collect::<io::Result<Vec<_>>>()?;
    let valid = cedar_files::validated(&schema, &files, POOL);
    let namespace = match valid {
        Ok(valid) => valid.namespace,
        Err(error) => {
            for problem in &error.0 {
                println!("cargo::error=policies: {}", problem.replace('\n', " "));
            }
            return Ok(String::new());
        }
    };
    let mut code = format!(
        "pub(crate) const NAMESPACE: &str = {namespace:?};\n\
         pub(crate) const POLICIES: &[(&str, &str)] = &[\n",
    );
    for (name, text) in &files {
        writeln!(code, "    ({name:?}, {text:?}),").map_err(io::Error::other)?;
    }
    Ok(code + "];\n")
}

/// Every operation that uses the authorizer: all except those with `security: []`.
fn routes(file: &Path) -> io::Result<String> {
    const VERBS: [&str; 7] = ["get", "put", "post", "delete", "options", "head", "patch"];
    println!("cargo::rerun-if-changed={}", file.display());
    let document: Value =
        serde_norway::from_str(&fs::read_to_string(file)?).map_err(io::Error::other)?;
    let paths = document
        .get("paths")
        .and_then(Value::as_mapping)
        .ok_or_else(|| io::Error::other("openapi.yaml has no paths"))?;
    let mut code = "pub(crate) const ROUTES: &[(&str, &str)] = &[\n".to_owned();
    for (path, item) in paths {
        for verb in VERBS {
            let Some(operation) = item.get(verb) else {
                continue;
            };
            let security = operation.get("security").and_then(Value::as_sequence);
            if security.is_none_or(|schemes| !schemes.is_empty()) {
                let (verb, path) = (verb.to_uppercase(), path.as_str().unwrap_or_default());
                writeln!(code, "    ({verb:?}, {path:?}),").map_err(io::Error::other)?;
            }
        }
    }
    Ok(code + "];\n")
}
