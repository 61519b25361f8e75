//! Imports between the files of a crate: no circles, but for a child that implements its parent's type.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use syn::ext::IdentExt;
use syn::parse::{ParseStream, Parser};
use syn::visit::{self, Visit};
use syn::{Attribute, Item, ItemImpl, ItemMod, ItemUse, Token, Type, UseTree, Visibility};

use crate::crates::source_folders;

type ModulePath = Vec<String>;

/// The imports of one file: absolute paths within its crate.
#[derive(Default)]
struct Imports {
    /// The module of the file, followed by modules that are written out in it.
    module: ModulePath,
    /// Modules that are files of their own below this one.
    children: BTreeSet<String>,
    paths: BTreeSet<ModulePath>,
    /// What the names stand for that the file imports, and maybe exports again.
    names: BTreeMap<String, ModulePath>,
    /// The first segments of all paths in the code.
    used: BTreeSet<String>,
    /// Types that the file has an `impl` for.
    implemented: BTreeSet<String>,
}

pub(crate) fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let tokens = match &attribute.meta {
            syn::Meta::List(list) => list.tokens.to_string(),
            _ => String::new(),
        };
        attribute.path().is_ident("cfg") && tokens == "test"
    })
}

impl Imports {
    /// The absolute path that a path in this file stands for. `None`: it leads out of the crate, or to a name of this
    /// file.
    fn absolute(&self, segments: &[String]) -> Option<ModulePath> {
        let (first, rest) = segments.split_first()?;
        match first.as_str() {
            "crate" => Some(rest.to_vec()),
            "self" => Some([self.module.as_slice(), rest].concat()),
            "super" => {
                let mut module = self.module.clone();
                module.pop()?;
                let mut rest = rest;
                while let Some((next, after)) = rest.split_first().filter(|(next, _)| *next == "super") {
                    let _ = next;
                    module.pop()?;
                    rest = after;
                }
                Some([module.as_slice(), rest].concat())
            }
            child if self.children.contains(child) => Some([self.module.as_slice(), segments].concat()),
            _ => None,
        }
    }

    fn add(&mut self, segments: &[String]) {
        if let Some(path) = self.absolute(segments) {
            self.paths.insert(path);
        }
    }

    /// Adds a path in code.
    fn add_path(&mut self, segments: &[String]) {
        self.used.extend(segments.first().cloned());
        if segments.len() > 1 {
            self.add(segments);
        }
    }

    /// Adds the imported names that the code uses. One that is only exported again is no import.
    fn count_names_in_use(&mut self) {
        let in_use = self.names.iter().filter(|(name, _)| self.used.contains(*name));
        self.paths.extend(in_use.map(|(_, path)| path.clone()));
    }

    fn add_name(&mut self, name: &str, segments: &[String], is_exported: bool) {
        let segments = match segments.split_last() {
            Some((last, module)) if last == "self" => module,
            _ => segments,
        };
        if !is_exported {
            self.add(segments);
        }
        if let Some(path) = self.absolute(segments) {
            self.names.insert(name.to_owned(), path);
        }
    }

    fn add_tree(&mut self, before: &[String], tree: &UseTree, is_exported: bool) {
        let with = |name: &syn::Ident| [before, &[name.to_string()]].concat();
        match tree {
            UseTree::Path(path) => self.add_tree(&with(&path.ident), &path.tree, is_exported),
            UseTree::Name(name) => self.add_name(&name.ident.to_string(), &with(&name.ident), is_exported),
            UseTree::Rename(rename) => {
                self.add_name(&rename.rename.to_string(), &with(&rename.ident), is_exported)
            }
            UseTree::Glob(_) => self.add(before),
            UseTree::Group(group) => group
                .items
                .iter()
                .for_each(|tree| self.add_tree(before, tree, is_exported)),
        }
    }
}

