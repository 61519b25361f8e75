//! Secrets in header fields: put into a request as the last thing before it is sent, and written over where an answer
//! repeats them, so that none enters the sandbox.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bss_model::Secret;
use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, IF_RANGE, RANGE, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, SizeHint};
use wasmtime_wasi_http::{Error, WasiBody};

use super::spelling::Spelled;

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
    if secrets.is_empty() {
        return;
    }
    for header in secrets {
        headers.insert(header.name.clone(), header.value.clone());
    }
    // Nothing is found in an answer that is compressed, nor in a part that is shorter than a secret.
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers.remove(RANGE);
    headers.remove(IF_RANGE);
}

/// An answer that is compressed, although it was not to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Compressed;

/// Writes `*` over the secrets wherever an answer repeats them, in whatever spelling ([`super::spelling`]). The answer's length
/// stays.
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
    let is_coded = |name, plain: &str| {
        let mut codings = answer.headers().get_all(name).iter();
        codings.any(|coding| !coding.as_bytes().eq_ignore_ascii_case(plain.as_bytes()))
    };
    if is_coded(CONTENT_ENCODING, "identity") || is_coded(TRANSFER_ENCODING, "chunked") {
        return Err(Compressed);
    }
    let hidden = Arc::new(Spelled::of(secrets.iter().map(|header| &header.secret)));
    hide_in(answer.headers_mut(), &hidden);
    Ok(answer.map(|body| Hiding::new(body, hidden).boxed_unsync()))
}

fn hide_in(headers: &mut HeaderMap, hidden: &Spelled) {
    let names: Vec<HeaderName> = headers.keys().cloned().collect();
    for name in names {
        // No header field of HTTP's has a secret for its name.
        if hidden.is_in(name.as_str().as_bytes()) {
            headers.remove(name);
        }
    }
    for value in headers.values_mut() {
        let mut bytes = BytesMut::from(value.as_bytes());
        if hidden.write_over(&mut bytes)
            && let Ok(hidden) = HeaderValue::from_maybe_shared(bytes.freeze())
        {
            *value = hidden;
        }
    }
}

/// A body in which secrets are written over, also where they begin in one piece and end in another. What is held back has
/// always the same length, so that the pieces tell nothing of what was found.
struct Hiding {
    body: WasiBody,
    hidden: Arc<Spelled>,
    /// The end of what has come, in which a secret may begin.
    held: BytesMut,
    /// How many bytes of `held` belong to a secret that began before them.
    starred: usize,
    ready: VecDeque<Frame<Bytes>>,
    has_ended: bool,
}

impl Hiding {
    fn new(body: WasiBody, hidden: Arc<Spelled>) -> Self {
        Self {
            body,
            hidden,
            held: BytesMut::new(),
            starred: 0,
            ready: VecDeque::new(),
            has_ended: false,
        }
    }

    fn take(&mut self, frame: Frame<Bytes>) {
        match frame.into_data() {
            Ok(data) => {
                self.held.extend_from_slice(&data);
                let kept = self.hidden.longest().saturating_sub(1);
                self.tell(self.held.len().saturating_sub(kept));
            }
            Err(other) => {
                if let Ok(mut trailers) = other.into_trailers() {
                    self.tell(self.held.len());
                    hide_in(&mut trailers, &self.hidden);
                    self.ready.push_back(Frame::trailers(trailers));
                }
            }
        }
    }

    /// Passes so many bytes on, in which all secrets that begin are written over.
    fn tell(&mut self, bytes: usize) {
        if bytes == 0 {
            return;
        }
        let found = self.hidden.found_in(&self.held, bytes);
        let mut told = self.held.split_to(bytes);
        let mut starred_until = self.starred;
        told[..starred_until.min(bytes)].fill(b'*');
        for (from, end) in found {
            told[from..end.min(bytes)].fill(b'*');
            starred_until = starred_until.max(end);
        }
        self.starred = starred_until.saturating_sub(bytes);
        self.ready.push_back(Frame::data(told.freeze()));
    }
}

