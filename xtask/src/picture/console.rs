//! Pictures of the console's pages, as the tests in Chromium show them.

use anyhow::{Context, Result};

use crate::interop;
use crate::workspace::Workspace;

/// The variable that tells the tests where pictures are kept.
const VARIABLE: &str = "CONSOLE_PICTURES";

/// The pictures that stand in the documents, each with its name there.
const KEPT: [(&str, &str); 2] = [
    ("console-light-1200.png", "console-overview.png"),
    ("console-assets--asset--dark-1200.png", "console-license.png"),
];

/// Takes a picture of every page in both color schemes and at three widths, and keeps two of them in `docs/`.
///
/// # Errors
/// The tests of the console fail, or a picture can't be kept.
pub(crate) fn take(workspace: &Workspace) -> Result<()> {
    let folder = workspace.target.join("console-pictures");
    let variable = (VARIABLE, folder.clone().into_os_string());
    interop::run(workspace, &["console".to_owned()], &[variable])?;
    for (taken, kept) in KEPT {
        let to = workspace.root.join("docs").join(kept);
        std::fs::copy(folder.join(taken), &to)
            .with_context(|| format!("`{}` could not be kept", to.display()))?;
    }
    println!("{}", folder.display());
    Ok(())
}
