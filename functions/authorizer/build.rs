//! Compiles the repository's policies into the binary, so that a package without a folder of its
//! own still decides by them.

use std::fmt::Write;
use std::path::Path;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let folder = Path::new("../../policies").canonicalize()?;
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut names: Vec<_> = fs::read_dir(&folder)?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.ends_with(".cedar"))
        .collect();
    names.sort();
    let path = |name: &str| folder.join(name).display().to_string();
    let mut code = format!(
        "pub(crate) const SCHEMA: &str = include_str!({:?});\n\
         pub(crate) const POLICIES: &[(&str, &str)] = &[\n",
        path("schema.cedarschema")
    );
    for name in &names {
        writeln!(code, "    ({name:?}, include_str!({:?})),", path(name))
            .map_err(io::Error::other)?;
    }
    code.push_str("];\n");
    let out = env::var_os("OUT_DIR").ok_or_else(|| io::Error::other("no OUT_DIR"))?;
    fs::write(Path::new(&out).join("policies.rs"), code)
}
