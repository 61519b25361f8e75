//! The index of all codes of errors, `docs/errors.md`, made from the sources: what is wrong is said by an error's documentation or message, and
//! what helps by its advice.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use syn::punctuated::Punctuated;
use syn::visit::{self, Visit};
use syn::{
    Arm, Attribute, Expr, ExprCall, ExprMethodCall, Fields, ImplItemFn, Item, ItemFn, ItemImpl, Lit, Local,
    Pat, Token, Type,
};

use crate::codes::{codes, every_source};
use crate::files::is_for_tests;

const INDEX: &str = "docs/errors.md";
/// The variable that has the index written anew.
const WRITE: &str = "BSS_WRITE_ERRORS";
/// The file of the words for advice: the function `words` has one arm for each.
const WORDS_OF_ADVICE: &str = "host-harness/cli/src/cli/failure.rs";
/// What stands between two of several causes, and cures.
const OR: &str = "; or: ";

const HEAD: &str = "\
# Errors: all codes

Made from the sources, by a test that fails where this page is not what they say. With `--json`, an error has `code` and `kind`
([exit codes](operator.md)); so has a problem of [the API](api.md#problems). Where a code has several causes, each stands here; `…` stands for
a value, and where nothing helps but what the message says, nothing does here. Codes of problems that a plugin names by itself, and those of a form's fields, are on the pages of
[instances](operator/instances.md#the-form-step-by-step) and [certificates](operator/certificates.md#certificate-files). What belongs to a code
beside that stands where the [operator's pages](operator.md) speak of it.

| Code | Kind | What is wrong | What helps | Made in |
|---|---|---|---|---|
";

/// What is known of one place that makes an error.
#[derive(Default)]
struct Place {
    code: String,
    kind: String,
    cause: Option<String>,
    cure: Option<String>,
    /// The function around it, by which others of the file call it.
    function: String,
}

/// The first sentences of the documentation of types and their variants: `Type` and `Type::Variant`.
type Documentation = BTreeMap<String, String>;

/// The words of each advice.
type Words = BTreeMap<String, String>;

/// The places of one file.
struct Places<'a> {
    documentation: &'a Documentation,
    words: &'a Words,
    found: Vec<Place>,
    /// The variants or the type that the code under the eye is about.
    about: Vec<String>,
    of_type: String,
    function: String,
    bound: BTreeMap<String, String>,
    /// Functions of the file that are called for something, and what for.
    called: Vec<(String, String)>,
}

/// The first sentence of a documentation.
fn first_sentence(attributes: &[Attribute]) -> Option<String> {
    let lines = attributes.iter().filter_map(|attribute| {
        let documented = attribute.meta.require_name_value().ok()?;
        let Expr::Lit(literal) = &documented.value else {
            return None;
        };
        match &literal.lit {
            Lit::Str(text) if documented.path.is_ident("doc") => Some(text.value().trim().to_owned()),
            _ => None,
        }
    });
    let text = lines.collect::<Vec<_>>().join(" ");
    let paragraph = text.split("  ").next().unwrap_or_default();
    let end = paragraph.find(". ").unwrap_or(paragraph.len());
    let sentence = paragraph[..end].trim_end_matches('.').to_owned();
    (!sentence.is_empty()).then_some(sentence)
}

/// What an error says, in which each value is left out.
fn said(attributes: &[Attribute]) -> Option<String> {
    let error = attributes
        .iter()
        .find(|attribute| attribute.path().is_ident("error"))?;
    let parts = error.parse_args_with(Punctuated::<Expr, Token![,]>::parse_terminated);
    match parts.ok()?.first()? {
        Expr::Lit(literal) => match &literal.lit {
            Lit::Str(text) => Some(without_values(&text.value())),
            _ => None,
        },
        _ => None,
    }
}

/// A format with `…` for each value.
fn without_values(format: &str) -> String {
    let mut text = String::new();
    let mut rest = format;
    while let Some((before, after)) = rest.split_once('{') {
        text.push_str(before);
        if let Some(literal) = after.strip_prefix('{') {
            text.push('{');
            rest = literal;
        } else {
            text.push('…');
            rest = after.split_once('}').map_or("", |(_, after)| after);
        }
    }
    (text + rest).replace("}}", "}")
}

/// The last name of a path.
fn last_name(path: &syn::Path) -> String {
    path.segments
        .last()
        .map_or_else(String::new, |last| last.ident.to_string())
}

/// The names of a path from the end: a type and what it has.
fn last_two(path: &syn::Path) -> (String, String) {
    let names: Vec<_> = path.segments.iter().map(|part| part.ident.to_string()).collect();
    let of = names
        .len()
        .checked_sub(2)
        .map_or_else(String::new, |at| names[at].clone());
    (of, last_name(path))
}

fn type_name(of: &Type) -> String {
    match of {
        Type::Path(path) => last_name(&path.path),
        _ => String::new(),
    }
}

/// The texts of an expression, joined where there are several.
fn text_of(expression: &Expr, words: &Words, bound: &BTreeMap<String, String>) -> Option<String> {
    let of = |expression: &Expr| text_of(expression, words, bound);
    let last_of = |block: &syn::Block| match block.stmts.last()? {
        syn::Stmt::Expr(last, _) => of(last),
        _ => None,
    };
    match expression {
        Expr::Lit(literal) => match &literal.lit {
            Lit::Str(text) => Some(text.value()),
            _ => None,
        },
        Expr::Macro(format) if last_name(&format.mac.path) == "format" => {
            let parts = format
                .mac
                .parse_body_with(Punctuated::<Expr, Token![,]>::parse_terminated);
            let parts = parts.ok()?;
            let Expr::Lit(literal) = parts.first()? else {
                return None;
            };
            match &literal.lit {
                Lit::Str(text) => Some(without_values(&text.value())),
                _ => None,
            }
        }
        Expr::Reference(reference) => of(&reference.expr),
        Expr::Paren(inner) => of(&inner.expr),
        Expr::Return(returned) => of(returned.expr.as_deref()?),
        Expr::Block(block) => last_of(&block.block),
        Expr::MethodCall(call) => of(&call.receiver).or_else(|| joined(call.args.iter().filter_map(of))),
        Expr::Closure(closure) => of(&closure.body),
        Expr::Path(path) => {
            let (of_type, name) = last_two(&path.path);
            match of_type.as_str() {
                "Advice" => words.get(&name).cloned(),
                _ => bound.get(&name).cloned(),
            }
        }
        Expr::Struct(advice) => words.get(&last_name(&advice.path)).cloned(),
        Expr::Call(call) => of(call.args.first()?),
        Expr::If(either) => {
            let texts = [last_of(&either.then_branch), of(&either.else_branch.as_ref()?.1)];
            joined(texts.into_iter().flatten())
        }
        Expr::Match(choice) => joined(choice.arms.iter().filter_map(|arm| of(&arm.body))),
        _ => None,
    }
}

/// Different texts on one line.
fn joined(texts: impl IntoIterator<Item = String>) -> Option<String> {
    let mut different: Vec<String> = Vec::new();
    for text in texts {
        for part in text.split(OR) {
            if !different.iter().any(|known| known == part) {
                different.push(part.to_owned());
            }
        }
    }
    (!different.is_empty()).then(|| different.join(OR))
}

/// The kind and the code among arguments that have one after the other, and the argument behind them.
fn kind_and_code<'a>(
    arguments: impl IntoIterator<Item = &'a Expr>,
) -> Option<(String, String, Option<&'a Expr>)> {
    let arguments: Vec<_> = arguments.into_iter().collect();
    arguments.windows(2).enumerate().find_map(|(at, pair)| {
        let [Expr::Path(kind), Expr::Lit(code)] = pair else {
            return None;
        };
        let ((of, kind), Lit::Str(code)) = (last_two(&kind.path), &code.lit) else {
            return None;
        };
        (of == "ErrorKind").then(|| (kind, code.value(), arguments.get(at + 2).copied()))
    })
}

impl Places<'_> {
    fn text(&self, expression: &Expr) -> Option<String> {
        text_of(expression, self.words, &self.bound)
    }

    /// Adds the place of an error that is made by a call with advice behind it. `false`: the expression makes none.
    fn add(&mut self, expression: &Expr) -> bool {
        let mut made = expression;
        let mut cure = None;
        while let Expr::MethodCall(ExprMethodCall {
            receiver,
            method,
            args,
            ..
        }) = made
        {
            if ["say", "hint", "advise"].contains(&method.to_string().as_str()) {
                cure = cure.or_else(|| self.text(args.first()?));
            }
            made = receiver;
        }
        let arguments = match made {
            Expr::Call(call) => kind_and_code(&call.args),
            Expr::Tuple(tuple) => kind_and_code(&tuple.elems),
            _ => None,
        };
        let Some((kind, code, message)) = arguments else {
            return false;
        };
        let documented = joined(
            self.about
                .iter()
                .filter_map(|about| self.documentation.get(about).cloned()),
        );
        let message = message.and_then(|message| self.text(message));
        self.found.push(Place {
            code,
            kind,
            cause: documented.or(message),
            cure,
            function: self.function.clone(),
        });
        true
    }

    fn enter_function(&mut self, name: String) {
        self.function = name;
        self.bound.clear();
    }

    /// Gives an error that a function of the file makes for others the causes for which they call it.
    fn settle(&mut self) {
        let called = &self.called;
        for place in &mut self.found {
            let causes = called.iter().filter(|(name, _)| *name == place.function);
            let causes = joined(causes.map(|(_, cause)| cause.clone()));
            place.cause = place.cause.take().or(causes);
        }
    }
}

