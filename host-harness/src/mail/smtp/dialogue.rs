//! The dialogue with a mail server: a command out, a reply in, each within a limit of size and time.

use std::io;
use std::time::Duration;

use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader,
};
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::super::text::one_line;
use super::reply::{LINE_BYTES, LINES, Line, Reply};

/// The most characters that are shown of a line that is no reply.
const STRANGE_CHARS: usize = 60;

/// Why there is no reply.
#[derive(Debug, thiserror::Error)]
pub(super) enum DialogueError {
    #[error("{0}")]
    Lost(#[from] io::Error),
    #[error("the server closed the connection")]
    Closed,
    #[error("the server did not answer within {} s", .0.as_secs())]
    Silent(Duration),
    #[error("what answers does not speak SMTP; it said `{0}`")]
    NotSmtp(String),
    #[error("the reply has more than {LINES} lines, or one of more than {LINE_BYTES} bytes")]
    TooLong,
}

/// A connection on which the client and the server take turns.
pub(super) struct Dialogue<S> {
    stream: BufReader<S>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Dialogue<S> {
    pub(super) fn new(stream: S) -> Self {
        Self {
            stream: BufReader::with_capacity(LINE_BYTES, stream),
        }
    }

    /// Whether the server has said more than was read: nobody asked for it.
    pub(super) fn said_more(&self) -> bool {
        !self.stream.buffer().is_empty()
    }

    /// The connection itself. What was said and not read is gone.
    pub(super) fn into_stream(self) -> S {
        self.stream.into_inner()
    }

    /// Sends a line, and waits for the reply, both within the limit.
    pub(super) async fn command(&mut self, line: &str, limit: Duration) -> Result<Reply, DialogueError> {
        let exchange = async {
            // Whole, so that it is one segment; and wiped, because it may be a password.
            let line = Zeroizing::new([line, "\r\n"].concat());
            self.stream.write_all(line.as_bytes()).await?;
            self.stream.flush().await?;
            self.read_reply().await
        };
        timeout(limit, exchange)
            .await
            .map_err(|_| DialogueError::Silent(limit))?
    }

    /// Waits for a reply that no command asks for: the greeting, and the one to a message.
    pub(super) async fn reply(&mut self, limit: Duration) -> Result<Reply, DialogueError> {
        let read = timeout(limit, self.read_reply()).await;
        read.map_err(|_| DialogueError::Silent(limit))?
    }

    /// Sends text that is no command.
    pub(super) async fn send(&mut self, bytes: &[u8], limit: Duration) -> Result<(), DialogueError> {
        let sending = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        let sent = timeout(limit, sending).await;
        Ok(sent.map_err(|_| DialogueError::Silent(limit))??)
    }

    /// Closes the connection from this side.
    pub(super) async fn close(&mut self) -> io::Result<()> {
        self.stream.shutdown().await
    }

    async fn read_reply(&mut self) -> Result<Reply, DialogueError> {
        let mut lines = Vec::new();
        while lines.len() < LINES {
            let line = self.read_line().await?;
            let is_last = line.is_last;
            lines.push(line);
            if is_last {
                return Reply::of(lines).ok_or(DialogueError::TooLong);
            }
        }
        Err(DialogueError::TooLong)
    }

    async fn read_line(&mut self) -> Result<Line, DialogueError> {
        let mut line = Vec::new();
        let mut bounded = (&mut self.stream).take(LINE_BYTES as u64);
        bounded.read_until(b'\n', &mut line).await?;
        match line.strip_suffix(b"\n") {
            Some(whole) => {
                let whole = whole.strip_suffix(b"\r").unwrap_or(whole);
                Line::read(whole).ok_or_else(|| DialogueError::NotSmtp(strange(whole)))
            }
            // A server that sends no ends of lines is told by what it sends, not by how much.
            None if Line::read(&line).is_none() && line.len() >= 4 => {
                Err(DialogueError::NotSmtp(strange(&line)))
            }
            None if line.len() >= LINE_BYTES => Err(DialogueError::TooLong),
            None => Err(DialogueError::Closed),
        }
    }
}

fn strange(line: &[u8]) -> String {
    let text = one_line(&String::from_utf8_lossy(line));
    text.chars().take(STRANGE_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(20);

    /// What is read from a server that says that and closes.
    async fn read(said: &[u8]) -> Result<Reply, DialogueError> {
        let (ours, mut theirs) = tokio::io::duplex(1024 * 1024);
        theirs.write_all(said).await.unwrap();
        drop(theirs);
        Dialogue::new(ours).reply(LIMIT).await
    }

    #[tokio::test]
    async fn a_reply_is_read_to_its_last_line_and_no_further() {
        let (ours, mut theirs) = tokio::io::duplex(1024);
        theirs
            .write_all(b"250-a\r\n250-b\n250 c\r\n221 bye\r\n")
            .await
            .unwrap();
        let mut dialogue = Dialogue::new(ours);
        assert_eq!(dialogue.reply(LIMIT).await.unwrap().lines, ["a", "b", "c"]);
        assert!(dialogue.said_more());
        assert_eq!(dialogue.reply(LIMIT).await.unwrap().code, 221);
        assert!(!dialogue.said_more());
    }

    #[tokio::test]
    async fn what_is_no_reply_or_never_ends_is_told_from_silence() {
        assert!(matches!(read(b"").await, Err(DialogueError::Closed)));
        assert!(matches!(read(b"250-half\r\n").await, Err(DialogueError::Closed)));
        assert!(matches!(read(b"250 hal").await, Err(DialogueError::Closed)));
        assert!(matches!(
            read(b"HTTP/1.1 400 Bad\r\n").await,
            Err(DialogueError::NotSmtp(_))
        ));
        assert!(matches!(
            read(b"\x15\x03\x01\x00\x02").await,
            Err(DialogueError::NotSmtp(_))
        ));
        assert!(matches!(
            read(&[b'x'; 3 * LINE_BYTES]).await,
            Err(DialogueError::NotSmtp(_))
        ));
        let long = [b"250 ".as_slice(), &[b'x'; LINE_BYTES]].concat();
        assert!(matches!(read(&long).await, Err(DialogueError::TooLong)));
        let many = b"250-x\r\n".repeat(LINES + 1);
        assert!(matches!(read(&many).await, Err(DialogueError::TooLong)));
        let (ours, _theirs) = tokio::io::duplex(1024);
        let silent = Dialogue::new(ours)
            .command("NOOP", Duration::from_millis(50))
            .await;
        assert!(matches!(silent, Err(DialogueError::Silent(_))));
    }

    #[tokio::test]
    async fn a_server_that_reads_nothing_holds_nobody_up() {
        let (ours, _theirs) = tokio::io::duplex(16);
        let sent = Dialogue::new(ours)
            .send(&[b'x'; 1024], Duration::from_millis(50))
            .await;
        assert!(matches!(sent, Err(DialogueError::Silent(_))));
    }
}
