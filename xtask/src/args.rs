//! Command-line arguments, and the text that explains them.

use std::path::PathBuf;

use crate::wasm_toolchain::WasmToolchain;
use crate::{checks, interop};

/// The text that is printed when the arguments are missing or not understood.
pub(crate) const USAGE: &str = "\
usage: cargo xtask <command>

  build [--wasm-toolchain auto|rustup|debian]
      Builds the plugin's component; its path is the only line on stdout.
      auto    the installed wasm32-wasip2 target, else rustup's, else Debian's packages (the default)
      rustup  the installed target, else `rustup target add`; nothing else
      debian  a compiler unpacked from Debian's packages below the target folder
  new-plugin NAME [--path DIR]
      Makes a plugin that is built and tested from the first minute, in the folder NAME or DIR, which is the only line
      on stdout. docs/plugins.md goes on from there.
  test [--only STEP]
      Runs every check, or one step: toolchain, format, deny, wit, component, clippy, clippy-wasm,
      features, docs, tests.
  deny
      Checks licenses, banned crates and sources of all that is linked, and known vulnerabilities where their database can
      be had: the network, or BSS_ADVISORY_DB, a clone of it. Installs cargo-deny below the target folder if it is missing.
  demo [ARGUMENT...]
      Builds the component and runs `bss-host demo` with it; passes on the arguments and the exit code.
  crash-test [--orders N] [--kills K] [--seed S] [--json] [--forget-attempts]
             [--disaster restore|clock|copy [--without-protection]]
             [--record postgres [--hosts N] [--failover [synchronous|lossy]] [--without-protection]]
      Kills workers and the simulator while licenses are bought, and compares what was bought with what is on record;
      exits with 0 only if every license is on record once. The seed is printed, and repeats the same kills.
      `--disaster` also restores older backups, steps the clock, or runs copies beside the original.
      `--record postgres` has N hosts on a server's record, which is killed, too, or taken over from by a standby.
  package
      Packages the crates that an embedder needs, and compiles them from their packages alone.
  book
      Makes a book of the documentation below the target folder, and looks whether its links lead somewhere; its first page is the only
      line on stdout. Installs mdBook below the target folder if it is missing.
  size
      Builds the component, and prints which sections, crates and functions take how many bytes of it.
  interop [PART...] [--list]
      Runs the tests against software that is not ours, all parts or those named, and installs what they need;
      `--list` lists the parts.
  picture [--from FILE | --console]
      Draws docs/demo.svg from a run of the demo, or from a file with its terminal output. Needs Chromium: the
      picture is written only if Chromium draws every letter in its place. With `--console`, takes a picture of every
      page of the console in both color schemes and at three widths, and keeps two of them in docs/.
  help
      Prints this help.";

/// A command, with its arguments.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Build(WasmToolchain),
    Test { only: Option<String> },
    Demo { arguments: Vec<String> },
    CrashTest { arguments: Vec<String> },
    Deny,
    NewPlugin { name: String, folder: Option<PathBuf> },
    Package,
    Book,
    Size,
    Interop { parts: Vec<String> },
    ListInterop,
    Picture { from: Option<PathBuf> },
    ConsolePictures,
    Help,
}