impl<'ast> Visit<'ast> for Places<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        let attributes = match item {
            Item::Mod(item) => &item.attrs,
            Item::Fn(item) => &item.attrs,
            Item::Impl(item) => &item.attrs,
            _ => &Vec::new(),
        };
        if !is_for_tests(attributes) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_impl(&mut self, item: &'ast ItemImpl) {
        self.of_type = type_name(&item.self_ty);
        let is_diagnosis = item
            .trait_
            .as_ref()
            .is_some_and(|(_, of, _)| last_name(of) == "Diagnose");
        self.about = is_diagnosis.then(|| self.of_type.clone()).into_iter().collect();
        visit::visit_item_impl(self, item);
        self.about.clear();
    }

    fn visit_item_fn(&mut self, item: &'ast ItemFn) {
        self.enter_function(item.sig.ident.to_string());
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast ImplItemFn) {
        self.enter_function(item.sig.ident.to_string());
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_local(&mut self, local: &'ast Local) {
        if let (Pat::Ident(name), Some(value)) = (&local.pat, &local.init)
            && let Some(text) = self.text(&value.expr)
        {
            self.bound.insert(name.ident.to_string(), text);
        }
        visit::visit_local(self, local);
    }

    fn visit_arm(&mut self, arm: &'ast Arm) {
        let mut variants = Variants::default();
        variants.visit_pat(&arm.pat);
        let name = |(of, variant): (String, String)| match of.as_str() {
            "Self" => format!("{}::{variant}", self.of_type),
            of => format!("{of}::{variant}"),
        };
        let known: Vec<_> = variants.0.into_iter().map(name).collect();
        let known: Vec<_> = known
            .into_iter()
            .filter(|name| self.documentation.contains_key(name))
            .collect();
        let outer = self.about.clone();
        if !known.is_empty() {
            self.about = known;
        }
        visit::visit_arm(self, arm);
        self.about = outer;
    }

    fn visit_expr(&mut self, expression: &'ast Expr) {
        if let Expr::Call(ExprCall { func, .. }) = expression
            && let Expr::Path(function) = &**func
        {
            let causes = joined(
                self.about
                    .iter()
                    .filter_map(|about| self.documentation.get(about).cloned()),
            );
            self.called
                .extend(causes.map(|cause| (last_name(&function.path), cause)));
        }
        if !self.add(expression) {
            visit::visit_expr(self, expression);
        }
    }
}

