//! Compiles the shipped brand into the binary: its layout, from MJML to the HTML tables that mail
//! clients support, and its texts.

use std::fmt::Write;
use std::path::Path;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let folder = Path::new("../../templates/default").canonicalize()?;
    println!("cargo::rerun-if-changed={}", folder.display());
    let out = env::var_os("OUT_DIR").ok_or_else(|| io::Error::other("no OUT_DIR"))?;
    let out = Path::new(&out);

    let mjml = fs::read_to_string(folder.join("layout.mjml"))?;
    let parsed = mrml::parse(&mjml).map_err(|error| io::Error::other(error.to_string()))?;
    let options = mrml::prelude::render::RenderOptions::default();
    let html = parsed
        .element
        .render(&options)
        .map_err(|error| io::Error::other(error.to_string()))?;
    fs::write(out.join("layout.html"), html)?;

    let mut names: Vec<_> = fs::read_dir(&folder)?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.ends_with(".json"))
        .collect();
    names.sort();
    let mut code =
        "const LAYOUT: &str = include_str!(concat!(env!(\"OUT_DIR\"), \"/layout.html\"));\n\
         const LOCALES: &[(&str, &str)] = &[\n"
            .to_owned();
    for name in names {
        let locale = name.trim_end_matches(".json");
        let path = folder.join(&name).display().to_string();
        writeln!(code, "    ({locale:?}, include_str!({path:?})),").map_err(io::Error::other)?;
    }
    fs::write(out.join("compiled_in.rs"), code + "];\n")
}
