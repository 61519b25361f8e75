//! The pool: how many connections it keeps, for which instance, and for how long.

use std::sync::Arc;
use std::time::Duration;

use bss_sandbox::outbound_https::{ConnectionCounts, ConnectionLimits};
use tokio::sync::Semaphore;
use wasmtime_wasi_http::{Error, RequestOptions};

use crate::caller::{Caller, NO_OPTIONS, until};
use crate::server::{
    HTTP_1_1, HTTP_2, Server, Tls, answer_all_http1, answer_all_http2, read_request, respond, write_answer,
};

const PAUSE: Duration = Duration::from_millis(5);

fn limits(per_instance: usize, in_all: usize) -> ConnectionLimits {
    ConnectionLimits {
        per_instance,
        in_all,
        ..ConnectionLimits::default()
    }
}

async fn http1_server() -> Server {
    Server::tls(&[HTTP_1_1], |tls, number| answer_all_http1(tls, number, PAUSE)).await
}

async fn http2_server(streams: u32) -> Server {
    Server::tls(&[HTTP_2, HTTP_1_1], move |tls, number| {
        answer_all_http2(tls, streams, move |_, answer| async move {
            tokio::time::sleep(PAUSE).await;
            respond(answer, &number.to_string());
        })
    })
    .await
}

/// A server that answers each request when the test gives a permit for it.
async fn held_server(answers: Arc<Semaphore>) -> Server {
    Server::tls(&[HTTP_1_1], move |tls: Tls, _| {
        let (answers, mut tls) = (answers.clone(), tls);
        async move {
            while read_request(&mut tls).await.is_some() {
                answers.acquire().await.unwrap().forget();
                write_answer(&mut tls, "").await;
            }
        }
    })
    .await
}

