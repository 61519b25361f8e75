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

/// The actor that the record names for a change: the real user of this process, and who became that user with `sudo`. No
/// variable can give the real user another name; what `sudo` says of who called it is only as good as the real user is.
pub(super) fn operator() -> Actor {
    let user = user_name(nix::unistd::getuid().as_raw());
    let caller = std::env::var("SUDO_UID").ok().and_then(|uid| uid.parse().ok());
    Actor::operator(operator_name(&user, caller.map(user_name).as_deref()))
}

fn operator_name(user: &str, caller: Option<&str>) -> String {
    match caller {
        Some(caller) if caller != user => format!("{user} (sudo: {caller})"),
        _ => user.to_owned(),
    }
}

/// The name of a user, or the number of one that has none.
fn user_name(uid: u32) -> String {
    let found = nix::unistd::User::from_uid(nix::unistd::Uid::from_raw(uid));
    found
        .ok()
        .flatten()
        .map_or_else(|| format!("uid {uid}"), |user| user.name)
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
    fn the_operator_is_the_real_user_and_who_became_that_user_with_sudo() {
        assert_eq!(operator_name("olivia", None), "olivia");
        assert_eq!(operator_name("root", Some("maria")), "root (sudo: maria)");
        assert_eq!(operator_name("bss", Some("bss")), "bss");
        assert_eq!(user_name(0), "root");
        assert_eq!(user_name(u32::MAX - 7), format!("uid {}", u32::MAX - 7));
    }

    #[test]
    fn a_value_may_hold_an_equals_sign_but_a_name_may_not_be_empty() {
        assert_eq!(key_value("a=b=c"), Ok(("a".into(), "b=c".into())));
        assert_eq!(key_value("a="), Ok(("a".into(), String::new())));
        assert!(key_value("=b").is_err());
        assert!(key_value("a").is_err());
    }
}
