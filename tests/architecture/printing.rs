//! What the program prints: all of it goes through the file that keeps text from outside from steering a terminal.

use std::path::{Path, PathBuf};

/// The folder of the program, and the files in it that may write to the standard output and error.
const PROGRAM: &str = "host-harness/cli/src";
const MAY_WRITE: [&str; 1] = ["output.rs"];

/// Ways to write there. To ask whether it is a terminal, to log, and to draw a bar, are others.
const WAYS: [&str; 4] = [".print()", "print!", "println!", "dbg!"];

/// The way in which a source writes to the standard output or error. `None`: it does not.
fn way(text: &str) -> Option<&'static str> {
    let streams = ["stdout()", "stderr()"].into_iter().find(|stream| {
        let mut uses = text.match_indices(stream);
        uses.any(|(at, _)| {
            let (before, after) = (&text[..at], &text[at + stream.len()..]);
            let is_asked = after.starts_with(".is_terminal()") || before.ends_with("use_");
            !(is_asked || before.ends_with("ProgressDrawTarget::"))
        })
    });
    streams.or_else(|| WAYS.into_iter().find(|way| text.contains(way)))
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths
        .flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] })
        .collect()
}

#[test]
fn one_file_of_the_program_prints() {
    let mut may_write = 0;
    for path in sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join(PROGRAM)) {
        let text = std::fs::read_to_string(&path).expect("a source");
        let way = way(&text);
        if MAY_WRITE.iter().any(|name| path.ends_with(name)) {
            may_write += usize::from(way.is_some());
        } else {
            assert_eq!(way, None, "{} does not print through `output`", path.display());
        }
    }
    assert_eq!(may_write, MAY_WRITE.len(), "the ways are those that are used");
}
