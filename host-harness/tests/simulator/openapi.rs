//! Holds requests and answers to an OpenAPI file, `docs/cis-openapi.yaml` above all. Other test binaries include this file by its path.

use http::{HeaderMap, Method, StatusCode};
use serde_json::Value;

/// An OpenAPI 3.1 document.
pub(crate) struct OpenApi {
    document: Value,
    /// The path below which the document's own paths are.
    base_path: &'static str,
}

impl OpenApi {
    /// The description of the CIS API.
    pub(crate) fn cis() -> OpenApi {
        let text = include_str!("../../../docs/cis-openapi.yaml");
        OpenApi::parse(text)
    }

    /// A description of the CIS API with another text.
    pub(crate) fn parse(text: &str) -> OpenApi {
        OpenApi::below("/cis", text)
    }

    /// A description whose paths are below that one.
    pub(crate) fn below(base_path: &'static str, text: &str) -> OpenApi {
        let document = serde_norway::from_str(text).expect("the OpenAPI file is YAML");
        OpenApi { document, base_path }
    }

    /// The whole document.
    pub(crate) fn document(&self) -> &Value {
        &self.document
    }

    /// Checks an answer to a request for that path: its status, its headers and its body.
    pub(crate) fn check_response(
        &self,
        method: &Method,
        path: &str,
        status: StatusCode,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<(), String> {
        let operation = self.operation(method, path)?;
        let response = self.resolved(format!("{operation}/responses/{}", status.as_u16()))?;
        self.check_headers(&response, headers)?;
        let content_type = headers
            .get("content-type")
            .map(|value| value.to_str().unwrap_or("?"));
        match (
            self.document.pointer(&format!("{response}/content")),
            content_type,
        ) {
            (None, _) if body.is_empty() => Ok(()),
            (None, _) => Err(format!("a body where {response} has none")),
            (Some(_), None) => Err("no content type".to_owned()),
            (Some(_), Some(content_type)) => {
                let schema = format!("{response}/content/{}/schema", escaped(content_type));
                let body =
                    serde_json::from_slice(body).map_err(|error| format!("the body is not JSON: {error}"))?;
                self.check(&schema, &body)
            }
        }
    }

    /// Checks the JSON body of a request for that path.
    pub(crate) fn check_request(&self, method: &Method, path: &str, body: &Value) -> Result<(), String> {
        let operation = self.operation(method, path)?;
        self.check(
            &format!("{operation}/requestBody/content/application~1json/schema"),
            body,
        )
    }

    /// Checks a value by the schema at that pointer into the document.
    pub(crate) fn check(&self, schema: &str, value: &Value) -> Result<(), String> {
        if self.document.pointer(schema).is_none() {
            return Err(format!("there is no {schema}"));
        }
        let mut root = self.document.clone();
        root["$schema"] = "https://json-schema.org/draft/2020-12/schema".into();
        // The braces of path templates and the space in a content type may stand in a pointer, but not in a URI's fragment (RFC 3986).
        let fragment = schema.replace('{', "%7B").replace('}', "%7D").replace(' ', "%20");
        root["$ref"] = format!("#{fragment}").into();
        let options = jsonschema::options().should_validate_formats(true);
        let validator = options
            .build(&root)
            .map_err(|error| format!("{schema} is no schema: {error}"))?;
        let errors: Vec<String> = validator
            .iter_errors(value)
            .map(|error| format!("{} at `{}`", error, error.instance_path()))
            .collect();
        if errors.is_empty() {
            Ok(())
        } else {
            Err(format!("{schema}: {}", errors.join("; ")))
        }
    }

    fn check_headers(&self, response: &str, headers: &HeaderMap) -> Result<(), String> {
        let Some(Value::Object(named)) = self.document.pointer(&format!("{response}/headers")) else {
            return Ok(());
        };
        for name in named.keys() {
            let header = self.resolved(format!("{response}/headers/{}", escaped(name)))?;
            let required = self.document.pointer(&format!("{header}/required")) == Some(&Value::Bool(true));
            match headers.get(name) {
                None if required => return Err(format!("the header {name} is missing")),
                None => {}
                Some(value) => {
                    let text = value.to_str().map_err(|error| format!("{name}: {error}"))?;
                    let integer =
                        self.document.pointer(&format!("{header}/schema/type")) == Some(&"integer".into());
                    let value = if integer {
                        text.parse::<i64>().map_or(text.into(), Value::from)
                    } else {
                        text.into()
                    };
                    self.check(&format!("{header}/schema"), &value)?;
                }
            }
        }
        Ok(())
    }

    /// The pointer to the operation that a path belongs to.
    pub(crate) fn operation(&self, method: &Method, path: &str) -> Result<String, String> {
        let path = path.split('?').next().unwrap_or(path);
        let path = path
            .strip_prefix(self.base_path)
            .ok_or_else(|| format!("{path} is not below {}", self.base_path))?;
        let Some(Value::Object(paths)) = self.document.pointer("/paths") else {
            return Err("no paths".to_owned());
        };
        let template = paths.keys().find(|template| is_of(path, template));
        let template = template.ok_or_else(|| format!("no path like {path}"))?;
        let operation = format!(
            "/paths/{}/{}",
            escaped(template),
            method.as_str().to_ascii_lowercase()
        );
        let known = self.document.pointer(&operation).is_some();
        if known {
            Ok(operation)
        } else {
            Err(format!("{method} {template} is not described"))
        }
    }

    /// The pointer that a `$ref` at `pointer` leads to; `pointer` itself where there is none.
    pub(crate) fn resolved(&self, pointer: String) -> Result<String, String> {
        let value = self
            .document
            .pointer(&pointer)
            .ok_or_else(|| format!("there is no {pointer}"))?;
        match value
            .get("$ref")
            .and_then(Value::as_str)
            .and_then(|reference| reference.strip_prefix('#'))
        {
            Some(elsewhere) => self.resolved(elsewhere.to_owned()),
            None => Ok(pointer),
        }
    }
}

fn is_of(path: &str, template: &str) -> bool {
    let (mut parts, mut wanted) = (path.split('/'), template.split('/'));
    loop {
        match (parts.next(), wanted.next()) {
            (None, None) => return true,
            (Some(part), Some(wanted)) if wanted.starts_with('{') && !part.is_empty() => {}
            (Some(part), Some(wanted)) if part == wanted => {}
            _ => return false,
        }
    }
}

/// A JSON pointer's escapes (RFC 6901).
fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}
