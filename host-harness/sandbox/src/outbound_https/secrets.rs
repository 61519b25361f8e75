//! Secrets in header fields: put into a request as the last thing before it is sent, and written over where an answer
//! repeats them, so that none enters the sandbox.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bss_model::Secret;
use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, SizeHint};
use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use wasmtime_wasi_http::{Error, WasiBody};

/// A header field with a secret, as it is sent.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretHeader {
    name: HeaderName,
    value: HeaderValue,
    secret: Secret,
}

/// Error of a name, prefix or secret that can't stand in a header field. Quotes none of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a header field can't hold the secret")]
pub struct NotAHeader;

impl fmt::Debug for SecretHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name,
            value: _,
            secret,
        } = self;
        f.debug_struct("SecretHeader")
            .field("name", name)
            .field("secret", secret)
            .finish_non_exhaustive()
    }
}

impl SecretHeader {
    /// The header field of that name, with `prefix` and the secret as its value.
    ///
    /// # Errors
    /// When one of the three can't be a part of a header field.
    pub fn new(name: &str, prefix: &str, secret: &Secret) -> Result<Self, NotAHeader> {
        let text = zeroize::Zeroizing::new(format!("{prefix}{}", secret.expose()));
        let mut value = HeaderValue::from_str(&text).map_err(|_| NotAHeader)?;
        value.set_sensitive(true);
        Ok(Self {
            name: HeaderName::from_lowercase(name.as_bytes()).map_err(|_| NotAHeader)?,
            value,
            secret: secret.clone(),
        })
    }
}

/// Puts secrets into a request, in place of what the guest sent under their names.
pub(super) fn add(headers: &mut HeaderMap, secrets: &[SecretHeader]) {
    for header in secrets {
        headers.insert(header.name.clone(), header.value.clone());
    }
    if !secrets.is_empty() {
        // Nothing is found in an answer that is compressed.
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    }
}

/// An answer that is compressed, although it was not to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Compressed;

/// Writes `*` over the secrets wherever an answer repeats them: as they are, or as JSON and URLs may spell them. Their
/// length stays, and so does the answer's.
///
/// # Errors
/// When the answer is compressed, although it was not to be, so that nothing can be found in it.
pub(super) fn hide(
    mut answer: http::Response<WasiBody>,
    secrets: &[SecretHeader],
) -> Result<http::Response<WasiBody>, Compressed> {
    if secrets.is_empty() {
        return Ok(answer);
    }
    let mut codings = answer.headers().get_all(CONTENT_ENCODING).iter();
    if codings.any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return Err(Compressed);
    }
    let spellings = Spellings::of(secrets);
    hide_in(answer.headers_mut(), &spellings);
    Ok(answer.map(|body| {
        let hidden = Hidden {
            body,
            spellings,
            held: BytesMut::new(),
            ready: VecDeque::new(),
            has_ended: false,
        };
        hidden.boxed_unsync()
    }))
}

fn hide_in(headers: &mut HeaderMap, spellings: &Spellings) {
    for value in headers.values_mut() {
        let mut bytes = BytesMut::from(value.as_bytes());
        if spellings.write_over(&mut bytes)
            && let Ok(hidden) = HeaderValue::from_maybe_shared(bytes.freeze())
        {
            *value = hidden;
        }
    }
}

/// All that an answer may spell secrets as.
struct Spellings(Vec<Secret>);

impl Spellings {
    fn of(secrets: &[SecretHeader]) -> Self {
        let spelled = secrets.iter().flat_map(|header| {
            let plain = header.secret.expose();
            [
                plain.to_owned(),
                plain.replace('\\', r"\\").replace('"', "\\\""),
                plain
                    .replace('\\', r"\\")
                    .replace('"', "\\\"")
                    .replace('/', r"\/"),
                percent_encode(plain.as_bytes(), NON_ALPHANUMERIC).to_string(),
            ]
        });
        let mut all: Vec<Secret> = spelled.map(Secret::new).collect();
        // A longer one first: it may contain another.
        all.sort_by_key(|secret| std::cmp::Reverse(secret.expose().len()));
        all.dedup();
        Self(all)
    }

    /// Writes over every spelling, and returns whether there was one.
    fn write_over(&self, text: &mut [u8]) -> bool {
        let mut is_any = false;
        for secret in &self.0 {
            let secret = secret.expose().as_bytes();
            let mut from = 0;
            while let Some(at) = text.get(from..).and_then(|rest| find(rest, secret)) {
                let end = from + at + secret.len();
                text[from + at..end].fill(b'*');
                (from, is_any) = (end, true);
            }
        }
        is_any
    }

    /// The length of the text's end that may be the beginning of a spelling.
    fn begun_at_the_end(&self, text: &[u8]) -> usize {
        let begun = |secret: &Secret| {
            let secret = secret.expose().as_bytes();
            let longest = secret.len().saturating_sub(1).min(text.len());
            (1..=longest)
                .rev()
                .find(|length| text.ends_with(&secret[..*length]))
        };
        self.0.iter().filter_map(begun).max().unwrap_or_default()
    }
}

/// Where a text first has a part.
fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    let first = *part.first()?;
    let mut from = 0;
    loop {
        let at = from + text.get(from..)?.iter().position(|byte| *byte == first)?;
        if text[at..].starts_with(part) {
            return Some(at);
        }
        from = at + 1;
    }
}

/// A body in which secrets are written over, also where they begin in one piece and end in another.
struct Hidden {
    body: WasiBody,
    spellings: Spellings,
    /// The end of the last piece, which may be the beginning of a secret.
    held: BytesMut,
    ready: VecDeque<Frame<Bytes>>,
    has_ended: bool,
}