/// The paths among the tokens of a macro, within its groups as well. A path that begins with `::` leads out of the crate
/// and has an empty first segment.
fn tokens_paths(tokens: ParseStream<'_>) -> syn::Result<Vec<ModulePath>> {
    let mut paths = Vec::new();
    while !tokens.is_empty() {
        let mut path = Vec::new();
        if tokens.peek(syn::Ident::peek_any) {
            path.push(tokens.call(syn::Ident::parse_any)?.to_string());
        } else if tokens.peek(Token![::]) && tokens.peek3(syn::Ident::peek_any) {
            path.push(String::new());
        } else {
            let group = tokens.step(|cursor| match (cursor.any_group(), cursor.token_tree()) {
                (Some((inner, .., rest)), _) => Ok((Some(inner.token_stream()), rest)),
                (None, Some((_, rest))) => Ok((None, rest)),
                (None, None) => Err(cursor.error("a token")),
            })?;
            if let Some(inner) = group {
                paths.extend(tokens_paths.parse2(inner)?);
            }
        }
        while !path.is_empty() && tokens.peek(Token![::]) && tokens.peek3(syn::Ident::peek_any) {
            tokens.parse::<Token![::]>()?;
            path.push(tokens.call(syn::Ident::parse_any)?.to_string());
        }
        paths.extend((!path.is_empty()).then_some(path));
    }
    Ok(paths)
}

impl<'ast> Visit<'ast> for Imports {
    fn visit_item(&mut self, item: &'ast Item) {
        let attributes = match item {
            Item::Mod(item) => &item.attrs,
            Item::Use(item) => &item.attrs,
            Item::Fn(item) => &item.attrs,
            Item::Impl(item) => &item.attrs,
            _ => &Vec::new(),
        };
        if !is_for_tests(attributes) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_mod(&mut self, module: &'ast ItemMod) {
        if module.content.is_some() {
            self.module.push(module.ident.to_string());
            visit::visit_item_mod(self, module);
            self.module.pop();
        }
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        let is_exported = !matches!(item.vis, Visibility::Inherited);
        self.add_tree(&[], &item.tree, is_exported);
    }

    /// Says who may see an item, and imports nothing.
    fn visit_visibility(&mut self, _: &'ast Visibility) {}

    fn visit_macro(&mut self, item: &'ast syn::Macro) {
        // The tokens in a macro need not be Rust: each path among them counts, and each name as used.
        let paths = tokens_paths.parse2(item.tokens.clone());
        for path in paths.unwrap_or_else(|error| panic!("{error}: {}", item.tokens)) {
            self.add_path(&path);
        }
        let words = item.tokens.to_string();
        let words = words.split(|c: char| !c.is_alphanumeric() && c != '_');
        self.used.extend(words.map(str::to_owned));
        visit::visit_macro(self, item);
    }

    fn visit_item_impl(&mut self, item: &'ast ItemImpl) {
        if let Type::Path(path) = &*item.self_ty
            && let Some(last) = path.path.segments.last()
        {
            self.implemented.insert(last.ident.to_string());
        }
        visit::visit_item_impl(self, item);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<String> = path
            .segments
            .iter()
            .map(|segment| segment.ident.to_string())
            .collect();
        self.add_path(&segments);
        visit::visit_path(self, path);
    }
}

/// The Rust files of a folder by their modules, those that are for tests alone left out.
fn modules(source: &Path) -> BTreeMap<ModulePath, PathBuf> {
    let mut found = BTreeMap::new();
    let mut folders = vec![source.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let relative = path.strip_prefix(source).expect("below").with_extension("");
                let mut module: ModulePath = relative
                    .iter()
                    .map(|part| part.to_string_lossy().into_owned())
                    .collect();
                if module == ["lib"] || module == ["main"] {
                    module.clear();
                }
                if module.last().is_none_or(|last| last != "tests") {
                    found.insert(module, path);
                }
            }
        }
    }
    found
}

/// The imports of each file.
fn imports(modules: &BTreeMap<ModulePath, PathBuf>) -> BTreeMap<ModulePath, Imports> {
    modules
        .iter()
        .map(|(module, path)| {
            let text = fs::read_to_string(path).expect("a file");
            let parsed = syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let below = modules
                .keys()
                .filter(|other| other.len() == module.len() + 1 && other.starts_with(module));
            let mut imports = Imports {
                module: module.clone(),
                children: below.filter_map(|child| child.last().cloned()).collect(),
                ..Imports::default()
            };
            imports.visit_file(&parsed);
            imports.count_names_in_use();
            (module.clone(), imports)
        })
        .collect()
}

/// The files that each file imports from.
fn arrows(modules: &BTreeMap<ModulePath, PathBuf>) -> BTreeMap<ModulePath, BTreeSet<ModulePath>> {
    let all = imports(modules);
    all.keys()
        .map(|module| (module.clone(), targets(module, &all)))
        .collect()
}

