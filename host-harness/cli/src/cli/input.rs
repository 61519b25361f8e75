//! What a command is given besides its arguments: who runs it, and the files and codes that are read.

use std::env::VarError;
use std::io::{IsTerminal as _, Read as _};
use std::path::Path;

use bss_keys::{PfxCode, decoded_text};
use bss_model::{Actor, ErrorKind, Secret};
use zeroize::Zeroizing;

use super::failure::{Failure, unreadable};
use super::{hidden_input, output};

/// More than the longest PFX file that is read, whose library says that it is too long.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// The environment variable with the code of a PFX file.
pub(super) const PFX_CODE_VARIABLE: &str = "BSS_PFX_CODE";

pub(super) fn pfx_code(file: Option<&Path>) -> Result<PfxCode, Failure> {
    let code = first_line(file, PFX_CODE_VARIABLE, "code file")?;
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
        None => Zeroizing::new(self::variable(variable)?.unwrap_or_default()),
        Some(file) => return Ok(Zeroizing::new(secret_line(file, what)?.expose().to_owned())),
    };
    Ok(Zeroizing::new(text.lines().next().unwrap_or_default().to_owned()))
}

/// The secret in the first line of a file; `-` is the standard input. `what` names the file's kind in the failure to read it.
pub(super) fn secret_line(file: &Path, what: &str) -> Result<Secret, Failure> {
    let text = read_secret(file, &format!("{what} `{}`", file.display()))?;
    Ok(Secret::new(text.lines().next().unwrap_or_default()))
}

/// The secrets of fields: asked for without showing what is typed, or read where the standard input is no terminal; and
/// those whose file is named, as `FIELD=FILE`. Nothing of what stands in the wrong place is shown: it may be the secret.
pub(super) fn secrets(asked: &[String], files: &[String]) -> Result<Vec<(String, Secret)>, Failure> {
    let mut secrets = Vec::with_capacity(asked.len() + files.len());
    for field in asked {
        if let Some((field, _)) = field.split_once('=') {
            return Err(Failure::usage(format!(
                "`--secret {field}` takes no value, because others can read a command's arguments; what stood there has stayed \
                 in your shell's history: have such a key replaced"
            )));
        }
        let secret = match std::io::stdin().is_terminal() {
            true => hidden_input::ask(&format!("{field}: ")),
            false => line_of_standard_input(),
        };
        let secret = secret.map_err(|error| unreadable(&format!("the secret `{field}`"), &error))?;
        secrets.push((field.clone(), Secret::new(secret)));
    }
    for named in files {
        let Ok((field, file)) = key_value(named) else {
            return Err(Failure::usage("`--secret-file` takes `FIELD=FILE`"));
        };
        let text = read_secret(Path::new(&file), &format!("the file of the secret `{field}`"))?;
        let secret = text.lines().next().unwrap_or_default();
        secrets.push((field, Secret::new(secret)));
    }
    Ok(secrets)
}

/// The next line, without the end of it.
fn line_of_standard_input() -> std::io::Result<String> {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    line.truncate(line.trim_end_matches(['\r', '\n']).len());
    Ok(line)
}

/// An environment variable. `None`: it is not set.
pub(super) fn variable(name: &str) -> Result<Option<String>, Failure> {
    match std::env::var(name) {
        Ok(text) => Ok(Some(text)),
        Err(VarError::NotPresent) => Ok(None),
        Err(VarError::NotUnicode(_)) => Err(Failure::usage(format!(
            "the environment variable `{name}` is not UTF-8: set it in a terminal whose encoding is UTF-8, or save its value in a \
             file"
        ))),
    }
}

/// Reads a text file; `-` is the standard input. `what` names the file's kind in the failure to read it.
pub(super) fn read_text(path: &Path, what: &str) -> Result<String, Failure> {
    read_file(path).map_err(|error| unreadable(&format!("{what} `{}`", path.display()), &error))
}

