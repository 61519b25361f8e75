//! The check of a connection: a page that grows while the check goes on, and ends with its result. Works without script.

use std::pin::pin;
use std::sync::Arc;

use axum::extract::Path;
use host_harness::{CallEvent, CallListener, InstanceHandle, view};
use minijinja::{Value, context};
use tokio::sync::mpsc;

use super::instances::{head, named};
use crate::answer::{self, Answer, Pieces};
use crate::failure::Failure;
use crate::me::Me;

/// Events that wait for a browser that reads slowly. What is more is not shown: the result has every step.
const EVENTS: usize = 256;

/// Checks each step on the way to the vendor. A step that did not pass is an answer, and no failure.
pub(crate) async fn check(me: Me, Path(name): Path<String>) -> Answer {
    let (sender, events) = mpsc::channel(EVENTS);
    let listener: CallListener = Arc::new(move |event| {
        // Must not block; see `EVENTS`.
        let _ = sender.try_send(event);
    });
    let instance = named(&me, &name).await?;
    let head = head(&instance).await?;
    let (before, after) = me.split_page("connection_check.html", head.clone()).await?;
    let heard = me.host().heard_by(listener).instance_of_id(instance.id()).await?;
    let (response, pieces) = answer::streamed("text/html; charset=utf-8");
    tokio::spawn(async move {
        let shown = async {
            pieces.send(before).await;
            pieces
                .send(watched(&me, &heard, &head, events, &pieces).await)
                .await;
            pieces.send(after).await;
        };
        // The check ends with its browser: it changes nothing.
        tokio::select! {
            () = shown => {}
            () = pieces.left() => {}
        }
    });
    Ok(response)
}

/// Sends what is heard of a check while it goes on, and returns its end.
async fn watched(
    me: &Me,
    instance: &InstanceHandle,
    head: &Value,
    mut events: mpsc::Receiver<CallEvent>,
    pieces: &Pieces,
) -> String {
    let mut check = pin!(instance.check_connection());
    let checked = loop {
        tokio::select! {
            // What was heard before the end is told before it.
            biased;
            Some(event) = events.recv() => tell(me, &event, pieces).await,
            checked = &mut check => break checked,
        }
    };
    while let Ok(event) = events.try_recv() {
        tell(me, &event, pieces).await;
    }
    let (check, failure) = match checked {
        Ok(check) => (Some(check), None),
        Err(error) => (None, Some(Failure::from(error))),
    };
    let end = me.piece(
        "connection_check_end.html",
        context! { check, failure, ..head.clone() },
    );
    end.unwrap_or_else(|failure| failure.code().to_owned())
}

/// Shows an event to whoever still looks.
async fn tell(me: &Me, event: &CallEvent, pieces: &Pieces) {
    let piece = shown(event).and_then(|shown| me.piece("connection_check_event.html", shown).ok());
    if let Some(piece) = piece {
        pieces.send(piece).await;
    }
}

/// What is shown of an event. `None`: it is for no reader.
fn shown(event: &CallEvent) -> Option<Value> {
    match event {
        CallEvent::Log { message, .. } => Some(context! { message, connection => () }),
        CallEvent::Connected { authority, way } => {
            let connection = view::Connection::new(authority, way);
            Some(context! { message => "", connection })
        }
        _ => None,
    }
}