impl Body for Hiding {
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
                    let rest = self.held.len();
                    self.tell(rest);
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ready.is_empty() && self.held.is_empty() && (self.has_ended || self.body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        // What is held back counts to what the body has given already.
        let ready: usize = self
            .ready
            .iter()
            .filter_map(Frame::data_ref)
            .map(Bytes::len)
            .sum();
        let (held, inner) = ((self.held.len() + ready) as u64, self.body.size_hint());
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
        headers.insert("range", HeaderValue::from_static("bytes=0-3"));
        add(&mut headers, &[header()]);
        assert!(!headers.contains_key("range"));
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
        let body = format!("{{\"you sent\":\"{KEY}\"}}");
        let expected = body.replace(KEY, &"*".repeat(KEY.len()));
        assert_eq!(read(vec![body.into()]), expected.into_bytes());
        let mut answer = answered(Vec::new());
        let echoed = HeaderValue::from_str(&format!("Bearer {KEY}")).unwrap();
        answer.headers_mut().insert("x-you-sent", echoed);
        let hidden = hide(answer, &[header()]).unwrap();
        assert_eq!(hidden.headers()["x-you-sent"], "Bearer **********");
    }

    #[test]
    fn an_answer_that_is_compressed_unasked_is_not_passed_on() {
        for (name, coding, is_passed_on) in [
            ("content-encoding", "gzip", false),
            ("transfer-encoding", "gzip, chunked", false),
            ("content-encoding", "identity", true),
            ("transfer-encoding", "chunked", true),
        ] {
            let mut answer = answered(Vec::new());
            answer
                .headers_mut()
                .insert(name, HeaderValue::from_static(coding));
            assert_eq!(
                hide(answer, &[header()]).is_ok(),
                is_passed_on,
                "{name}: {coding}"
            );
        }
    }

    #[test]
    fn a_header_field_that_has_a_secret_for_its_name_is_left_out() {
        let secret = Secret::new("abcdefgh12");
        let header = SecretHeader::new("x-api-key", "", &secret).unwrap();
        let mut answer = answered(Vec::new());
        answer
            .headers_mut()
            .insert("x-abcdefgh12", HeaderValue::from_static("1"));
        answer
            .headers_mut()
            .insert("x-other", HeaderValue::from_static("1"));
        let hidden = hide(answer, &[header]).unwrap();
        assert_eq!(hidden.headers().len(), 1);
    }

    /// The lengths of the pieces in which a guest reads an answer.
    fn lengths(pieces: Vec<Bytes>) -> Vec<usize> {
        let hidden = hide(answered(pieces), &[header()]).unwrap();
        let mut body = hidden.into_body();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut lengths = Vec::new();
            while let Some(frame) = body.frame().await {
                lengths.push(frame.unwrap().into_data().unwrap().len());
            }
            lengths
        })
    }

    #[test]
    fn the_pieces_of_an_answer_do_not_tell_a_guest_how_much_of_a_guess_is_right() {
        let almost = format!("{}0", &KEY[..9]);
        let guesses = ["ak_0000000", "ak_7000000", &almost, KEY, "zzzzzzzzzz"];
        let pieces = |guess: &str| {
            let text = "x".repeat(300) + guess;
            vec![Bytes::from(text.clone()), Bytes::from(text)]
        };
        let all: Vec<_> = guesses.map(|guess| lengths(pieces(guess))).into();
        assert!(all.iter().all(|lengths| *lengths == all[0]), "{all:?}");
    }

    #[test]
    fn a_longer_secret_is_hidden_where_a_shorter_one_begins_it() {
        let [short, long] = ["user0001", "user0001:S3cr3tPassw0rd"]
            .map(|secret| SecretHeader::new("authorization", "", &Secret::new(secret)).unwrap());
        for cut in 1..30 {
            let text = "by user0001:S3cr3tPassw0rd.";
            let mut rest = Bytes::from_static(text.as_bytes());
            let first = rest.split_to(cut.min(text.len()));
            let hidden = hide(answered(vec![first, rest]), &[short.clone(), long.clone()]).unwrap();
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let read = runtime.block_on(hidden.into_body().collect()).unwrap().to_bytes();
            assert_eq!(read, format!("by {}.", "*".repeat(23)), "{cut}");
        }
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