impl Hidden {
    fn take(&mut self, frame: Frame<Bytes>) {
        let trailers = match frame.into_data() {
            Ok(data) => {
                self.held.extend_from_slice(&data);
                self.spellings.write_over(&mut self.held);
                let kept = self.spellings.begun_at_the_end(&self.held);
                let told = self.held.split_to(self.held.len() - kept).freeze();
                if !told.is_empty() {
                    self.ready.push_back(Frame::data(told));
                }
                return;
            }
            Err(other) => other.into_trailers(),
        };
        if let Ok(mut trailers) = trailers {
            self.end();
            hide_in(&mut trailers, &self.spellings);
            self.ready.push_back(Frame::trailers(trailers));
        }
    }

    /// Lets go of what turned out to be no secret.
    fn end(&mut self) {
        if !self.held.is_empty() {
            let rest = std::mem::take(&mut self.held).freeze();
            self.ready.push_back(Frame::data(rest));
        }
    }
}

impl Body for Hidden {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        loop {
            if let Some(frame) = self.ready.pop_front() {
                return Poll::Ready(Some(Ok(frame)));
            }
            if self.has_ended {
                return Poll::Ready(None);
            }
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => self.take(frame),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => {
                    self.has_ended = true;
                    self.end();
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ready.is_empty() && self.held.is_empty() && (self.has_ended || self.body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        // What is held back counts to what the body has given already.
        let held = self.held.len()
            + self
                .ready
                .iter()
                .filter_map(Frame::data_ref)
                .map(Bytes::len)
                .sum::<usize>();
        let (held, inner) = (held as u64, self.body.size_hint());
        let mut hint = SizeHint::new();
        hint.set_lower(inner.lower().saturating_add(held));
        if let Some(upper) = inner.upper() {
            hint.set_upper(upper.saturating_add(held));
        }
        hint
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEY: &str = "ak_7/\"q+Zz";

    fn header() -> SecretHeader {
        SecretHeader::new("authorization", "Bearer ", &Secret::new(KEY)).unwrap()
    }

    struct Pieces(VecDeque<Bytes>);

    impl Body for Pieces {
        type Data = Bytes;
        type Error = Error;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
            Poll::Ready(self.0.pop_front().map(|piece| Ok(Frame::data(piece))))
        }
    }

    fn answered(pieces: Vec<Bytes>) -> http::Response<WasiBody> {
        http::Response::new(Pieces(pieces.into()).boxed_unsync())
    }

    /// What a guest reads of an answer that came in these pieces.
    fn read(pieces: Vec<Bytes>) -> Vec<u8> {
        let hidden = hide(answered(pieces), &[header()]).unwrap();
        let collected = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap()
            .block_on(hidden.into_body().collect());
        collected.unwrap().to_bytes().to_vec()
    }

    #[test]
    fn a_secret_is_sent_in_place_of_what_the_guest_says_under_its_name() {
        let mut headers = HeaderMap::new();
        headers.insert("authorization", HeaderValue::from_static("Bearer of-the-guest"));
        headers.insert("accept-encoding", HeaderValue::from_static("gzip"));
        add(&mut headers, &[header()]);
        assert_eq!(headers["authorization"], format!("Bearer {KEY}"));
        assert!(headers["authorization"].is_sensitive());
        assert_eq!(headers["accept-encoding"], "identity");
        assert!(!format!("{headers:?} {:?}", header()).contains(KEY));
    }

    #[test]
    fn nothing_is_changed_where_there_is_no_secret() {
        let mut headers = HeaderMap::new();
        headers.insert("accept-encoding", HeaderValue::from_static("gzip"));
        add(&mut headers, &[]);
        assert_eq!(headers["accept-encoding"], "gzip");
        let mut answer = answered(vec![Bytes::from_static(KEY.as_bytes())]);
        answer
            .headers_mut()
            .insert("content-encoding", HeaderValue::from_static("gzip"));
        assert!(hide(answer, &[]).is_ok());
    }

    #[test]
    fn an_answer_that_repeats_a_secret_comes_without_it() {
        for spelled in [KEY, r#"ak_7/\"q+Zz"#, r#"ak_7\/\"q+Zz"#, "ak%5F7%2F%22q%2BZz"] {
            let body = format!("{{\"you sent\":\"{spelled}\"}}");
            let expected = body.replace(spelled, &"*".repeat(spelled.len()));
            assert_eq!(read(vec![body.into()]), expected.into_bytes(), "{spelled}");
        }
        let mut answer = answered(Vec::new());
        let echoed = HeaderValue::from_str(&format!("Bearer {KEY}")).unwrap();
        answer.headers_mut().insert("x-you-sent", echoed);
        let hidden = hide(answer, &[header()]).unwrap();
        assert_eq!(hidden.headers()["x-you-sent"], "Bearer **********");
    }

    #[test]
    fn an_answer_that_is_compressed_unasked_is_not_passed_on() {
        let mut answer = answered(Vec::new());
        answer
            .headers_mut()
            .insert("content-encoding", HeaderValue::from_static("gzip"));
        assert!(matches!(hide(answer, &[header()]), Err(Compressed)));
    }

    proptest! {
        #[test]
        fn a_secret_is_found_however_an_answer_is_cut_and_all_else_stays(
            around in proptest::collection::vec("[a-z_7/*]{0,12}", 1..5),
            cuts in proptest::collection::vec(1_usize..9, 1..40),
        ) {
            let text = around.join(KEY);
            let mut rest = Bytes::from(text.clone());
            let mut pieces = Vec::new();
            for cut in cuts {
                pieces.push(rest.split_to(cut.min(rest.len())));
            }
            pieces.push(rest);
            let expected = text.replace(KEY, &"*".repeat(KEY.len()));
            prop_assert_eq!(String::from_utf8(read(pieces)).unwrap(), expected);
        }
    }
}
