//! A request of the host itself, by the same way out as those of plugins: its policy, its TLS, its limits.

use std::convert::Infallible;
use std::sync::Arc;

use bss_model::Problem;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use wasmtime_wasi_http::Error;

use super::{Deadlines, Egress, OutboundHttps, Told, WasiBody};
use crate::call_trace::CallSpan;
use crate::limits;
use crate::seen_exchanges::SeenExchanges;

/// Why a request of the host has no answer.
#[derive(Debug, thiserror::Error)]
pub enum NoAnswer {
    /// The request was refused, or the server did not answer.
    #[error("{}", why.as_ref().map_or_else(|| error.to_string(), |why| why.message.clone()))]
    Exchange {
        /// The failure.
        error: Error,
        /// The failure in words for an operator, where nothing was reached and there is more to say.
        why: Option<Problem>,
    },
    /// The answer broke off, or is too long.
    #[error(
        "the answer broke off, or is longer than {} bytes",
        limits::REQUEST_BODY_BYTES
    )]
    Body,
}

impl NoAnswer {
    /// Whether the server is in a network that may not be reached.
    pub fn is_prohibited(&self) -> bool {
        matches!(
            self,
            Self::Exchange {
                error: Error::DestinationIpProhibited,
                ..
            }
        )
    }
}

impl OutboundHttps {
    /// Sends a request to one of the authorities of an egress, and reads the whole answer.
    ///
    /// # Errors
    /// When the policy refuses it, and when there is no whole answer within the limits of time and size.
    pub async fn ask(
        &self,
        egress: &Egress,
        request: http::Request<Bytes>,
    ) -> Result<http::Response<Bytes>, NoAnswer> {
        let (head, body) = self.answer_to(egress, request).await?.into_parts();
        let body = Limited::new(body, limits::REQUEST_BODY_BYTES).collect().await;
        let body = body.map_err(|_| NoAnswer::Body)?.to_bytes();
        Ok(http::Response::from_parts(head, body))
    }

    /// Sends a request as [`ask`](Self::ask) does, and reads the head of the answer alone.
    ///
    /// # Errors
    /// When the policy refuses it, and when there is no answer within the limits of time.
    pub async fn ask_head(
        &self,
        egress: &Egress,
        request: http::Request<Bytes>,
    ) -> Result<http::Response<()>, NoAnswer> {
        Ok(self.answer_to(egress, request).await?.map(drop))
    }

    async fn answer_to(
        &self,
        egress: &Egress,
        request: http::Request<Bytes>,
    ) -> Result<http::Response<WasiBody>, NoAnswer> {
        let whole = |body: Bytes| {
            Full::new(body)
                .map_err(|never: Infallible| match never {})
                .boxed_unsync()
        };
        let request = request.map(whole);
        let seen = SeenExchanges::default();
        let told = Told {
            following: CallSpan::default().exchange(&egress.instance_id, &request),
            seen: seen.clone(),
            listener: Arc::new(|_| ()),
        };
        let sent = self.send(egress, request, Deadlines::new(None), &told).await;
        sent.map_err(|error| NoAnswer::Exchange {
            error,
            why: seen
                .explanation()
                .map(|why| Problem::new(why.code, why.message, why.advice)),
        })
    }
}
