//! The platform's prerequisites as views show them.

use serde::Serialize;

use crate::prerequisites::{self, Hostname, Region};

/// The findings on the platform's prerequisites.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Prerequisites {
    /// The hostname that was looked at.
    pub hostname: String,
    /// The customer's region.
    pub region: &'static str,
    /// The result of all together: `passed`, `failed` if any failed, else `unknown` if any is unknown.
    pub result: &'static str,
    /// The prerequisites, in the platform's order.
    pub points: Vec<Prerequisite>,
}

/// The finding on one prerequisite.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Prerequisite {
    /// The prerequisite: `pfx`, `hostname`, `cname`.
    pub id: &'static str,
    /// The result: `passed`, `failed`, `unknown`.
    pub result: &'static str,
    /// The outcome's code: lower case, with hyphens.
    pub code: &'static str,
    /// The finding, as a sentence for an operator.
    pub found: String,
    /// The advice. May be empty.
    pub advice: String,
}

impl Prerequisites {
    /// The view of the findings on a hostname for a region.
    pub fn new(hostname: &Hostname, region: Region, found: &prerequisites::Prerequisites) -> Self {
        let point = |(id, point): (&'static str, &prerequisites::Point)| Prerequisite {
            id,
            result: point.verdict.name(),
            code: point.code,
            found: point.found.clone(),
            advice: point.advice.clone(),
        };
        Self {
            hostname: hostname.to_string(),
            region: region.name(),
            result: found.verdict().name(),
            points: found.points().map(point).into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::examples::assert_json;
    use super::*;
    use crate::prerequisites::{Point, Verdict};

    #[test]
    fn prerequisites_of_which_one_is_not_there() {
        let point = |verdict, code| Point {
            verdict,
            code,
            found: "Found.".to_owned(),
            advice: String::new(),
        };
        let found = prerequisites::Prerequisites {
            pfx: point(Verdict::Passed, "usable"),
            hostname: point(Verdict::Passed, "covered"),
            cname: point(Verdict::Failed, "no-cname"),
        };
        let hostname: Hostname = "esd.example.com".parse().unwrap();
        let view = Prerequisites::new(&hostname, Region::Eu, &found);
        assert_eq!(view.points.len(), 3);
        let last = Prerequisites {
            points: view.points.into_iter().skip(2).collect(),
            ..view
        };
        assert_json(
            &last,
            r#"
{
  "hostname": "esd.example.com",
  "region": "eu",
  "result": "failed",
  "points": [
    {
      "id": "cname",
      "result": "failed",
      "code": "no-cname",
      "found": "Found.",
      "advice": ""
    }
  ]
}"#,
        );
    }
}
