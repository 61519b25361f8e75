//! CSV files as spreadsheets save them, read record by record with the numbers of their lines.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::Path;

use bss_keys::decoded_text;
use bss_model::Problem;
use bss_model::text::visible;
use csv::{ReaderBuilder, StringRecord, Trim};

use super::failure::{Failure, unreadable};

/// The largest file that is read: a million lines are a tenth of it.
const FILE_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// Delimiters that are recognized where none is named.
const DELIMITERS: [u8; 3] = [b',', b';', b'\t'];
/// The letters of Windows-1252 from 0x80 on, of which there are 32; those above are Latin-1's. Five are none.
const WINDOWS_1252: &str = "€\u{81}‚ƒ„…†‡ˆ‰Š‹Œ\u{8d}Ž\u{8f}\u{90}‘’“”•–—˜™š›œ\u{9d}žŸ";

/// Reads the text of a file; `-` is the standard input. `what` names the file's kind in the failure to read it.
pub(super) fn text_of(path: &Path, what: &str) -> Result<String, Failure> {
    let bytes = match path.as_os_str() == "-" {
        true => bytes_of(io::stdin()),
        false => std::fs::File::open(path).and_then(bytes_of),
    };
    let bytes = bytes.map_err(|error| unreadable(&format!("{what} `{}`", path.display()), &error))?;
    Ok(decoded(&bytes))
}

fn bytes_of(file: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > FILE_BYTES_MAX {
        true => Err(io::ErrorKind::FileTooLarge.into()),
        false => Ok(bytes),
    }
}

/// The text of a file as spreadsheets save it: in UTF-8 or UTF-16, with a byte order mark or without, and else in Windows-1252, in
/// which every byte is a letter.
pub(super) fn decoded(bytes: &[u8]) -> String {
    match decoded_text(bytes) {
        Some(text) => text.trim_start_matches('\u{feff}').to_owned(),
        None => {
            let letters: Vec<char> = WINDOWS_1252.chars().collect();
            let letter = |byte: &u8| {
                let above = byte.checked_sub(0x80).and_then(|at| letters.get(usize::from(at)));
                above.copied().unwrap_or(char::from(*byte))
            };
            bytes.iter().map(letter).collect()
        }
    }
}

/// A record or what is wrong with it, and the number of its line, from 1.
pub(super) type Line<T> = (u64, Result<T, Problem>);

/// The records of a text. Without a delimiter, the text's own line `sep=;` names it, or the first record has it most often. Rows
/// of which nothing is left but delimiters are left out, as spreadsheets write them.
pub(super) fn records(text: &str, delimiter: Option<u8>) -> impl Iterator<Item = Line<StringRecord>> + '_ {
    let (told, rest) = separated(text);
    let lines_before = u64::from(told.is_some());
    let reader = ReaderBuilder::new()
        .delimiter(delimiter.or(told).unwrap_or_else(|| most_often(rest)))
        .trim(Trim::All)
        .has_headers(false)
        .flexible(true)
        .from_reader(rest.as_bytes());
    let lines = reader.into_records().map(move |record| match record {
        Ok(record) => (lines_before + line_at(rest, record.position()), Ok(record)),
        Err(error) => {
            let unreadable = Problem::new("line-unreadable", error.to_string(), "");
            (lines_before + line_at(rest, error.position()), Err(unreadable))
        }
    });
    lines.filter(|(_, record)| !matches!(record, Ok(record) if record.iter().all(str::is_empty)))
}

/// The lines of a text with two columns, a code and something of it; none of them twice. A first line with the `names` of both is left out.
pub(super) fn of_codes(text: &str, names: [&str; 2]) -> Vec<Line<(String, String)>> {
    let mut lines_of_codes = BTreeMap::new();
    let lines: Vec<_> = records(text, None).collect();
    let is_header = |record: &StringRecord| record.iter().map(str::to_lowercase).eq(names.iter().copied());
    let has_header = matches!(lines.first(), Some((_, Ok(first))) if is_header(first));
    let of_code = |(line, record): Line<StringRecord>| {
        let pair = record.and_then(|record| pair(&record, names));
        let pair = pair.and_then(|pair| match lines_of_codes.insert(pair.0.clone(), line) {
            None => Ok(pair),
            Some(before) => {
                let message = format!("`{}` is on line {before} already", visible(&pair.0));
                Err(Problem::new("repeated-code", message, ""))
            }
        });
        (line, pair)
    };
    lines
        .into_iter()
        .skip(usize::from(has_header))
        .map(of_code)
        .collect()
}