/// The file that a path leads to, and the name that is meant in it. A name that a file only exports again is followed
/// to where it is defined.
fn definition<'a>(path: &[String], all: &'a BTreeMap<ModulePath, Imports>) -> (&'a Imports, Option<String>) {
    let mut path = path.to_vec();
    let mut followed = BTreeSet::new();
    loop {
        let file = (0..=path.len()).rev().find_map(|length| all.get(&path[..length]));
        let file = file.expect("the root is a file");
        let name = path.get(file.module.len()).cloned();
        let Some(meant) = name.as_ref().and_then(|name| file.names.get(name)) else {
            return (file, name);
        };
        let next = [meant.as_slice(), &path[file.module.len() + 1..]].concat();
        if !followed.insert(path) {
            return (file, name);
        }
        path = next;
    }
}

/// The files that a file's imports lead to, but for a parent whose type it implements.
fn targets(module: &ModulePath, all: &BTreeMap<ModulePath, Imports>) -> BTreeSet<ModulePath> {
    let imports = &all[module];
    let mut targets = BTreeSet::new();
    for path in &imports.paths {
        let (file, name) = definition(path, all);
        let is_parent = module.starts_with(&file.module);
        let implements_it = name.is_some_and(|name| imports.implemented.contains(&name));
        if file.module != *module && !(is_parent && implements_it) {
            targets.insert(file.module.clone());
        }
    }
    targets
}

/// The arrows that are part of a circle, such as `orders -> mails`.
fn circles(arrows: &BTreeMap<ModulePath, BTreeSet<ModulePath>>) -> BTreeSet<String> {
    let reachable = |from: &ModulePath| {
        let mut seen = BTreeSet::new();
        let mut next: Vec<_> = arrows[from].iter().collect();
        while let Some(module) = next.pop() {
            if seen.insert(module) {
                next.extend(&arrows[module]);
            }
        }
        seen
    };
    let reached: BTreeMap<_, _> = arrows.keys().map(|module| (module, reachable(module))).collect();
    let all = arrows
        .iter()
        .flat_map(|(from, to)| to.iter().map(move |to| (from, to)));
    all.filter(|(from, to)| reached[to].contains(from))
        .map(|(from, to)| format!("{} -> {}", name(from), name(to)))
        .collect()
}

fn name(module: &ModulePath) -> String {
    match module.is_empty() {
        true => "(root)".to_owned(),
        false => module.join("::"),
    }
}

#[test]
fn no_files_of_a_crate_import_each_other_in_a_circle() {
    let sources = source_folders();
    let found: Vec<_> = sources
        .iter()
        .flat_map(|source| {
            circles(&arrows(&modules(source)))
                .into_iter()
                .map(move |circle| (source, circle))
        })
        .collect();
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn a_circle_is_found_and_a_child_that_implements_its_parent_s_type_is_none() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("a file");
    write("lib.rs", "mod orders; mod mails; pub struct Record;");
    write(
        "orders.rs",
        "use crate::Record; impl Record { fn place(&self) {} }",
    );
    write(
        "mails.rs",
        "use super::orders; #[cfg(test)] mod tests { use super::super::orders::x; }",
    );
    let of = || circles(&arrows(&modules(folder.path())));
    assert!(of().is_empty(), "{:?}", of());
    write(
        "orders.rs",
        "use crate::mails::send; use crate::Record; impl Record {}",
    );
    let both = ["mails -> orders", "orders -> mails"].map(str::to_owned);
    assert_eq!(of(), BTreeSet::from(both));
    write("orders.rs", "pub(in crate::mails) fn place() {}");
    assert!(of().is_empty(), "who may see an item is no import: {:?}", of());
    write("orders.rs", "fn place() { crate::mails::send() }");
    assert_eq!(of().len(), 2, "a path in code counts as well");
    write("orders.rs", "fn place() { info!(n = [(crate::mails::sent())]) }");
    assert_eq!(of().len(), 2, "a path in a macro counts as well");
    write(
        "orders.rs",
        "fn place() { info!(\"crate::mails::sent\", ::mails::sent()) }",
    );
    assert_eq!(of().len(), 0, "a text is no path, and another crate no file");
    write("orders.rs", "use crate::Record; fn place(_: Record) {}");
    write(
        "lib.rs",
        "mod orders; mod mails; pub use orders::place; pub struct Record;",
    );
    assert_eq!(of().len(), 0, "what is only exported again is no import");
    write(
        "lib.rs",
        "mod orders; mod mails; pub struct Record; fn open() { orders::place(Record) }",
    );
    assert_eq!(of().len(), 2, "a parent's type that is not implemented counts");
}
