//! What a command is given besides its arguments: who runs it, and the files and codes that are read.

use std::path::Path;

use bss_keys::PfxCode;
use bss_model::Actor;
use zeroize::Zeroizing;

use super::failure::{Failure, unreadable};

pub(super) fn pfx_code(file: Option<&Path>) -> Result<PfxCode, Failure> {
    let code = first_line(file, "BSS_PFX_CODE", "code file")?;
    Ok(PfxCode::new(code.as_str()))
}

/// The first line of a secret: from a file, or from an environment variable where no file is named. Empty where there
/// is none. `what` names the file's kind in the failure to read it.
pub(super) fn first_line(
    file: Option<&Path>,
    variable: &str,
    what: &str,
) -> Result<Zeroizing<String>, Failure> {
    let text = match file {
        None => Zeroizing::new(std::env::var(variable).unwrap_or_default()),
        Some(path) => Zeroizing::new(read_text(path, what)?),
    };
    Ok(Zeroizing::new(text.lines().next().unwrap_or_default().to_owned()))
}

/// Reads a text file; `-` is the standard input. `what` names the file's kind in the failure to read it.
pub(super) fn read_text(path: &Path, what: &str) -> Result<String, Failure> {
    let text = if path.as_os_str() == "-" {
        std::io::read_to_string(std::io::stdin())
    } else {
        std::fs::read_to_string(path)
    };
    text.map_err(|error| unreadable(&format!("{what} `{}`", path.display()), &error))
}

pub(super) fn read_pfx(file: &Path) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let what = format!("PFX file `{}`", file.display());
    let bytes = std::fs::read(file).map_err(|error| unreadable(&what, &error))?;
    Ok(Zeroizing::new(bytes))
}

/// The actor that the record names for a change: the user who runs the command, through `sudo` or not.
pub(super) fn operator() -> Actor {
    operator_of(|variable| std::env::var(variable).ok())
}

fn operator_of(environment: impl Fn(&str) -> Option<String>) -> Actor {
    let named = ["SUDO_USER", "USER"].into_iter().filter_map(environment);
    let name = named.into_iter().find(|name| !name.is_empty());
    Actor::operator(name.unwrap_or_else(|| "operator".to_owned()))
}

pub(super) fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("expected a name, `=` and a value".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operator_is_the_user_behind_sudo_then_the_user_then_nobody_in_particular() {
        for (variables, name) in [
            (&[("SUDO_USER", "maria"), ("USER", "root")][..], "maria"),
            (&[("SUDO_USER", ""), ("USER", "olivia")], "olivia"),
            (&[("USER", "olivia")], "olivia"),
            (&[("USER", "")], "operator"),
            (&[], "operator"),
        ] {
            let value = |name: &str| {
                let set = variables.iter().find(|(variable, _)| *variable == name);
                set.map(|(_, value)| (*value).to_owned())
            };
            assert_eq!(operator_of(value), Actor::operator(name), "{variables:?}");
        }
    }

    #[test]
    fn a_value_may_hold_an_equals_sign_but_a_name_may_not_be_empty() {
        assert_eq!(key_value("a=b=c"), Ok(("a".into(), "b=c".into())));
        assert_eq!(key_value("a="), Ok(("a".into(), String::new())));
        assert!(key_value("=b").is_err());
        assert!(key_value("a").is_err());
    }
}
