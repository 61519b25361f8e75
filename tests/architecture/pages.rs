//! The pages for people, and the commands in them. The tests of the program and of the chores include this file by its path.

use std::path::{Path, PathBuf};

/// Pages outside `docs`.
const OTHERS: [&str; 5] = [
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "README.md",
    "SECURITY.md",
    "examples/acme-keys/README.md",
];

/// Each page of a checkout, by its path in it, with its text.
pub(crate) fn pages(root: &Path) -> Vec<(PathBuf, String)> {
    let mut paths: Vec<_> = OTHERS.iter().map(PathBuf::from).collect();
    let mut folders = vec![PathBuf::from("docs")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(root.join(&folder)).expect("a folder") {
            let entry = entry.expect("an entry");
            let path = folder.join(entry.file_name());
            if entry.path().is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                paths.push(path);
            }
        }
    }
    paths.sort();
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(root.join(&path)).expect("a page");
        (path, text)
    };
    paths.into_iter().map(read).collect()
}

/// The commands in the blocks of `console` of a page, each as a shell would hand it over.
pub(crate) fn commands(page: &str) -> Vec<Vec<String>> {
    let mut commands = Vec::new();
    let mut is_console = false;
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if line.starts_with("```") {
            is_console = line == "```console";
        }
        let prompted = line.strip_prefix("$ ").or_else(|| line.strip_prefix("# "));
        let Some(command) = prompted.filter(|_| is_console) else {
            continue;
        };
        let mut command = command.to_owned();
        while let Some(begun) = command.strip_suffix('\\') {
            command = format!("{begun}{}", lines.next().unwrap_or_default());
        }
        commands.extend(simple_commands(&command));
    }
    commands
}

/// The arguments of a command, if it runs a program: directly, by its path, with variables before it, or as another user.
pub(crate) fn arguments<'a>(command: &'a [String], program: &str) -> Option<&'a [String]> {
    let is_variable = |word: &&String| {
        let name = word.split_once('=').map(|(name, _)| name);
        name.is_some_and(|name| name.chars().all(|c| c.is_ascii_uppercase() || c == '_'))
    };
    let mut rest = &command[command.iter().take_while(is_variable).count()..];
    if let [first, option, _, after @ ..] = rest
        && ["sudo", "runuser"].contains(&first.as_str())
        && option == "-u"
    {
        rest = after.strip_prefix(&["--".to_owned()]).unwrap_or(after);
    }
    let (first, arguments) = rest.split_first()?;
    let name = first.rsplit('/').next().unwrap_or(first);
    (name == program).then_some(arguments)
}

/// The simple commands of a shell's line in their words: without remarks, and without where the output goes.
fn simple_commands(line: &str) -> Vec<Vec<String>> {
    let mut commands = vec![Vec::new()];
    let mut word: Option<String> = None;
    let mut is_file = false;
    let mut characters = line.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\'' | '"' => {
                let quoted = characters.by_ref().take_while(|c| *c != character);
                word.get_or_insert_default().extend(quoted);
            }
            // A placeholder, as in `<pfxFile>`.
            '<' if characters.peek().is_some_and(char::is_ascii_alphabetic) => {
                let name: String = characters.by_ref().take_while(|c| *c != '>').collect();
                word.get_or_insert_default().push_str(&name);
            }
            '#' if word.is_none() => break,
            ' ' | '|' | ';' | '&' | '(' | ')' | '<' | '>' => {
                if let Some(word) = word.take()
                    && !std::mem::take(&mut is_file)
                    && let Some(command) = commands.last_mut()
                {
                    command.push(word);
                }
                match character {
                    ' ' => {}
                    '<' | '>' => is_file = true,
                    _ => commands.push(Vec::new()),
                }
            }
            other => word.get_or_insert_default().push(other),
        }
    }
    if let (Some(word), false, Some(command)) = (word, is_file, commands.last_mut()) {
        command.push(word);
    }
    commands.retain(|command| !command.is_empty());
    commands
}
