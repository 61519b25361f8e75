//! The project's chores: build the component, begin a plugin, run every check, check what may be linked, package the crates, run the demo, the
//! crash test or the tests with other people's software, weigh the component, make a book of the documentation, draw a picture.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line tool talks to its terminal"
)]

mod args;
mod book;
mod checks;
mod component;
mod crash_test;
mod debian;
mod demo;
mod deny;
mod features;
mod files;
mod hint;
mod interop;
mod new_plugin;
mod package;
#[cfg(test)]
#[path = "../../tests/architecture/pages.rs"]
mod pages;
mod picture;
mod process;
mod size;
mod test_totals;
mod tool;
mod toolchain;
mod wasm_toolchain;
mod workspace;

use std::process::ExitCode;

use args::Command;
use workspace::Workspace;

/// The exit code when the arguments are missing or not understood.
const EXIT_USAGE: u8 = 2;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let command = match args::parse(&arguments) {
        Ok(Command::Help) => {
            eprintln!("{}", args::USAGE);
            return ExitCode::from(EXIT_USAGE);
        }
        Ok(command) => command,
        Err(problem) => {
            eprintln!("error: {problem}\n\n{}", args::USAGE);
            return ExitCode::from(EXIT_USAGE);
        }
    };
    match execute(command) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn execute(command: Command) -> anyhow::Result<u8> {
    let workspace = Workspace::locate()?;
    match command {
        Command::Help => return Ok(EXIT_USAGE),
        Command::Build(wasm_toolchain) => {
            toolchain::check_rustc()?;
            let component = component::build(&workspace, &component::MICROSOFT_ESD, wasm_toolchain)?;
            eprintln!("{}", component.summary()?);
            println!("{}", component.path.display());
        }
        Command::Test { only } => checks::run(&workspace, only.as_deref())?,
        Command::Demo { arguments } => return demo::run(&workspace, &arguments),
        Command::CrashTest { arguments } => return crash_test::run(&workspace, &arguments),
        Command::Deny => deny::run(&workspace)?,
        Command::NewPlugin { name, folder } => {
            let made = new_plugin::run(&workspace, &name, folder.as_deref())?;
            eprintln!("{}", new_plugin::next_steps(&workspace, &name, &made));
            println!("{}", made.display());
        }
        Command::Package => package::run(&workspace)?,
        Command::Book => book::run(&workspace)?,
        Command::Size => size::run(&workspace)?,
        Command::Interop { parts } => interop::run(&workspace, &parts, &[])?,
        Command::ListInterop => print!("{}", interop::list()),
        Command::ConsolePictures => picture::console::take(&workspace)?,
        Command::Picture { from } => picture::draw(&workspace, from.as_deref())?,
    }
    Ok(0)
}
