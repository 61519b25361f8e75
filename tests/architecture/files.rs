//! Which file imports which, inside each crate: no circles, but for a child that implements its parent's type.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use syn::visit::{self, Visit};
use syn::{Attribute, Item, ItemImpl, ItemMod, ItemUse, Type, UseTree};

/// The source folders of the crates whose files are looked at.
const SOURCES: [&str; 10] = [
    "src",
    "xtask/src",
    "host-harness/src",
    "host-harness/bench/src",
    "host-harness/cli/src",
    "host-harness/keys/src",
    "host-harness/model/src",
    "host-harness/record/src",
    "host-harness/sandbox/src",
    "host-harness/simulator/src",
];

type ModulePath = Vec<String>;

/// The imports of one file: absolute paths within its crate.
#[derive(Default)]
struct Imports {
    /// The module of the file, followed by modules that are written out in it.
    module: ModulePath,
    /// Modules that are files of their own below this one.
    children: BTreeSet<String>,
    paths: BTreeSet<ModulePath>,
    /// Types that the file has an `impl` for.
    implemented: BTreeSet<String>,
}

fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let tokens = match &attribute.meta {
            syn::Meta::List(list) => list.tokens.to_string(),
            _ => String::new(),
        };
        attribute.path().is_ident("cfg") && tokens == "test"
    })
}

impl Imports {
    /// The absolute path that a path in this file stands for. `None`: it leads out of the crate, or to a name of this file.
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

    fn add_tree(&mut self, before: &[String], tree: &UseTree) {
        let with = |name: &syn::Ident| [before, &[name.to_string()]].concat();
        match tree {
            UseTree::Path(path) => self.add_tree(&with(&path.ident), &path.tree),
            UseTree::Name(name) => self.add(&with(&name.ident)),
            UseTree::Rename(rename) => self.add(&with(&rename.ident)),
            UseTree::Glob(_) => self.add(before),
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.add_tree(before, tree)),
        }
    }
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
        self.add_tree(&[], &item.tree);
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
        let segments: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if segments.len() > 1 {
            self.add(&segments);
        }
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
                let mut module: ModulePath = relative.iter().map(|part| part.to_string_lossy().into_owned()).collect();
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

/// The imports of each file that lead to another one.
fn arrows(modules: &BTreeMap<ModulePath, PathBuf>) -> BTreeMap<ModulePath, BTreeSet<ModulePath>> {
    modules
        .iter()
        .map(|(module, path)| {
            let text = fs::read_to_string(path).expect("a file");
            let parsed = syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let below = modules.keys().filter(|other| other.len() == module.len() + 1 && other.starts_with(module));
            let mut imports = Imports {
                module: module.clone(),
                children: below.filter_map(|child| child.last().cloned()).collect(),
                ..Imports::default()
            };
            imports.visit_file(&parsed);
            (module.clone(), targets(module, &imports, modules))
        })
        .collect()
}

/// The files that a file's imports lead to, but for a parent whose type it implements.
fn targets(
    module: &ModulePath,
    imports: &Imports,
    modules: &BTreeMap<ModulePath, PathBuf>,
) -> BTreeSet<ModulePath> {
    let mut targets = BTreeSet::new();
    for path in &imports.paths {
        let file = (0..=path.len()).rev().map(|length| &path[..length]).find(|&part| modules.contains_key(part));
        let Some(file) = file.filter(|file| *file != module.as_slice()) else {
            continue;
        };
        let is_parent = module.starts_with(file);
        let name = path.get(file.len());
        let implements_it = name.is_some_and(|name| imports.implemented.contains(name));
        if !(is_parent && implements_it) {
            targets.insert(file.to_vec());
        }
    }
    targets
}

/// Files that import each other, directly or by way of others: each group sorted.
fn circles(arrows: &BTreeMap<ModulePath, BTreeSet<ModulePath>>) -> BTreeSet<Vec<String>> {
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
    let in_a_circle = arrows.keys().filter(|&module| reached[module].contains(module));
    in_a_circle
        .map(|module| {
            let together = reached[module].iter().filter(|other| reached[**other].contains(module));
            together.map(|other| name(other)).collect()
        })
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
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let found: Vec<_> = SOURCES
        .iter()
        .flat_map(|source| circles(&arrows(&modules(&root.join(source)))).into_iter().map(move |circle| (source, circle)))
        .collect();
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn a_circle_is_found_and_a_child_that_implements_its_parent_s_type_is_none() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("a file");
    write("lib.rs", "mod orders; mod mails; pub struct Record;");
    write("orders.rs", "use crate::Record; impl Record { fn place(&self) {} }");
    write("mails.rs", "use super::orders; #[cfg(test)] mod tests { use super::super::orders::x; }");
    let of = || circles(&arrows(&modules(folder.path())));
    assert!(of().is_empty(), "{:?}", of());
    write("orders.rs", "use crate::mails::send; use crate::Record; impl Record {}");
    assert_eq!(of(), BTreeSet::from([vec!["mails".to_owned(), "orders".to_owned()]]));
    write("orders.rs", "fn place() { crate::mails::send() }");
    assert_eq!(of().len(), 1, "a path in code counts as well");
    write("orders.rs", "use crate::Record; fn place(_: Record) {}");
    write("lib.rs", "mod orders; mod mails; pub use orders::place; pub struct Record;");
    assert_eq!(of().len(), 1, "a parent's type that is not implemented counts");
}