/// Reads the arguments after the program's name.
///
/// # Errors
/// A readable sentence about the first argument that is not understood.
pub(crate) fn parse(arguments: &[String]) -> Result<Command, String> {
    let Some((command, rest)) = arguments.split_first() else {
        return Ok(Command::Help);
    };
    match command.as_str() {
        "build" => match single_option(command, "--wasm-toolchain", rest)? {
            None => Ok(Command::Build(WasmToolchain::Auto)),
            Some(name) => wasm_toolchain(&name).map(Command::Build),
        },
        "test" => {
            let only = single_option(command, "--only", rest)?;
            match &only {
                Some(name) if !checks::names().any(|known| known == name) => Err(format!(
                    "`{name}` is not a step of `cargo xtask test`; the steps are {}",
                    checks::names().collect::<Vec<_>>().join(", ")
                )),
                _ => Ok(Command::Test { only }),
            }
        }
        "new-plugin" => match rest.split_first() {
            Some((name, rest)) if !name.starts_with('-') => Ok(Command::NewPlugin {
                name: name.clone(),
                folder: single_option(command, "--path", rest)?.map(PathBuf::from),
            }),
            _ => Err("`cargo xtask new-plugin` needs the name of the plugin".to_owned()),
        },
        "demo" => Ok(Command::Demo {
            arguments: rest.to_vec(),
        }),
        "crash-test" => Ok(Command::CrashTest {
            arguments: rest.to_vec(),
        }),
        "deny" => match rest.first() {
            None => Ok(Command::Deny),
            Some(extra) => Err(format!("`cargo xtask deny` takes no argument `{extra}`")),
        },
        "package" => match rest.first() {
            None => Ok(Command::Package),
            Some(extra) => Err(format!("`cargo xtask package` takes no argument `{extra}`")),
        },
        "book" => match rest.first() {
            None => Ok(Command::Book),
            Some(extra) => Err(format!("`cargo xtask book` takes no argument `{extra}`")),
        },
        "size" => match rest.first() {
            None => Ok(Command::Size),
            Some(extra) => Err(format!("`cargo xtask size` takes no argument `{extra}`")),
        },
        "interop" if rest == ["--list"] => Ok(Command::ListInterop),
        "interop" => match rest
            .iter()
            .find(|part| !interop::names().any(|known| known == *part))
        {
            Some(part) => Err(format!(
                "`{part}` is not a part of `cargo xtask interop`; the parts are {}",
                interop::names().collect::<Vec<_>>().join(", ")
            )),
            None => Ok(Command::Interop { parts: rest.to_vec() }),
        },
        "picture" if rest == ["--console"] => Ok(Command::ConsolePictures),
        "picture" => Ok(Command::Picture {
            from: single_option(command, "--from", rest)?.map(PathBuf::from),
        }),
        "help" | "--help" | "-h" => Ok(Command::Help),
        unknown => Err(format!("`{unknown}` is not a command of `cargo xtask`")),
    }
}

fn wasm_toolchain(name: &str) -> Result<WasmToolchain, String> {
    match name {
        "auto" => Ok(WasmToolchain::Auto),
        "rustup" => Ok(WasmToolchain::Rustup),
        "debian" => Ok(WasmToolchain::Debian),
        unknown => Err(format!(
            "`{unknown}` is not a wasm toolchain; choose auto, rustup or debian"
        )),
    }
}