fn connect_within(time: Duration) -> RequestOptions {
    RequestOptions {
        connect_timeout: Some(time),
        ..NO_OPTIONS
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_request_after_the_other_goes_over_one_connection() {
    for server in [http1_server().await, http2_server(100).await] {
        let caller = Caller::new(&server);
        for _ in 0..20 {
            assert_eq!(caller.post().await.unwrap(), "0");
        }
        let counts = caller.outbound.connections();
        assert_eq!((counts.opened, counts.reused), (1, 19));
        assert_eq!(server.accepted(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_at_once_take_one_connection_each_and_no_more_over_http_1_1() {
    let server = http1_server().await;
    let caller = Caller::new(&server);
    for _ in 0..10 {
        caller.at_once(32).await;
    }
    assert!(server.accepted() <= 32, "{}", server.accepted());
    assert!(server.accepted() > 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_at_once_share_one_connection_over_http_2() {
    let server = http2_server(100).await;
    let caller = Caller::new(&server);
    for _ in 0..10 {
        caller.at_once(32).await;
    }
    assert_eq!(server.accepted(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_takes_few_streams_is_sent_no_more_and_gets_more_connections() {
    let server = http2_server(4).await;
    let caller = Caller::new(&server);
    // The first requests go out before the server has said how many streams it takes; then that is known.
    caller.at_once(8).await;
    caller.at_once(16).await;
    caller.at_once(16).await;
    assert!((2..=5).contains(&server.accepted()), "{}", server.accepted());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_has_no_more_connections_than_its_share_and_the_others_wait_their_turn() {
    let server = http1_server().await;
    let caller = Caller::limited(&server, limits(4, 100));
    caller.at_once(40).await;
    assert!(server.accepted() <= 4, "{}", server.accepted());
    assert!(caller.outbound.connections().open <= 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_instances_together_have_no_more_connections_than_the_host_allows() {
    let server = http1_server().await;
    let first = Caller::limited(&server, limits(4, 6));
    let others = ["two", "three", "four"].map(|name| first.beside(name, &server));
    let mut running = tokio::task::JoinSet::new();
    for caller in others.into_iter().chain([first.clone()]) {
        running.spawn(async move { caller.at_once(12).await });
    }
    let watched = first.outbound.clone();
    let mut most = 0;
    while !running.is_empty() {
        most = most.max(watched.connections().open);
        if let Ok(Some(ended)) = tokio::time::timeout(Duration::from_millis(1), running.join_next()).await {
            ended.unwrap();
        }
    }
    assert!((1..=6).contains(&most), "{most}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_finds_no_room_in_time_is_told_that_nothing_was_sent() {
    let answers = Arc::new(Semaphore::new(0));
    let server = held_server(answers.clone()).await;
    let caller = Caller::limited(&server, limits(1, 100));
    let first = tokio::spawn({
        let caller = caller.clone();
        async move { caller.post().await }
    });
    until("the first is under way", || server.accepted() == 1).await;
    let second = caller
        .exchange(http::Method::POST, "x", connect_within(PAUSE))
        .await;
    assert!(matches!(second, Err(Error::ConnectionLimitReached)), "{second:?}");
    // With room again the same request is sent.
    answers.add_permits(2);
    first.await.unwrap().unwrap();
    caller.post().await.unwrap();
    assert_eq!(server.accepted(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_waits_for_many_answers_leaves_room_for_the_others() {
    let answers = Arc::new(Semaphore::new(0));
    let slow = held_server(answers.clone()).await;
    let quick = http1_server().await;
    let greedy = Caller::limited(&slow, limits(3, 4));
    let mut waiting = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let greedy = greedy.clone();
        waiting.spawn(async move { greedy.post().await });
    }
    until("it has all that it can have", || slow.accepted() == 3).await;
    let modest = greedy.beside("modest", &quick);
    for _ in 0..5 {
        modest.post().await.unwrap();
    }
    assert_eq!(slow.accepted(), 3);
    answers.add_permits(50);
    assert!(waiting.join_all().await.into_iter().all(|answer| answer.is_ok()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_connection_makes_room_for_another_instance() {
    for server in [http1_server().await, http2_server(100).await] {
        let first = Caller::limited(&server, limits(1, 1));
        for name in ["two", "three", "two"] {
            first.post().await.unwrap();
            first.beside(name, &server).post().await.unwrap();
        }
        let counts = first.outbound.connections();
        assert!(counts.open <= 1, "{counts:?}");
        assert_eq!(counts.opened, 6);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_are_closed_after_their_time_and_not_before() {
    for server in [http1_server().await, http2_server(100).await] {
        let kept = Caller::new(&server);
        let short = Caller::limited(
            &server,
            ConnectionLimits {
                idle: PAUSE,
                ..ConnectionLimits::default()
            },
        );
        kept.post().await.unwrap();
        short.post().await.unwrap();
        until("it is closed", || short.outbound.connections().open == 0).await;
        short.post().await.unwrap();
        assert_eq!(short.outbound.connections().opened, 2);
        kept.post().await.unwrap();
        let expected = ConnectionCounts {
            opened: 1,
            reused: 1,
            open: 1,
            idle: 1,
        };
        until("it is idle", || kept.outbound.connections() == expected).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_is_forgotten_has_no_connection_left_and_another_keeps_its_own() {
    for server in [http1_server().await, http2_server(100).await] {
        let forgotten = Caller::new(&server);
        let other = forgotten.beside("other", &server);
        forgotten.post().await.unwrap();
        other.post().await.unwrap();
        forgotten.outbound.forget_instance("one");
        until("it is closed", || forgotten.outbound.connections().open == 1).await;
        forgotten.post().await.unwrap();
        other.post().await.unwrap();
        assert_eq!(server.accepted(), 3);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_in_use_while_its_instance_is_forgotten_serves_its_call_and_no_other() {
    let answers = Arc::new(Semaphore::new(0));
    let server = held_server(answers.clone()).await;
    let caller = Caller::new(&server);
    let mut under_way = tokio::task::JoinSet::new();
    for accepted in [1, 2] {
        let caller = caller.clone();
        under_way.spawn(async move { caller.post().await });
        until("it is under way", || server.accepted() == accepted).await;
    }
    caller.outbound.forget_instance("one");
    answers.add_permits(1);
    under_way.join_next().await.unwrap().unwrap().unwrap();
    until("its connection is closed", || {
        caller.outbound.connections().open == 1
    })
    .await;
    answers.add_permits(2);
    under_way.join_next().await.unwrap().unwrap().unwrap();
    caller.post().await.unwrap();
    assert_eq!(server.accepted(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_instances_never_share_a_connection() {
    for server in [http1_server().await, http2_server(100).await] {
        let one = Caller::new(&server);
        let two = one.beside("two", &server);
        for _ in 0..5 {
            assert_eq!(one.get().await.unwrap(), "0");
            assert_eq!(two.get().await.unwrap(), "1");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_made_anew_from_the_same_settings_uses_no_connection_of_the_former() {
    let server = http2_server(100).await;
    let mut caller = Caller::new(&server);
    caller.post().await.unwrap();
    // The server's authority is not trusted any more, and the instance's settings did not change.
    let trusted = std::mem::replace(
        &mut caller.egress.trust_roots,
        Arc::new(rustls::RootCertStore::empty()),
    );
    caller.egress.generation += 1;
    let failed = caller.post().await;
    assert!(matches!(failed, Err(Error::TlsCertificateError)), "{failed:?}");
    caller.egress.trust_roots = trusted;
    caller.egress.generation += 1;
    caller.post().await.unwrap();
    assert_eq!(server.accepted(), 3);
}
