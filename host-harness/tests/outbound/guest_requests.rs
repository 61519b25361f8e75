//! Requests of a guest over the raw imports, and what of them reaches a server: the regressions that wasmtime's own
//! advisories of this year are about, each beside what is allowed.

use std::sync::{Arc, Mutex};

use bss_sandbox::limits;

use crate::caller::Caller;
use crate::guest::{
    ANSWERED, HEADER_REFUSED, Outcome, PATH_REFUSED, REQUEST_BODY_SIZE, REQUEST_DENIED, Request,
};
use crate::server::{HTTP_1_1, Server, read_request, write_answer};

/// A server that keeps every request as it came over the wire, and answers it.
async fn listening() -> (Server, Arc<Mutex<Vec<String>>>) {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let keep = heard.clone();
    let server = Server::tls(&[HTTP_1_1], move |mut tls, _| {
        let keep = keep.clone();
        async move {
            while let Some(request) = read_request(&mut tls).await {
                keep.lock().unwrap().push(request);
                write_answer(&mut tls, "").await;
            }
        }
    })
    .await;
    (server, heard)
}

fn answered() -> Outcome {
    Outcome {
        code: ANSWERED,
        writes_left: 0,
    }
}

/// Sends a request that must not leave and returns its outcome; a good one after it is answered, alone.
async fn refused(change: impl Fn(&mut Request)) -> Outcome {
    let (server, heard) = listening().await;
    let caller = Caller::new(&server);
    let mut request = Request::to(&caller);
    change(&mut request);
    let outcome = request.send(&caller).await;
    assert_eq!(*heard.lock().unwrap(), Vec::<String>::new(), "nothing was sent");
    assert_eq!(Request::to(&caller).send(&caller).await, answered());
    assert_eq!(heard.lock().unwrap().len(), 1);
    outcome
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_arrives_in_origin_form_with_one_host_and_its_length() {
    let (server, heard) = listening().await;
    let caller = Caller::new(&server);
    let request = Request {
        headers: vec![("x-one", "1".to_owned())],
        ..Request::to(&caller)
    };
    assert_eq!(request.send(&caller).await, answered());
    let heard = heard.lock().unwrap().pop().expect("a request");
    let lines: Vec<&str> = heard.lines().collect();
    assert_eq!(lines[0], "POST /path?query HTTP/1.1");
    let host = format!("host: {}", request.authority);
    for line in ["x-one: 1", "content-length: 5", &host] {
        let name = line.split_once(':').unwrap().0;
        let named: Vec<_> = lines.iter().filter(|it| it.starts_with(name)).collect();
        assert_eq!(named, [&line], "{heard}");
    }
    assert!(!heard.contains("transfer-encoding"), "{heard}");
}

/// The values that a request arrives with under a name.
async fn arriving(name: &str, headers: Vec<(&'static str, String)>) -> Vec<String> {
    let (server, heard) = listening().await;
    let caller = Caller::new(&server);
    let request = Request {
        headers,
        ..Request::to(&caller)
    };
    assert_eq!(request.send(&caller).await, answered());
    let heard = heard.lock().unwrap().pop().expect("a request");
    let values = heard.lines().filter_map(|line| line.split_once(": "));
    values
        .filter(|(found, _)| *found == name)
        .map(|(_, value)| value.to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_says_who_asks_and_wants_no_compression_unless_the_guest_has_said_so_itself() {
    let product = format!("bss-host/{}", env!("CARGO_PKG_VERSION"));
    assert_eq!(arriving("user-agent", Vec::new()).await, [product]);
    assert_eq!(arriving("accept-encoding", Vec::new()).await, ["identity"]);
    for (name, value) in [("user-agent", "a-plugin/1.2"), ("accept-encoding", "gzip")] {
        let own = vec![(name, value.to_owned())];
        assert_eq!(arriving(name, own).await, [value], "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_in_absolute_form_leads_nowhere_else() {
    for path in ["http://evil.test/", "https://evil.test/", "evil.test/path"] {
        let outcome = refused(|request| path.clone_into(&mut request.path)).await;
        assert!(
            [PATH_REFUSED, REQUEST_DENIED].contains(&outcome.code),
            "{path}: {outcome:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_of_70_kilobytes_is_refused_and_one_within_the_limit_is_sent() {
    let outcome = refused(|request| request.path = format!("/{}", "x".repeat(70_000))).await;
    assert!(
        [PATH_REFUSED, REQUEST_DENIED].contains(&outcome.code),
        "{outcome:?}"
    );
    let (server, heard) = listening().await;
    let caller = Caller::new(&server);
    let long = Request {
        path: format!("/{}", "x".repeat(limits::REQUEST_TARGET_BYTES - 1)),
        ..Request::to(&caller)
    };
    assert_eq!(long.send(&caller).await, answered());
    assert!(heard.lock().unwrap()[0].contains(&long.path));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_server_user_information_plain_http_connect_and_trace_are_denied() {
    let changes: [fn(&mut Request); 6] = [
        |request| request.authority = "evil.test".to_owned(),
        |request| request.authority = format!("user:password@{}", request.authority),
        |request| request.scheme = 0,
        |request| request.method = Ok(5),
        |request| request.method = Ok(7),
        |request| request.method = Err("CONNECT"),
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let outcome = refused(change).await;
        assert_eq!(outcome.code, REQUEST_DENIED, "{number}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_about_the_connection_are_not_a_guest_s_to_set() {
    for name in [
        "host",
        "transfer-encoding",
        "connection",
        "upgrade",
        "http2-settings",
    ] {
        let outcome = refused(|request| request.headers = vec![(name, "x".to_owned())]).await;
        assert_eq!(outcome.code, HEADER_REFUSED, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_length_that_is_not_the_body_s_or_is_given_twice_is_refused() {
    let length = |values: &[&str]| -> Vec<(&'static str, String)> {
        values
            .iter()
            .map(|it| ("content-length", (*it).to_owned()))
            .collect()
    };
    for values in [&["3"][..], &["50"], &["5", "6"], &["x"]] {
        let outcome = refused(|request| request.headers = length(values)).await;
        assert_ne!(outcome.code, ANSWERED, "{values:?}");
    }
    let (server, heard) = listening().await;
    let caller = Caller::new(&server);
    let right = Request {
        headers: length(&["5"]),
        ..Request::to(&caller)
    };
    assert_eq!(right.send(&caller).await, answered());
    assert_eq!(heard.lock().unwrap()[0].matches("content-length").count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_100_megabytes_is_cut_off_at_the_limit_and_one_within_it_is_sent() {
    const WRITE: u32 = 4096;
    let megabyte = u32::try_from(limits::REQUEST_BODY_BYTES).unwrap() / WRITE;
    let outcome = refused(|request| {
        request.write_length = WRITE;
        request.writes = 100 * megabyte;
    })
    .await;
    assert_eq!(outcome.code, REQUEST_BODY_SIZE, "{outcome:?}");
    // The host took a piece or two beyond its limit before it refused, not the rest.
    assert!(outcome.writes_left > u64::from(98 * megabyte), "{outcome:?}");
    let (server, heard) = listening().await;
    let caller = Caller::new(&server);
    let largest = Request {
        write_length: WRITE,
        writes: megabyte,
        ..Request::to(&caller)
    };
    assert_eq!(largest.send(&caller).await, answered());
    assert!(heard.lock().unwrap()[0].len() > limits::REQUEST_BODY_BYTES);
}

#[tokio::test(flavor = "multi_thread")]
async fn time_outs_of_zero_fail_the_request_and_enormous_ones_change_nothing() {
    let (server, _) = listening().await;
    let caller = Caller::new(&server);
    for (nanoseconds, either) in [(0, true), (u64::MAX, false), (i64::MAX as u64, false)] {
        let request = Request {
            timeouts: Some(nanoseconds),
            ..Request::to(&caller)
        };
        let outcome = request.send(&caller).await;
        // With a millisecond for everything the request may well be answered; it must only do no harm.
        assert!(either || outcome == answered(), "{nanoseconds}: {outcome:?}");
    }
    assert_eq!(Request::to(&caller).send(&caller).await, answered());
}
