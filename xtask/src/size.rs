//! Lists what takes space in the component: its sections, and the crates and functions that its code comes from.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result};
use wasmparser::{KnownCustom, Name, Parser, Payload, TypeRef};

use crate::component;
use crate::wasm_toolchain::WasmToolchain;
use crate::workspace::Workspace;

/// How many sections, crates and functions are shown: those that follow take less than a percent each.
const SHOWN: usize = 30;

/// How many characters are shown of a function's name, which may be a whole type.
const NAME_CHARS: usize = 110;

/// Builds the component as it is shipped and, to see what is in it, once more with names.
///
/// # Errors
/// The component can't be built or read.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let shipped = component::build(workspace, &component::MICROSOFT_ESD, WasmToolchain::Auto)?;
    let named = component::build_with_names(workspace)?;
    let (shipped, named) = (read(&shipped.path)?, read(&named)?);
    println!("the component as shipped: {} bytes\n", shipped.len());
    println!(
        "{}",
        Table::new("sections as shipped", &Contents::of(&shipped)?.sections)
    );
    let contents = Contents::of(&named)?;
    println!("{}", Table::new("code by crate", &contents.crates()));
    println!("{}", Table::new("code by function", &contents.functions));
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("the component `{}` can't be read", path.display()))
}

/// Names and how many bytes each takes.
type Bytes = BTreeMap<String, usize>;

/// The contents of a component, with all modules in it.
#[derive(Debug, Default)]
struct Contents {
    sections: Bytes,
    functions: Bytes,
}

/// A core module while it is read: the bodies come before their names.
#[derive(Default)]
struct Module {
    imported: u32,
    bodies: Vec<usize>,
}

impl Contents {
    fn of(component: &[u8]) -> Result<Self> {
        let mut contents = Self::default();
        let mut modules = Vec::new();
        for payload in Parser::new(0).parse_all(component) {
            let payload = payload.context("the component can't be parsed")?;
            if let Some((_, range)) = payload.as_section() {
                let bytes = usize::try_from(range.end - range.start)?;
                // A module or component is nothing but its sections, which are counted themselves.
                if !matches!(
                    payload,
                    Payload::ModuleSection { .. } | Payload::ComponentSection { .. }
                ) {
                    *contents.sections.entry(section_name(&payload)).or_default() += bytes;
                }
            }
            match payload {
                Payload::Version { .. } => modules.push(Module::default()),
                Payload::End(_) => {
                    modules.pop();
                }
                payload => {
                    if let Some(module) = modules.last_mut() {
                        contents.read(module, payload)?;
                    }
                }
            }
        }
        Ok(contents)
    }

