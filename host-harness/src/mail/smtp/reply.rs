//! Replies of a mail server: what counts are their three digits, and the enhanced code where there is one. The text is
//! for people, in whatever charset the server writes.

use std::fmt;

use super::super::text::one_line;

/// The most characters of a server's text that are kept.
const TEXT_CHARS: usize = 300;

/// The longest line of a reply. RFC 5321 section 4.5.3.1.5 allows 512 bytes; some servers offer more than fits.
pub(super) const LINE_BYTES: usize = 4 * 1024;

/// The most lines of a reply.
pub(super) const LINES: usize = 100;

/// An enhanced status code (RFC 3463), as in `5.1.1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Enhanced {
    pub(super) class: u16,
    pub(super) subject: u16,
    pub(super) detail: u16,
}

impl fmt::Display for Enhanced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.class, self.subject, self.detail)
    }
}

/// A whole reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) code: u16,
    /// The texts of the lines, without their codes.
    pub(super) lines: Vec<String>,
}

/// What a line of a reply is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) code: u16,
    pub(super) is_last: bool,
    text: String,
}

impl Line {
    /// Reads a line, without its end. `None`: it does not begin with a code (RFC 5321 section 4.2).
    pub(super) fn read(line: &[u8]) -> Option<Self> {
        let (digits, rest) = line.split_at_checked(3)?;
        let is_code = (b'1'..=b'5').contains(digits.first()?) && digits.iter().all(u8::is_ascii_digit);
        let code = std::str::from_utf8(digits).ok()?.parse().ok()?;
        let is_last = match rest.first() {
            None | Some(b' ' | b'\t') => true,
            Some(b'-') => false,
            Some(_) => return None,
        };
        is_code.then(|| Self {
            code,
            is_last,
            text: String::from_utf8_lossy(rest.get(1..).unwrap_or_default()).into_owned(),
        })
    }
}

impl Reply {
    /// Makes a reply of its lines.
    pub(super) fn of(lines: Vec<Line>) -> Option<Self> {
        let code = lines.last()?.code;
        let lines = lines.into_iter().map(|line| line.text).collect();
        Some(Self { code, lines })
    }

    /// Whether what was asked is done, or the server waits for the rest of it.
    pub(super) fn is_positive(&self) -> bool {
        self.code < 400
    }

    /// The enhanced code, where there is one of the same class as the reply (RFC 2034 section 4).
    pub(super) fn enhanced(&self) -> Option<Enhanced> {
        let found = self.lines.iter().find_map(|line| enhanced(line))?;
        (found.class == self.code / 100).then_some(found)
    }

    /// The reply without what it repeats of an encoded login: some servers repeat a line that they do not know.
    pub(super) fn without(mut self, login: &str) -> Self {
        let is_of_base64 = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=');
        for line in &mut self.lines {
            let runs: Vec<&str> = line
                .split(|c| !is_of_base64(c))
                .filter(|run| run.len() >= 4 && login.contains(run))
                .collect();
            if !runs.is_empty() {
                *line = runs
                    .iter()
                    .fold(line.clone(), |line, run| line.replace(run, "[elided]"));
            }
        }
        self
    }

    /// The reply on one line, shortened.
    pub(super) fn shown(&self) -> String {
        let text = one_line(&self.lines.join(" "));
        let text: String = text.chars().take(TEXT_CHARS).collect();
        match text.is_empty() {
            true => self.code.to_string(),
            false => format!("{} {text}", self.code),
        }
    }

    /// The codes alone, which name nobody.
    pub(super) fn codes(&self) -> String {
        match self.enhanced() {
            Some(enhanced) => format!("{} {enhanced}", self.code),
            None => self.code.to_string(),
        }
    }
}

/// Reads an enhanced code at the beginning of a text: its detail has one to three digits, as its subject.
fn enhanced(text: &str) -> Option<Enhanced> {
    let first = text.split([' ', '\t']).next()?;
    let mut numbers = first.split('.').map(|part| {
        let is_number = (1..=3).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| part.parse::<u16>().ok()).flatten()
    });
    let code = (numbers.next()??, numbers.next()??, numbers.next()??);
    let (class, subject, detail) = code;
    let is_known = matches!(class, 2 | 4 | 5) && numbers.next().is_none();
    is_known.then_some(Enhanced {
        class,
        subject,
        detail,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn reply(lines: &[&[u8]]) -> Reply {
        Reply::of(lines.iter().map(|line| Line::read(line).unwrap()).collect()).unwrap()
    }

    #[test]
    fn three_digits_count_in_whatever_charset_the_text_is() {
        let latin1 = reply(&[b"250 2.0.0 \xfcbernommen"]);
        assert_eq!((latin1.code, latin1.is_positive()), (250, true));
        let gbk = reply(&[b"550 \xd3\xca\xcf\xe4\xb2\xbb\xb4\xe6\xd4\xda"]);
        assert_eq!((gbk.code, gbk.is_positive()), (550, false));
        assert_eq!(reply(&[b"250"]).shown(), "250");
        assert_eq!(reply(&[b"354 "]).code, 354);
    }

    #[test]
    fn a_line_without_a_code_is_none() {
        for line in [
            &b""[..],
            b"25",
            b"HTTP/1.1 400",
            b"2500 x",
            b"25x ok",
            b"650 x",
            b"099 x",
            b"\xff50 x",
        ] {
            assert_eq!(Line::read(line), None, "{line:?}");
        }
        assert!(!Line::read(b"250-more").unwrap().is_last);
        assert!(Line::read(b"250 last").unwrap().is_last);
    }

    #[test]
    fn an_enhanced_code_is_read_where_it_belongs_to_the_reply() {
        let of = |line: &[u8]| reply(&[line]).enhanced().map(|code| code.to_string());
        assert_eq!(of(b"550 5.1.1 <a@b>: unknown").as_deref(), Some("5.1.1"));
        assert_eq!(of(b"554 5.2.252 SendAsDenied").as_deref(), Some("5.2.252"));
        assert_eq!(of(b"550 5.7.1").as_deref(), Some("5.7.1"));
        for none in [
            &b"550 unknown"[..],
            b"550 4.1.1 x",
            b"550 5.1 x",
            b"550 5.1.1.1 x",
            b"550 192.0.2.1 x",
            b"550 5.1.1234 x",
        ] {
            assert_eq!(of(none), None);
        }
        let on_second = reply(&[b"550-Sorry", b"550 5.7.1 not you"]);
        assert_eq!(on_second.codes(), "550 5.7.1");
        assert_eq!(on_second.shown(), "550 Sorry 5.7.1 not you");
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_line_of_a_reply_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            if let Some(line) = Line::read(&bytes) {
                prop_assert!((100..600).contains(&line.code));
                let reply = Reply::of(vec![line]).unwrap();
                prop_assert!(!reply.shown().chars().any(char::is_control));
                let _ = reply.enhanced();
            }
        }
    }
}
