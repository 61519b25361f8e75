//! A secret that is typed on a terminal and not shown.

use std::fs::File;
use std::io;

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

/// Asks for a secret. Nothing is shown of what is typed from the moment at which the question is, on which a password manager
/// or a person who is quick may rely: rpassword itself shows the question first.
pub(super) fn ask(question: &str) -> io::Result<String> {
    let _hidden = Hidden::on(File::open("/dev/tty")?)?;
    rpassword::prompt_password(question)
}

/// A terminal that shows nothing of what is typed, until this is dropped.
struct Hidden {
    terminal: File,
    before: Termios,
}

impl Hidden {
    fn on(terminal: File) -> io::Result<Self> {
        let before = tcgetattr(&terminal)?;
        let mut hidden = before.clone();
        // Without signals, so that none ends the program while the terminal is like this; rpassword reads Ctrl-C itself.
        hidden.local_modes -= LocalModes::ECHO | LocalModes::ISIG;
        tcsetattr(&terminal, OptionalActions::Now, &hidden)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        // Nothing is left to do where the terminal is gone.
        let _ = tcsetattr(&self.terminal, OptionalActions::Now, &self.before);
    }
}