/// The variants that a pattern names.
#[derive(Default)]
struct Variants(Vec<(String, String)>);

impl<'ast> Visit<'ast> for Variants {
    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.0.push(last_two(path));
    }
}

fn documentation_of(file: &syn::File, found: &mut Documentation) {
    for item in &file.items {
        let (name, attributes) = match item {
            Item::Enum(item) => (item.ident.to_string(), &item.attrs),
            Item::Struct(item) if !matches!(item.fields, Fields::Unit) || !item.attrs.is_empty() => {
                (item.ident.to_string(), &item.attrs)
            }
            _ => continue,
        };
        if let Item::Enum(item) = item {
            let variants = item.variants.iter().filter_map(|variant| {
                let sentence = first_sentence(&variant.attrs).or_else(|| said(&variant.attrs));
                Some((format!("{name}::{}", variant.ident), sentence?))
            });
            found.extend(variants);
        }
        found.extend(first_sentence(attributes).map(|sentence| (name, sentence)));
    }
}

/// The words of each advice, from the arms of the function that has them.
fn words_of_advice() -> Words {
    let text = std::fs::read_to_string(root().join(WORDS_OF_ADVICE)).expect("a source");
    let file = syn::parse_file(&text).expect("a source");
    let mut arms = AdviceArms::default();
    for item in &file.items {
        if let Item::Fn(function) = item
            && function.sig.ident == "words"
        {
            arms.visit_item_fn(function);
        }
    }
    arms.0
}

