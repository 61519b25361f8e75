//! Metrics in the format of OpenMetrics: requests of this process, and the host's own values.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use host_harness::{Error, Host, OutcomeKind};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// The media type of the format.
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The upper bounds of latencies, in seconds: reads take milliseconds, purchases that are waited for tens of seconds.
const LATENCIES: [f64; 12] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 20.0, 60.0,
];

/// A request as it is counted. A route is one of ours, never what a client typed: a client can't make series.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    method: String,
    route: String,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Route {
    method: String,
    route: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfKind {
    kind: String,
}

/// The requests of this process.
pub(crate) struct Measures {
    registry: Registry,
    requests: Family<Answered, Counter>,
    latencies: Family<Route, Histogram>,
    under_way: Gauge,
}

impl fmt::Debug for Measures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Measures").finish_non_exhaustive()
    }
}

impl Default for Measures {
    fn default() -> Self {
        let mut registry = Registry::default();
        let requests = Family::<Answered, Counter>::default();
        let latencies = Family::<Route, Histogram>::new_with_constructor(|| Histogram::new(LATENCIES));
        let under_way = Gauge::default();
        registry.register(
            "bss_http_requests",
            "Requests that were answered",
            requests.clone(),
        );
        registry.register(
            "bss_http_request_seconds",
            "The time from the head of a request to that of its answer",
            latencies.clone(),
        );
        registry.register(
            "bss_http_requests_under_way",
            "Requests that are not answered yet",
            under_way.clone(),
        );
        Self {
            registry,
            requests,
            latencies,
            under_way,
        }
    }
}

/// A request that is counted as under way until this is dropped.
pub(crate) struct Counted(Gauge);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Measures {
    /// Counts a request as under way.
    pub(crate) fn begin(&self) -> Counted {
        self.under_way.inc();
        Counted(self.under_way.clone())
    }

    /// Counts an answer.
    pub(crate) fn answered(&self, method: &str, route: &str, status: u16, took: Duration) {
        let (method, route) = (method.to_owned(), route.to_owned());
        let of = Route {
            method: method.clone(),
            route: route.clone(),
        };
        self.latencies.get_or_create(&of).observe(took.as_secs_f64());
        let answered = Answered {
            method,
            route,
            status,
        };
        self.requests.get_or_create(&answered).inc();
    }

    /// All metrics as text.
    ///
    /// # Errors
    /// When the record can't be read.
    pub(crate) async fn text(&self, host: &Host) -> Result<String, Error> {
        let of_host = registry_of(host).await?;
        let mut text = String::new();
        // A text that is in memory can always be written.
        let _ = encode_registry(&mut text, &self.registry);
        let _ = encode_registry(&mut text, &of_host);
        let _ = encode_eof(&mut text);
        Ok(text)
    }
}

/// The host's values at this moment.
async fn registry_of(host: &Host) -> Result<Registry, Error> {
    let metrics = host.metrics().await?;
    let open_alerts = host.open_alerts().await?;
    let mut registry = Registry::default();
    let outcomes = Family::<OfKind, Counter>::default();
    for (kind, number) in &metrics.outcomes {
        let kind = OfKind {
            kind: OutcomeKind::word(*kind).to_owned(),
        };
        outcomes.get_or_create(&kind).inc_by(*number);
    }
    registry.register(
        "bss_outcomes",
        "Outcomes of licenses since the record was made",
        outcomes,
    );
    for (name, help, value) in [
        (
            "bss_connections_opened",
            "Connections to vendors since this process started",
            metrics.connections_opened,
        ),
        (
            "bss_connections_reused",
            "Requests to vendors on a connection that was used before",
            metrics.connections_reused,
        ),
        (
            "bss_record_turns",
            "Turns at writing to a record on a server, of this process",
            metrics.record_turns,
        ),
        (
            "bss_record_turn_wait_microseconds",
            "How long this process has waited for turns",
            metrics.record_turns_waited_us,
        ),
        (
            "bss_record_turn_held_microseconds",
            "How long this process has held turns, while nobody else writes",
            metrics.record_turns_held_us,
        ),
    ] {
        let counter = Counter::<u64>::default();
        counter.inc_by(value);
        registry.register(name, help, counter);
    }
    for (name, help, value) in [
        (
            "bss_open_licenses",
            "Licenses to be bought or looked up",
            metrics.open_licenses,
        ),
        (
            "bss_licenses_under_way",
            "Open licenses that a worker has under way",
            metrics.licenses_under_way,
        ),
        (
            "bss_due_milliseconds",
            "How long the next open license has been due",
            metrics.due_for_ms,
        ),
        (
            "bss_open_returns",
            "Returns whose outcome is not known",
            metrics.open_returns,
        ),
        ("bss_waiting_mails", "E-mails to be sent", metrics.waiting_mails),
        ("bss_held_mails", "E-mails that are held back", metrics.held_mails),
        (
            "bss_mail_stop_tries",
            "E-mails in a row that met something in the way of all",
            metrics.mail_stop_tries,
        ),
        (
            "bss_open_alerts",
            "Alerts that are not over and that nobody has acknowledged",
            open_alerts,
        ),
        (
            "bss_connections_open",
            "Connections to vendors of this process",
            metrics.connections_open,
        ),
        (
            "bss_connections_idle",
            "Connections to vendors that no exchange uses",
            metrics.connections_idle,
        ),
        (
            "bss_sandboxes_in_use",
            "Calls of plugins that have a sandbox",
            metrics.sandboxes_in_use,
        ),
        (
            "bss_calls_waiting",
            "Calls of plugins that wait for a sandbox",
            metrics.calls_waiting,
        ),
    ] {
        let gauge = Gauge::<u64, AtomicU64>::default();
        gauge.set(value);
        registry.register(name, help, gauge);
    }
    Ok(registry)
}

/// Measures that are shared by all connections.
pub(crate) type SharedMeasures = Arc<Measures>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_method_route_and_status() {
        let measures = Measures::default();
        let counted = measures.begin();
        measures.answered("GET", "/v1/orders/{id}", 200, Duration::from_millis(2));
        measures.answered("GET", "/v1/orders/{id}", 200, Duration::from_millis(3));
        measures.answered("GET", "/v1/orders/{id}", 404, Duration::from_millis(1));
        let mut text = String::new();
        encode_registry(&mut text, &measures.registry).unwrap();
        for line in [
            r#"bss_http_requests_total{method="GET",route="/v1/orders/{id}",status="200"} 2"#,
            r#"bss_http_requests_total{method="GET",route="/v1/orders/{id}",status="404"} 1"#,
            r#"bss_http_request_seconds_bucket{le="0.0025",method="GET",route="/v1/orders/{id}"} 2"#,
            "bss_http_requests_under_way 1",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
        drop(counted);
        assert_eq!(measures.under_way.get(), 0);
    }
}
