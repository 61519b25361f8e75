//! The messages of PostgreSQL's protocol, as far as they have to be told apart
//! (postgresql.org/docs/current/protocol-message-formats.html).

use std::io;

use tokio::io::AsyncReadExt as _;
use tokio::net::unix::OwnedReadHalf;

/// The requests for encryption, which have a number in place of the protocol's version: TLS, and GSSAPI.
const ENCRYPTION: [u32; 2] = [80_877_103, 80_877_104];
/// The bytes of a length, which counts itself.
const LENGTH: usize = 4;

/// Who sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sender {
    /// Whose first messages have no type.
    Client,
    /// All of whose messages have one.
    Server,
}

/// What is read of one side.
pub(super) struct Messages {
    from: OwnedReadHalf,
    /// Bytes that are no whole message yet.
    rest: Vec<u8>,
    /// Whether messages have a type, which is their first byte.
    are_typed: bool,
}

/// A message, as it was sent.
#[derive(Debug)]
pub(super) struct Message {
    bytes: Vec<u8>,
    is_typed: bool,
}

impl Messages {
    pub(super) fn new(from: OwnedReadHalf, sender: Sender) -> Self {
        Self {
            from,
            rest: Vec::new(),
            are_typed: sender == Sender::Server,
        }
    }

    /// The next message. Whoever stops waiting for it loses nothing.
    pub(super) async fn next(&mut self) -> io::Result<Message> {
        loop {
            if let Some(bytes) = first_message(&mut self.rest, self.are_typed)? {
                let message = Message {
                    bytes,
                    is_typed: self.are_typed,
                };
                // The first message that is no request for encryption begins the session.
                self.are_typed |= !message.asks_for_encryption();
                return Ok(message);
            }
            if self.from.read_buf(&mut self.rest).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

impl Message {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether it asks to go on encrypted.
    pub(super) fn asks_for_encryption(&self) -> bool {
        let code = self.bytes.get(LENGTH..).and_then(|rest| rest.first_chunk());
        !self.is_typed && code.is_some_and(|code| ENCRYPTION.contains(&u32::from_be_bytes(*code)))
    }

    /// Whether it is a simple query that commits.
    pub(super) fn is_commit(&self) -> bool {
        let commit = b"COMMIT";
        match self.bytes.split_first() {
            Some((b'Q', rest)) if self.is_typed => {
                let text = rest.get(LENGTH..).unwrap_or_default().trim_ascii_start();
                let (word, after) = text.split_at(commit.len().min(text.len()));
                word.eq_ignore_ascii_case(commit) && !after.first().is_some_and(u8::is_ascii_alphanumeric)
            }
            _ => false,
        }
    }

    /// Whether the server has carried out all that it was sent: ReadyForQuery.
    pub(super) fn is_end_of_answer(&self) -> bool {
        self.is_typed && self.bytes.first() == Some(&b'Z')
    }
}

/// Takes the first message from what was read. `None`: it is not all there.
fn first_message(read: &mut Vec<u8>, is_typed: bool) -> io::Result<Option<Vec<u8>>> {
    let before = usize::from(is_typed);
    let Some(length) = read.get(before..).and_then(|rest| rest.first_chunk::<LENGTH>()) else {
        return Ok(None);
    };
    let length = usize::try_from(u32::from_be_bytes(*length)).map_err(io::Error::other)?;
    if length < LENGTH {
        return Err(io::ErrorKind::InvalidData.into());
    }
    if read.len() < before + length {
        return Ok(None);
    }
    let rest = read.split_off(before + length);
    Ok(Some(std::mem::replace(read, rest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(kind: u8, body: &[u8]) -> Message {
        let length = u32::try_from(body.len() + LENGTH).unwrap().to_be_bytes();
        Message {
            bytes: [&[kind], &length[..], body].concat(),
            is_typed: true,
        }
    }

    #[test]
    fn a_commit_is_a_simple_query_that_begins_with_the_word() {
        for text in ["COMMIT\0", "commit;\0", " \n\tCommit and chain\0", "COMMIT"] {
            assert!(typed(b'Q', text.as_bytes()).is_commit(), "{text}");
        }
        for text in [
            "COMMITS\0",
            "ROLLBACK\0",
            "SELECT 'COMMIT'\0",
            "COMMI",
            "",
            "commit1",
        ] {
            assert!(!typed(b'Q', text.as_bytes()).is_commit(), "{text}");
        }
        assert!(!typed(b'P', b"COMMIT\0").is_commit());
        let untyped = Message {
            is_typed: false,
            ..typed(b'Q', b"COMMIT\0")
        };
        assert!(!untyped.is_commit());
    }

    #[test]
    fn messages_are_taken_one_by_one_and_only_whole() {
        let (first, second) = (typed(b'Q', b"one\0"), typed(b'Z', b"I"));
        let all = [first.bytes(), second.bytes()].concat();
        for end in 0..first.bytes().len() {
            let mut read = all[..end].to_vec();
            assert_eq!(first_message(&mut read, true).unwrap(), None);
            assert_eq!(read, all[..end]);
        }
        let mut read = all;
        assert_eq!(
            first_message(&mut read, true).unwrap().as_deref(),
            Some(first.bytes())
        );
        assert_eq!(
            first_message(&mut read, true).unwrap().as_deref(),
            Some(second.bytes())
        );
        assert!(read.is_empty() && second.is_end_of_answer() && !first.is_end_of_answer());
    }

    #[test]
    fn a_length_that_does_not_count_itself_is_an_error() {
        assert!(first_message(&mut vec![b'Q', 0, 0, 0, 3, 0], true).is_err());
        assert!(first_message(&mut vec![0, 0, 0, 0], false).is_err());
    }

    #[test]
    fn a_request_for_encryption_is_told_from_the_beginning_of_a_session() {
        let untyped = |code: u32| Message {
            bytes: [8_u32.to_be_bytes(), code.to_be_bytes()].concat(),
            is_typed: false,
        };
        assert!(untyped(80_877_103).asks_for_encryption() && untyped(80_877_104).asks_for_encryption());
        assert!(!untyped(196_608).asks_for_encryption());
        assert!(!typed(b'Q', b"COMMIT\0").asks_for_encryption());
    }
}