#[derive(Default)]
struct AdviceArms(Words);

impl<'ast> Visit<'ast> for AdviceArms {
    fn visit_arm(&mut self, arm: &'ast Arm) {
        let mut variants = Variants::default();
        variants.visit_pat(&arm.pat);
        let text = text_of(&arm.body, &Words::new(), &BTreeMap::new());
        for (_, variant) in variants.0 {
            self.0.extend(text.clone().map(|text| (variant, text)));
        }
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A cell of a table. What the sources have as a link or a tag is text.
fn cell(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let parts = text.split('`').enumerate().map(|(at, part)| match at % 2 {
        0 => part.replace('<', "&lt;").replace("[", "").replace("]", ""),
        _ => part.to_owned(),
    });
    parts.collect::<Vec<_>>().join("`").replace('|', "\\|")
}

/// `NotFound` as `not-found`.
fn word(kind: &str) -> String {
    let mut word = String::new();
    for letter in kind.chars() {
        if letter.is_uppercase() && !word.is_empty() {
            word.push('-');
        }
        word.extend(letter.to_lowercase());
    }
    word
}

/// Each place that makes an error with a code, with its file.
fn places(sources: &[(PathBuf, String)], words: &Words) -> Vec<(PathBuf, Place)> {
    let parsed: Vec<_> = sources
        .iter()
        .map(|(path, text)| (path, text, syn::parse_file(text).expect("a source")))
        .collect();
    let mut everywhere = Documentation::new();
    for (_, _, file) in &parsed {
        documentation_of(file, &mut everywhere);
    }
    let mut all = Vec::new();
    for (path, text, file) in &parsed {
        // Two types of one name are told apart by their files.
        let mut documentation = everywhere.clone();
        documentation_of(file, &mut documentation);
        let mut places = Places {
            documentation: &documentation,
            words,
            found: Vec::new(),
            about: Vec::new(),
            of_type: String::new(),
            function: String::new(),
            bound: BTreeMap::new(),
            called: Vec::new(),
        };
        places.visit_file(file);
        places.settle();
        let mut found = places.found;
        let known: BTreeSet<_> = found.iter().map(|place| place.code.clone()).collect();
        // What stands in a macro is no expression: its code is known, and no more.
        let others = codes(text).into_iter().filter(|(_, code)| !known.contains(code));
        found.extend(others.map(|(kind, code)| Place {
            code,
            kind,
            ..Place::default()
        }));
        all.extend(found.into_iter().map(|place| (path.to_path_buf(), place)));
    }
    all
}

/// The index as it should be.
fn index(places: &[(PathBuf, Place)]) -> String {
    let mut codes: BTreeMap<&str, Vec<&(PathBuf, Place)>> = BTreeMap::new();
    for place in places {
        codes.entry(&place.1.code).or_default().push(place);
    }
    let mut text = HEAD.to_owned();
    for (code, places) in codes {
        let causes = joined(places.iter().filter_map(|(_, place)| place.cause.clone()));
        let cures = joined(places.iter().filter_map(|(_, place)| place.cure.clone()));
        let files: BTreeSet<_> = places
            .iter()
            .map(|(path, _)| path.strip_prefix(root().join("host-harness")).unwrap_or(path))
            .map(|path| format!("`{}`", path.display()))
            .collect();
        let kind = word(&places[0].1.kind);
        let cells = [causes, cures].map(|text| cell(&text.unwrap_or_default()));
        let files = files.into_iter().collect::<Vec<_>>().join(", ");
        text += &format!(
            "| <a id=\"{code}\"></a>`{code}` | {kind} | {} | {} | {files} |\n",
            cells[0], cells[1]
        );
    }
    text
}

#[test]
fn the_index_of_errors_is_what_the_sources_say() {
    let places = places(&every_source(), &words_of_advice());
    let made = index(&places);
    let file = root().join(INDEX);
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(&file, &made).expect("the index is written");
    }
    let committed = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        committed == made,
        "{INDEX} is not what the sources say. This writes it anew: {WRITE}=1 cargo test -p {} --test architecture errors",
        env!("CARGO_PKG_NAME")
    );
    let explained = places.iter().filter(|(_, place)| place.cause.is_some()).count();
    assert!(
        explained * 10 > places.len() * 8,
        "{explained} of {} have a cause",
        places.len()
    );
}