/// The value of the one option that `command` has, written `--option value` or `--option=value`.
fn single_option(command: &str, option: &str, rest: &[String]) -> Result<Option<String>, String> {
    let (value, unread) = match rest {
        [] => return Ok(None),
        [first, rest @ ..] if first == option => match rest {
            [value, rest @ ..] => (value.as_str(), rest),
            [] => return Err(format!("`{option}` needs a value")),
        },
        [first, rest @ ..] => match first.strip_prefix(option).and_then(|tail| tail.strip_prefix('=')) {
            Some(value) => (value, rest),
            None => return Err(format!("`cargo xtask {command}` takes no argument `{first}`")),
        },
    };
    match unread.first() {
        Some(extra) => Err(format!(
            "`cargo xtask {command}` takes no argument `{extra}` after `{option}`"
        )),
        None if value.is_empty() => Err(format!("`{option}` needs a value")),
        None => Ok(Some(value.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages;

    fn parsed(line: &str) -> Result<Command, String> {
        parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn no_argument_asks_for_help() {
        assert_eq!(parsed(""), Ok(Command::Help));
        assert_eq!(parsed("help"), Ok(Command::Help));
    }

    #[test]
    fn the_wasm_toolchain_is_auto_unless_it_is_named() {
        assert_eq!(parsed("build"), Ok(Command::Build(WasmToolchain::Auto)));
        assert_eq!(
            parsed("build --wasm-toolchain debian"),
            Ok(Command::Build(WasmToolchain::Debian))
        );
        assert_eq!(
            parsed("build --wasm-toolchain=rustup"),
            Ok(Command::Build(WasmToolchain::Rustup))
        );
    }

    #[test]
    fn a_new_plugin_has_a_name_and_maybe_a_folder() {
        let of = |name: &str, folder: Option<&str>| Command::NewPlugin {
            name: name.to_owned(),
            folder: folder.map(PathBuf::from),
        };
        assert_eq!(parsed("new-plugin contoso"), Ok(of("contoso", None)));
        assert_eq!(
            parsed("new-plugin contoso --path a/b"),
            Ok(of("contoso", Some("a/b")))
        );
        for wrong in ["new-plugin", "new-plugin --path a", "new-plugin contoso a"] {
            assert!(parsed(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn interop_runs_every_part_unless_some_are_named() {
        assert_eq!(parsed("interop"), Ok(Command::Interop { parts: Vec::new() }));
        assert_eq!(
            parsed("interop cli"),
            Ok(Command::Interop {
                parts: vec!["cli".to_owned()]
            })
        );
        assert_eq!(parsed("interop --list"), Ok(Command::ListInterop));
    }

    #[test]
    fn a_part_of_interop_that_does_not_exist_is_refused_with_those_that_do() {
        let problem = parsed("interop cli moon").unwrap_err();
        assert!(problem.contains("`moon`") && problem.contains("cli"), "{problem}");
    }

    #[test]
    fn a_wasm_toolchain_that_does_not_exist_is_refused() {
        assert!(
            parsed("build --wasm-toolchain nix")
                .unwrap_err()
                .contains("`nix`")
        );
        assert!(
            parsed("build --wasm-toolchain")
                .unwrap_err()
                .contains("needs a value")
        );
        assert!(
            parsed("build --wasm-toolchain=")
                .unwrap_err()
                .contains("needs a value")
        );
    }

    #[test]
    fn the_demo_and_the_crash_test_get_every_argument_as_it_is() {
        let arguments = vec![
            "--json".to_owned(),
            "--unknown=here".to_owned(),
            "help".to_owned(),
        ];
        assert_eq!(
            parsed("demo --json --unknown=here help"),
            Ok(Command::Demo { arguments })
        );
        let arguments = vec!["--orders=60".to_owned(), "--seed".to_owned(), "7".to_owned()];
        assert_eq!(
            parsed("crash-test --orders=60 --seed 7"),
            Ok(Command::CrashTest { arguments })
        );
    }

    #[test]
    fn a_step_is_run_alone_when_it_is_named() {
        assert_eq!(parsed("test"), Ok(Command::Test { only: None }));
        assert_eq!(
            parsed("test --only clippy"),
            Ok(Command::Test {
                only: Some("clippy".to_owned())
            })
        );
    }

    #[test]
    fn a_step_that_does_not_exist_is_refused_with_the_names_of_those_that_do() {
        let problem = parsed("test --only linting").unwrap_err();
        assert!(
            problem.contains("`linting`") && problem.contains("clippy-wasm"),
            "{problem}"
        );
    }

    #[test]
    fn unknown_commands_and_options_are_refused() {
        assert!(parsed("biuld").unwrap_err().contains("`biuld`"));
        assert!(parsed("build --release").unwrap_err().contains("`--release`"));
        assert!(
            parsed("test --only clippy --fast")
                .unwrap_err()
                .contains("`--fast`")
        );
        assert!(parsed("deny now").unwrap_err().contains("`now`"));
        assert!(parsed("package now").unwrap_err().contains("`now`"));
        assert!(parsed("book now").unwrap_err().contains("`now`"));
        assert!(parsed("size now").unwrap_err().contains("`now`"));
        assert!(parsed("picture now").unwrap_err().contains("`now`"));
    }

    #[test]
    fn every_command_of_the_pages_is_understood() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut count = 0;
        for (page, text) in pages::pages(&root) {
            for command in pages::commands(&text) {
                if let Some([chores, arguments @ ..]) = pages::arguments(&command, "cargo")
                    && chores == "xtask"
                {
                    count += 1;
                    let understood = parse(arguments);
                    assert!(
                        understood.is_ok(),
                        "{}: {command:?}: {understood:?}",
                        page.display()
                    );
                }
            }
        }
        assert!(count > 5, "{count}");
    }

    #[test]
    fn the_usage_names_every_step() {
        for name in checks::names() {
            assert!(USAGE.contains(name), "{name}");
        }
    }
}