    fn read(&mut self, module: &mut Module, payload: Payload<'_>) -> Result<()> {
        match payload {
            Payload::ImportSection(imports) => {
                for import in imports.into_imports() {
                    if matches!(import?.ty, TypeRef::Func(_)) {
                        module.imported += 1;
                    }
                }
            }
            Payload::CodeSectionEntry(body) => module.bodies.push(body.as_bytes().len()),
            Payload::CustomSection(custom) => {
                if let KnownCustom::Name(names) = custom.as_known() {
                    for names in names {
                        if let Name::Function(names) = names? {
                            self.name(module, names)?;
                        }
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn name(&mut self, module: &Module, names: wasmparser::NameMap<'_>) -> Result<()> {
        for naming in names {
            let naming = naming?;
            let body = naming
                .index
                .checked_sub(module.imported)
                .and_then(|index| module.bodies.get(usize::try_from(index).ok()?));
            if let Some(bytes) = body {
                // Without the hash: several instances of one generic function are one line.
                let name = format!("{:#}", rustc_demangle::demangle(naming.name));
                *self.functions.entry(name).or_default() += bytes;
            }
        }
        Ok(())
    }

    fn crates(&self) -> Bytes {
        let mut crates = Bytes::new();
        for (name, bytes) in &self.functions {
            *crates.entry(crate_of(name)).or_default() += bytes;
        }
        crates
    }
}

/// Custom sections by their own names, all others by their kind.
fn section_name(payload: &Payload<'_>) -> String {
    match payload {
        Payload::CustomSection(custom) => format!("custom `{}`", custom.name()),
        Payload::CodeSectionStart { .. } => "code".to_owned(),
        Payload::DataSection(_) => "data".to_owned(),
        Payload::ElementSection(_) => "elements (function pointers)".to_owned(),
        Payload::TypeSection(_) | Payload::FunctionSection(_) => "function types".to_owned(),
        Payload::ComponentTypeSection(_) => "component types".to_owned(),
        Payload::ComponentAliasSection(_) => "component aliases".to_owned(),
        _ => "others".to_owned(),
    }
}

/// The crate that a function's name begins with: `<&alloc::vec::Vec<T> as core::fmt::Debug>::fmt` is of `alloc`.
/// Functions that are not Rust's, such as the C library's, have no path.
fn crate_of(name: &str) -> String {
    let bare = name.trim_start_matches(['<', '&', '*', '[', '(']);
    let bare = ["mut ", "const ", "dyn "]
        .iter()
        .fold(bare, |bare, word| bare.strip_prefix(word).unwrap_or(bare));
    match bare.split_once("::") {
        Some((first, _)) if first.chars().all(|c| c.is_alphanumeric() || c == '_') => first.to_owned(),
        _ => "others (C library, generated)".to_owned(),
    }
}

/// A table of sizes: the largest first, with the rest and the sum below.
struct Table<'a> {
    title: &'a str,
    lines: Vec<(&'a str, usize)>,
}

impl<'a> Table<'a> {
    fn new(title: &'a str, bytes: &'a Bytes) -> Self {
        let mut lines: Vec<_> = bytes
            .iter()
            .map(|(name, bytes)| (name.as_str(), *bytes))
            .collect();
        lines.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
        Self { title, lines }
    }
}

impl std::fmt::Display for Table<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sum = |lines: &[(&str, usize)]| lines.iter().map(|(_, bytes)| bytes).sum::<usize>();
        let (shown, rest) = self.lines.split_at(self.lines.len().min(SHOWN));
        let mut text = format!("{:>9}  {}\n", "bytes", self.title);
        for (name, bytes) in shown {
            let name: String = name.chars().take(NAME_CHARS).collect();
            writeln!(text, "{bytes:>9}  {name}")?;
        }
        if !rest.is_empty() {
            writeln!(text, "{:>9}  {} more", sum(rest), rest.len())?;
        }
        writeln!(text, "{:>9}  in all", sum(&self.lines))?;
        formatter.write_str(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_is_counted_to_the_crate_that_its_name_begins_with() {
        for (name, expected) in [
            ("microsoft_esd::cis::wire::read", "microsoft_esd"),
            ("<&alloc::vec::Vec<u8> as core::fmt::Debug>::fmt", "alloc"),
            ("<dyn core::any::Any>::is", "core"),
            (
                "<&mut serde_json::Deserializer<R> as serde::Deserializer>::x",
                "serde_json",
            ),
            ("dlmalloc", "others (C library, generated)"),
        ] {
            assert_eq!(crate_of(name), expected, "{name}");
        }
    }

    #[test]
    fn the_bytes_of_functions_are_found_under_their_names_behind_the_imports() {
        // A module with one imported function, and a body of 3 bytes named `app::run`.
        let module = [
            &b"\0asm\x01\0\0\0"[..],
            &[1, 4, 1, 0x60, 0, 0],
            &[2, 7, 1, 1, b'm', 1, b'f', 0, 0],
            &[3, 2, 1, 0],
            &[10, 5, 1, 3, 0, 1, 0x0b],
            &[0, 18, 4, b'n', b'a', b'm', b'e', 1, 11, 1, 1, 8],
            b"app::run",
        ]
        .concat();
        let contents = Contents::of(&module).unwrap();
        assert_eq!(contents.functions, Bytes::from([("app::run".to_owned(), 3)]));
        assert_eq!(contents.crates(), Bytes::from([("app".to_owned(), 3)]));
        assert_eq!(contents.sections["code"], 5);
    }

    #[test]
    fn what_is_no_component_is_refused() {
        assert!(Contents::of(b"not wasm").is_err());
    }

    #[test]
    fn a_table_ends_with_the_sum_of_all() {
        let bytes: Bytes = (0..40).map(|i| (format!("f{i}"), i)).collect();
        let table = Table::new("functions", &bytes).to_string();
        assert!(
            table.starts_with("    bytes  functions\n       39  f39\n"),
            "{table}"
        );
        assert!(
            table.ends_with("       45  10 more\n      780  in all\n"),
            "{table}"
        );
    }
}