#[test]
fn an_error_is_told_with_its_cause_and_its_cure() {
    let source = r#"
        /// A thing is wrong.
        enum Wrong {
            /// The file is gone. More of it.
            Gone { path: String },
            /// The disk is full.
            Full,
        }
        impl Diagnose for Wrong {
            fn diagnosis(&self) -> Diagnosis {
                match self {
                    Self::Gone { .. } => Diagnosis::new(ErrorKind::NotFound, "gone").say("bring | it back"),
                    Self::Full => full(),
                }
            }
        }
        fn full() -> Diagnosis { Diagnosis::new(ErrorKind::Unavailable, "full").advise(Advice::Restore { id: 1 }) }
        fn refuse(name: &str) -> Failure {
            let message = format!("no {name} here");
            Failure::new(ErrorKind::NotFound, "none", message)
        }
    "#;
    let words = Words::from([("Restore".to_owned(), "`bss-host restore`".to_owned())]);
    let sources = [(PathBuf::from("a.rs"), source.to_owned())];
    let index = index(&places(&sources, &words));
    let rows: Vec<_> = index.strip_prefix(HEAD).expect("the head").lines().collect();
    assert_eq!(
        rows,
        [
            "| <a id=\"full\"></a>`full` | unavailable | The disk is full | `bss-host restore` | `a.rs` |",
            "| <a id=\"gone\"></a>`gone` | not-found | The file is gone | bring \\| it back | `a.rs` |",
            "| <a id=\"none\"></a>`none` | not-found | no … here |  | `a.rs` |",
        ]
    );
}
