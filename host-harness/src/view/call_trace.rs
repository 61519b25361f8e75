//! Traces of calls as views show them.

use bss_record::RecordError;
use bss_sandbox::call_trace;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::host::Host;

/// A call of a plugin, as far as it got.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CallTrace {
    /// The call's id.
    pub id: String,
    /// The instance's name, or its id where it is not on record any more.
    pub instance: String,
    /// The call itself, with all that happened in it.
    #[serde(flatten)]
    pub root: TraceSpan,
}

/// A span of a call: its name, its times, and the spans within.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TraceSpan {
    /// The kind of span: `call`, `access-token`, `sign`, `exchange` and its steps.
    pub name: String,
    /// When the span began, in microseconds since 1970.
    pub begun_at_us: u64,
    /// The span's duration, in microseconds. `None`: its end was never written down.
    pub took_us: Option<u64>,
    /// The span's other fields.
    pub fields: Map<String, Value>,
    /// The spans within, in the order in which they began.
    pub spans: Vec<TraceSpan>,
}

impl CallTrace {
    /// The view of a call of an instance, by the instance's name.
    pub fn new(call: &call_trace::CallTrace, instance: &str) -> Self {
        Self {
            id: call.call.clone(),
            instance: instance.to_owned(),
            root: (&call.root).into(),
        }
    }
}

impl From<&call_trace::TraceSpan> for TraceSpan {
    fn from(span: &call_trace::TraceSpan) -> Self {
        let fields = span.fields.iter();
        Self {
            name: span.name.clone(),
            begun_at_us: span.begun_us,
            took_us: span.took_us,
            fields: fields
                .map(|(name, value)| (field_name(name), value.clone()))
                .collect(),
            spans: span.spans.iter().map(TraceSpan::from).collect(),
        }
    }
}

/// The name of a field in a view. The trace's fields for the ids of calls, instances and assets lack the ending `Id`,
/// which is added.
fn field_name(name: &str) -> String {
    if matches!(name, "call" | "instance" | "asset") {
        return format!("{name}Id");
    }
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |name, word| {
        let mut letters = word.chars();
        let capital = letters.next().map(|letter| letter.to_ascii_uppercase());
        name + &capital.into_iter().chain(letters).collect::<String>()
    })
}

impl Host {
    /// The views of calls, in their order.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn call_trace_views(
        &self,
        calls: &[call_trace::CallTrace],
    ) -> Result<Vec<CallTrace>, RecordError> {
        let instances = self.instances().await?;
        let view = |call: &call_trace::CallTrace| {
            let id = call.root.text("instance");
            let known = instances.iter().find(|instance| instance.id.to_string() == id);
            CallTrace::new(call, known.map_or(id, |instance| &instance.name))
        };
        Ok(calls.iter().map(view).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::super::examples::assert_json;
    use super::*;

    #[test]
    fn a_call_with_an_exchange() {
        let span = |name: &str, fields: &str, spans| call_trace::TraceSpan {
            name: name.to_owned(),
            begun_us: 10,
            took_us: Some(5),
            fields: serde_json::from_str(fields).unwrap(),
            spans,
        };
        let exchange = span("exchange", r#"{"request_bytes": 20}"#, Vec::new());
        let fields = r#"{"instance": "9", "asset": "1", "memory_bytes": 65536}"#;
        let call = call_trace::CallTrace {
            call: "c".to_owned(),
            root: span("call", fields, vec![exchange]),
        };
        assert_json(
            &CallTrace::new(&call, "esd"),
            r#"
{
  "id": "c",
  "instance": "esd",
  "name": "call",
  "begunAtUs": 10,
  "tookUs": 5,
  "fields": {
    "assetId": "1",
    "instanceId": "9",
    "memoryBytes": 65536
  },
  "spans": [
    {
      "name": "exchange",
      "begunAtUs": 10,
      "tookUs": 5,
      "fields": {
        "requestBytes": 20
      },
      "spans": []
    }
  ]
}"#,
        );
    }
}
