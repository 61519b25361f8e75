//! A mail server in clear, as a process beside the program sees it: real TCP, and whatever it is told to say.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// What a server says to a command in place of the usual. `None`: nothing, ever.
type Says = Option<&'static str>;

#[derive(Default)]
struct State {
    /// The answers to `MAIL`, `RCPT`, `QUIT`, and to `.`, the end of a message.
    says: Mutex<HashMap<&'static str, Says>>,
    /// The lines of all messages whose end came.
    taken: Mutex<Vec<String>>,
    is_stopped: AtomicBool,
}

/// A mail server that runs until it is dropped.
pub(crate) struct MailStub {
    state: Arc<State>,
    address: SocketAddr,
    accepting: Option<JoinHandle<()>>,
}

impl MailStub {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = listener.local_addr().expect("its address");
        let state = Arc::new(State::default());
        let serving = Arc::clone(&state);
        let accepting = std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if serving.is_stopped.load(Ordering::SeqCst) {
                    return;
                }
                let serving = Arc::clone(&serving);
                std::thread::spawn(move || converse(&serving, stream));
            }
        });
        Self {
            state,
            address,
            accepting: Some(accepting),
        }
    }

    /// Has a command answered so from now on, or not at all.
    pub(crate) fn says(&self, command: &'static str, answer: Says) {
        self.state.says.lock().expect("no panic").insert(command, answer);
    }

    /// Has a command answered as usual again.
    pub(crate) fn behaves(&self, command: &'static str) {
        self.state.says.lock().expect("no panic").remove(command);
    }

    pub(crate) fn taken(&self) -> usize {
        self.state.taken.lock().expect("no panic").len()
    }

    /// The options of `mail configure` for it.
    pub(crate) fn configure(&self) -> Vec<String> {
        configure_at(self.address)
    }
}

/// The options of `mail configure` for the mail server at an address of this machine.
pub(crate) fn configure_at(address: SocketAddr) -> Vec<String> {
    let url = format!("smtp://{address}");
    [
        "mail",
        "configure",
        "--from",
        "shop@host.example",
        "--unencrypted",
        "--smtp",
        &url,
    ]
    .map(str::to_owned)
    .to_vec()
}

impl Drop for MailStub {
    fn drop(&mut self) {
        self.state.is_stopped.store(true, Ordering::SeqCst);
        // The listener sees that it is over with the next connection.
        let _ = TcpStream::connect(self.address);
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
    }
}

fn converse(state: &State, mut stream: TcpStream) -> Option<()> {
    let mut lines = BufReader::new(stream.try_clone().ok()?);
    let mut message = None;
    stream.write_all(b"220 mail.test\r\n").ok()?;
    loop {
        let mut line = String::new();
        if lines.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim_end();
        let (command, usual) = match message.as_mut() {
            Some(_) if line == "." => (".", "250 taken"),
            Some(text) => {
                let text: &mut String = text;
                text.push_str(line);
                continue;
            }
            None => match line.get(..4).unwrap_or(line) {
                "MAIL" => ("MAIL", "250 ok"),
                "RCPT" => ("RCPT", "250 ok"),
                "DATA" => ("DATA", "354 go on"),
                "QUIT" => ("QUIT", "221 bye"),
                "EHLO" => ("EHLO", "250 mail.test"),
                _ => ("RSET", "250 ok"),
            },
        };
        let says = state.says.lock().expect("no panic").get(command).copied();
        let answer = says.unwrap_or(Some(usual));
        match command {
            "DATA" => message = Some(String::new()),
            "." => {
                let text = message.take().unwrap_or_default();
                if answer.is_none_or(|answer| answer.starts_with('2')) {
                    state.taken.lock().expect("no panic").push(text);
                }
            }
            _ => {}
        }
        match answer {
            Some(answer) => stream.write_all(format!("{answer}\r\n").as_bytes()).ok()?,
            // Until the client has had enough.
            None => while lines.read_line(&mut String::new()).ok()? > 0 {},
        }
    }
}