/// Reads the text of a secret as editors and shells save it: in UTF-8 or UTF-16, with a byte order mark or without.
fn read_secret(path: &Path, what: &str) -> Result<Zeroizing<String>, Failure> {
    let mut bytes = Zeroizing::new(Vec::new());
    let read = match path.as_os_str() == "-" {
        true => std::io::stdin().read_to_end(&mut bytes),
        false => std::fs::File::open(path).and_then(|mut file| file.read_to_end(&mut bytes)),
    };
    read.map_err(|error| unreadable(what, &error))?;
    // Zeros between the letters are UTF-16 that does not say so.
    decoded_text(&bytes)
        .filter(|text| !text.contains('\0'))
        .ok_or_else(|| {
            let message = format!("{what} is neither in UTF-8 nor in UTF-16 with a byte order mark");
            Failure::new(ErrorKind::Invalid, "encoding-unknown", message).hint("save the file as UTF-8")
        })
}

fn read_file(path: &Path) -> std::io::Result<String> {
    match path.as_os_str() == "-" {
        true => std::io::read_to_string(std::io::stdin()),
        false => std::fs::read_to_string(path),
    }
}

/// Whether a person can be asked.
pub(super) fn is_on_a_terminal() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// Asks a question that is answered with yes or no, on a terminal. Anything but yes is no.
pub(super) fn confirms(question: &str) -> Result<bool, Failure> {
    output::ask(&format!("{question} [y/N]"));
    let mut answer = String::new();
    let read = std::io::stdin().read_line(&mut answer);
    if read.map_err(|error| unreadable("the answer", &error))? == 0 {
        output::note("");
    }
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// Reads a file that is imported, no further than the longest one that is looked at.
pub(super) fn read_pfx(file: &Path) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let mut bytes = Zeroizing::new(Vec::new());
    let read = std::fs::File::open(file).and_then(|file| file.take(FILE_BYTES_MAX).read_to_end(&mut bytes));
    read.map_err(|error| unreadable(&format!("PFX file `{}`", file.display()), &error))?;
    Ok(bytes)
}

/// The number that the kernel has for the login of a process that nobody logged in to start, such as a service's.
const NOBODY_LOGGED_IN: u32 = u32::MAX;

/// The actor that the record names for a change: the real user of this process, and who became that user. No variable can
/// give the real user another name.
pub(super) fn operator() -> Actor {
    let number = |text: String| text.trim().parse().ok();
    let user = nix::unistd::getuid().as_raw();
    let login = std::fs::read_to_string("/proc/self/loginuid")
        .ok()
        .and_then(number);
    let sudo = std::env::var("SUDO_UID").ok().and_then(number);
    let caller = caller(user, login, sudo).map(user_name);
    Actor::operator(operator_name(&user_name(user), caller.as_deref()))
}

/// The user who became the real one: the one who logged in, whom the kernel keeps through `su` and `sudo` where it is told,
/// or else the one whom `sudo` names. Only root's environment counts: another user could say there whatever they like.
fn caller(user: u32, login: Option<u32>, sudo: Option<u32>) -> Option<u32> {
    let login = login.filter(|login| *login != NOBODY_LOGGED_IN);
    login.or(sudo.filter(|_| user == 0))
}

fn operator_name(user: &str, caller: Option<&str>) -> String {
    match caller {
        Some(caller) if caller != user => format!("{user} (by {caller})"),
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
        assert_eq!(operator_name("root", Some("maria")), "root (by maria)");
        assert_eq!(operator_name("bss", Some("bss")), "bss");
        assert_eq!(user_name(0), "root");
        assert_eq!(user_name(u32::MAX - 7), format!("uid {}", u32::MAX - 7));
    }

    #[test]
    fn the_kernel_says_who_became_another_user_and_only_root_is_believed_besides() {
        let nobody = Some(NOBODY_LOGGED_IN);
        for (user, login, sudo, expected) in [
            (1_000, None, None, None),
            (990, nobody, None, None),
            (0, nobody, Some(1_000), Some(1_000)),
            (0, None, Some(1_000), Some(1_000)),
            (990, Some(1_000), Some(0), Some(1_000)),
            (0, Some(1_000), Some(1_001), Some(1_000)),
            (1_000, None, Some(0), None),
        ] {
            assert_eq!(caller(user, login, sudo), expected, "{user} {login:?} {sudo:?}");
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