fn pair(record: &StringRecord, [first, second]: [&str; 2]) -> Result<(String, String), Problem> {
    let why = match (record.get(0), record.get(1), record.len()) {
        (Some(one), Some(other), 2) if !one.is_empty() && !other.is_empty() => {
            return Ok((one.to_owned(), other.to_owned()));
        }
        (_, _, 2) => "one of them is empty".to_owned(),
        (_, _, 1) => "this one has 1 column".to_owned(),
        (_, _, columns) => format!("this one has {columns} columns"),
    };
    let message = format!("a line has a {first} and a {second}, and {why}");
    Err(Problem::new("not-two-columns", message, ""))
}

/// Takes off the line by which a spreadsheet is told the delimiter, as in `sep=;`.
fn separated(text: &str) -> (Option<u8>, &str) {
    let first = text.split_inclusive('\n').next().unwrap_or_default();
    match first.trim_end_matches(['\r', '\n']).as_bytes() {
        [b's' | b'S', b'e' | b'E', b'p' | b'P', b'=', delimiter] => {
            (Some(*delimiter), text.get(first.len()..).unwrap_or_default())
        }
        _ => (None, text),
    }
}

/// The delimiter that is in the first line most often, beside what stands in quotation marks.
fn most_often(text: &str) -> u8 {
    let first = text
        .lines()
        .find(|line| !line.trim().is_empty())
        .unwrap_or_default();
    let unquoted: String = first.split('"').step_by(2).collect();
    let count = |delimiter: &u8| unquoted.bytes().filter(|byte| byte == delimiter).count();
    let most = DELIMITERS.into_iter().rev().max_by_key(count);
    most.unwrap_or(b',')
}

/// The line of a record. The reader takes what is left of a line's end, and empty lines, for the record behind them.
fn line_at(text: &str, position: Option<&csv::Position>) -> u64 {
    let Some(position) = position else { return 0 };
    let begin = usize::try_from(position.byte()).unwrap_or(usize::MAX);
    let rest = text.as_bytes().get(begin..).unwrap_or_default();
    let ends = rest.iter().take_while(|byte| b"\r\n".contains(byte));
    position.line() + ends.filter(|byte| **byte == b'\n').count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A code and a name, or what is wrong.
    type Read = Result<(String, String), String>;

    /// The lines of a text with codes and names, each with its number.
    fn named(text: &str) -> Vec<(u64, Read)> {
        let lines = of_codes(text, ["code", "name"]).into_iter();
        let told = lines.map(|(line, pair)| (line, pair.map_err(|problem| problem.message)));
        told.collect()
    }

    #[test]
    fn a_line_is_counted_as_an_editor_counts_it() {
        for (text, expected) in [
            ("a,1\nb,2\n", vec![1, 2]),
            ("a,1\r\nb,2\r\n", vec![1, 2]),
            ("a,1\r\n\r\n\r\nb,2\r\n", vec![1, 4]),
            ("\n\na,1\n,\nb,2", vec![3, 5]),
            ("a,\"1\n2\"\r\nb,2\r\nc,3", vec![1, 3, 4]),
            ("sep=;\r\na;1\r\nb;2", vec![2, 3]),
            ("code,name\r\na,1\r\nb,2", vec![2, 3]),
            ("", vec![]),
        ] {
            let lines: Vec<u64> = named(text).into_iter().map(|(line, _)| line).collect();
            assert_eq!(lines, expected, "{text:?}");
        }
    }

    #[test]
    fn a_line_has_a_code_and_a_name_which_may_stand_in_quotation_marks() {
        for (line, expected) in [
            ("A-1,Word", Ok(("A-1", "Word"))),
            ("A-1, Word ", Ok(("A-1", "Word"))),
            (r#""A-1","Word, ""new""""#, Ok(("A-1", "Word, \"new\""))),
            (r#""A,1";Word"#, Ok(("A,1", "Word"))),
            ("A-1\tWord", Ok(("A-1", "Word"))),
            ("A-1", Err("this one has 1 column")),
            ("A-1,", Err("one of them is empty")),
            (",Word", Err("one of them is empty")),
            ("A-1,Word,2", Err("this one has 3 columns")),
        ] {
            let [(1, read)] = <[_; 1]>::try_from(named(line)).unwrap() else {
                panic!("{line}");
            };
            match (read, expected) {
                (Ok((code, name)), Ok(expected)) => {
                    assert_eq!((code.as_str(), name.as_str()), expected, "{line}");
                }
                (Err(why), Err(expected)) => assert!(why.ends_with(expected), "{line}: {why}"),
                (read, _) => panic!("{line}: {read:?}"),
            }
        }
        let twice = named("Code,Name\nA-1,Word\n\nA-1,Excel\n");
        assert_eq!(
            twice.last(),
            Some(&(4, Err("`A-1` is on line 2 already".to_owned())))
        );
    }
}
