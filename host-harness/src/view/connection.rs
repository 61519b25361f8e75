//! Checks of connections as views show them.

use bss_sandbox::bindings::connection;
use bss_sandbox::outbound_https::Way;
use serde::Serialize;

use super::{Instance, Problem};
use crate::certificate_rotation::Rotation;
use crate::connection::failed_step;

/// The check of an instance's connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ConnectionCheck {
    /// The instance's name.
    pub instance: String,
    /// Whether every step passed.
    pub passed: bool,
    /// The steps, in their order.
    pub steps: Vec<Step>,
    /// The ways that were taken to servers, each once.
    pub connections: Vec<Connection>,
}

/// The way that was taken to a server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = CheckedConnection))]
#[serde(rename_all = "camelCase")]
pub struct Connection {
    /// The server, `host` or `host:port`.
    pub authority: String,
    /// The address and port that was connected to: the server's, or the proxy's.
    pub address: String,
    /// The proxy, without user and password. `None`: the connection is direct.
    pub proxy: Option<String>,
}

/// A step on the way to the vendor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = ConnectionStep))]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// Stable name.
    pub id: String,
    /// The name that an operator reads.
    pub name: String,
    /// The step's result.
    pub result: StepResult,
    /// The step's duration, in milliseconds.
    pub took_ms: u64,
    /// Why the step failed.
    pub problem: Option<Problem>,
}

/// The result of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = ConnectionStepResult))]
#[serde(rename_all = "kebab-case")]
pub enum StepResult {
    /// The step passed.
    Passed,
    /// The step failed.
    Failed,
    /// The step was not tried, because one before it failed.
    Skipped,
}

/// An instance for which another certificate has taken over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct CertificateRotation {
    /// The instance as it is saved now.
    #[serde(flatten)]
    pub instance: Instance,
    /// The certificate that the instance had before.
    pub former_certificate_thumbprint: Option<String>,
    /// The steps of the connection check that was made with the new certificate.
    pub steps: Vec<Step>,
}

impl ConnectionCheck {
    /// The view of a check of an instance, by its name.
    pub fn new(instance: &str, steps: &[connection::Step]) -> Self {
        Self {
            instance: instance.to_owned(),
            passed: failed_step(steps).is_none(),
            steps: views(steps),
            connections: Vec::new(),
        }
    }

    /// Adds the ways that were taken, as [`CallEvent::Connected`](crate::CallEvent::Connected) tells them.
    #[must_use]
    pub fn with_connections(mut self, ways: &[(String, Way)]) -> Self {
        for (authority, way) in ways {
            let connection = Connection::new(authority, way);
            if !self.connections.contains(&connection) {
                self.connections.push(connection);
            }
        }
        self
    }
}

impl Connection {
    /// The view of a way that was taken to a server.
    pub fn new(authority: &str, way: &Way) -> Self {
        Self {
            authority: authority.to_owned(),
            address: way.address.to_string(),
            proxy: way.proxy.clone(),
        }
    }
}

impl From<&connection::Step> for Step {
    fn from(step: &connection::Step) -> Self {
        let (result, problem) = match &step.result {
            connection::StepResult::Passed => (StepResult::Passed, None),
            connection::StepResult::Failed(problem) => (StepResult::Failed, Some(problem.into())),
            connection::StepResult::Skipped => (StepResult::Skipped, None),
        };
        Self {
            id: step.id.clone(),
            name: step.name.clone(),
            result,
            took_ms: step.took_ms,
            problem,
        }
    }
}

impl From<&Rotation> for CertificateRotation {
    fn from(rotation: &Rotation) -> Self {
        Self {
            instance: (&rotation.instance).into(),
            former_certificate_thumbprint: rotation.former.as_ref().map(ToString::to_string),
            steps: views(&rotation.steps),
        }
    }
}

fn views(steps: &[connection::Step]) -> Vec<Step> {
    steps.iter().map(Step::from).collect()
}

#[cfg(test)]
mod tests {
    use bss_sandbox::bindings::failures;

    use super::super::examples::{assert_json, instance};
    use super::*;

    fn step(id: &str, result: connection::StepResult) -> connection::Step {
        connection::Step {
            id: id.to_owned(),
            name: format!("Step {id}"),
            result,
            took_ms: 12,
        }
    }

    #[test]
    fn a_check_of_which_a_step_failed() {
        let problem = failures::Problem {
            code: "certificate-refused".to_owned(),
            message: "The certificate was refused.".to_owned(),
            advice: String::new(),
            correlation_id: "c-1".to_owned(),
        };
        let steps = [
            step("tls", connection::StepResult::Failed(problem)),
            step("catalog", connection::StepResult::Skipped),
        ];
        let way = |address: &str, proxy: Option<&str>| Way {
            address: address.parse().unwrap(),
            proxy: proxy.map(str::to_owned),
        };
        let direct = ("api.test".to_owned(), way("192.0.2.1:443", None));
        let proxied = (
            "login.test".to_owned(),
            way("10.0.0.1:3128", Some("http://proxy.test:3128")),
        );
        assert_json(
            &ConnectionCheck::new("esd", &steps).with_connections(&[direct.clone(), proxied, direct]),
            r#"
{
  "instance": "esd",
  "passed": false,
  "steps": [
    {
      "id": "tls",
      "name": "Step tls",
      "result": "failed",
      "tookMs": 12,
      "problem": {
        "code": "certificate-refused",
        "message": "The certificate was refused.",
        "advice": "",
        "correlationId": "c-1"
      }
    },
    {
      "id": "catalog",
      "name": "Step catalog",
      "result": "skipped",
      "tookMs": 12,
      "problem": null
    }
  ],
  "connections": [
    {
      "authority": "api.test",
      "address": "192.0.2.1:443",
      "proxy": null
    },
    {
      "authority": "login.test",
      "address": "10.0.0.1:3128",
      "proxy": "http://proxy.test:3128"
    }
  ]
}"#,
        );
    }

    #[test]
    fn a_check_has_passed_when_every_step_has() {
        let steps = [step("tls", connection::StepResult::Passed)];
        assert!(ConnectionCheck::new("esd", &steps).passed);
    }

    #[test]
    fn a_rotation_has_the_fields_of_the_instance_and_the_check() {
        let rotation = Rotation {
            instance: instance(),
            former: instance().thumbprint,
            steps: vec![step("tls", connection::StepResult::Passed)],
        };
        let view = serde_json::to_value(CertificateRotation::from(&rotation)).unwrap();
        let mut expected = serde_json::to_value(Instance::from(&instance())).unwrap();
        expected["formerCertificateThumbprint"] = expected["certificateThumbprint"].clone();
        expected["steps"] = serde_json::to_value(views(&rotation.steps)).unwrap();
        assert_eq!(view, expected);
    }
}
