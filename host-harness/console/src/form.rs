//! What a page sends: the fields of a form, and files.

use std::collections::BTreeMap;

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use bss_model::Secret;
use http::header::CONTENT_TYPE;
use http_body_util::BodyExt as _;

use crate::console::Console;
use crate::failure::Failure;

/// The fields of a form, in their order, and its files. Not printed: a file may have a private key.
#[derive(Default)]
pub(crate) struct Form {
    fields: Vec<(String, Secret)>,
    files: BTreeMap<String, Vec<u8>>,
}

impl FromRequest<Console> for Form {
    type Rejection = Failure;

    /// Reads the form of a request, whose body the guard has waited for and measured.
    async fn from_request(request: Request, _: &Console) -> Result<Self, Failure> {
        let (parts, body) = request.into_parts();
        let kind = parts.headers.get(CONTENT_TYPE);
        let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let bytes = body
            .collect()
            .await
            .map_err(|_| Failure::broken_form())?
            .to_bytes();
        match multer::parse_boundary(kind) {
            Ok(boundary) => Self::of_parts(bytes, boundary).await,
            Err(_) => Self::of_text(&bytes),
        }
    }
}

/// The most fields and files of a form: of products that are decided about, all of a page.
const FIELDS_MAX: usize = 2_000;

impl Form {
    fn of_text(bytes: &[u8]) -> Result<Self, Failure> {
        let mut form = Self::default();
        for (name, value) in form_urlencoded::parse(bytes) {
            form.add(name.into_owned(), Secret::new(value))?;
        }
        Ok(form)
    }

    fn add(&mut self, name: String, value: Secret) -> Result<(), Failure> {
        if self.fields.len() + self.files.len() >= FIELDS_MAX {
            return Err(Failure::broken_form());
        }
        self.fields.push((name, value));
        Ok(())
    }

    async fn of_parts(bytes: Bytes, boundary: String) -> Result<Self, Failure> {
        let broken = |_| Failure::broken_form();
        let stream = http_body_util::Full::new(bytes).into_data_stream();
        let mut parts = multer::Multipart::new(stream, boundary);
        let mut form = Self::default();
        while let Some(part) = parts.next_field().await.map_err(broken)? {
            let name = part.name().unwrap_or_default().to_owned();
            match part.file_name().is_some() {
                true => {
                    let bytes = part.bytes().await.map_err(broken)?;
                    form.files.insert(name, bytes.to_vec());
                }
                false => {
                    let text = part.text().await.map_err(broken)?;
                    form.add(name, Secret::new(text))?;
                }
            }
        }
        Ok(form)
    }

    fn find(&self, name: &str) -> Option<&Secret> {
        let found = self.fields.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value)
    }

    /// The text of a field, without spaces around it. Empty: it has none.
    pub(crate) fn text(&self, name: &str) -> String {
        let text = self.find(name).map(Secret::expose);
        text.unwrap_or_default().trim().to_owned()
    }

    /// The text of a field. `None`: it has none.
    pub(crate) fn filled(&self, name: &str) -> Option<String> {
        Some(self.text(name)).filter(|text| !text.is_empty())
    }

    /// The texts of a field that stands in the form several times, such as a box that is ticked.
    pub(crate) fn texts(&self, name: &str) -> Vec<String> {
        let found = self.fields.iter().filter(|(known, _)| known == name);
        found.map(|(_, value)| value.expose().trim().to_owned()).collect()
    }

    /// What a field has that nobody is shown again, as it was typed. `None`: it has nothing.
    pub(crate) fn secret(&self, name: &str) -> Option<Secret> {
        let found = self.find(name).filter(|secret| !secret.expose().is_empty());
        found.cloned()
    }

    /// Whether a box is ticked, or a button was pressed.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// A file that was chosen. `None`: none was.
    pub(crate) fn file(&self, name: &str) -> Option<&[u8]> {
        let file = self.files.get(name).filter(|bytes| !bytes.is_empty());
        file.map(Vec::as_slice)
    }

    /// The fields whose names begin with that, without it: what of each was typed.
    pub(crate) fn below<'a>(&'a self, beginning: &'a str) -> impl Iterator<Item = (&'a str, &'a Secret)> {
        let fields = self.fields.iter();
        fields.filter_map(move |(name, value)| Some((name.strip_prefix(beginning)?, value)))
    }

    /// What may be shown again to whoever typed it: all but secrets and files, and that something was confirmed, which is asked again.
    pub(crate) fn kept(&self) -> Vec<(&str, &str)> {
        let fields = self.fields.iter();
        let kept = fields.filter(|(name, _)| !is_secret(name) && name != "confirmed");
        kept.map(|(name, value)| (name.as_str(), value.expose()))
            .collect()
    }
}

/// Whether a field of that name is one whose text nobody is shown again.
fn is_secret(name: &str) -> bool {
    ["secret", "password", "code"]
        .iter()
        .any(|word| name.split(['.', '-']).any(|part| part.eq_ignore_ascii_case(word)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_as_they_were_typed_and_secrets_are_not_shown_again() {
        let form = Form::of_text(
            b"name=+M%C3%BCller+&box=on&box=off&secret.pin=+1234+&password=x&empty=&confirmed=yes",
        );
        let form = form.ok().unwrap();
        assert_eq!(form.text("name"), "Müller");
        assert_eq!(form.filled("empty"), None);
        assert_eq!(form.texts("box"), ["on", "off"]);
        assert!(form.has("box") && !form.has("other"));
        assert_eq!(form.secret("secret.pin").unwrap().expose(), " 1234 ");
        assert_eq!(form.below("secret.").count(), 1);
        let kept: Vec<_> = form.kept().into_iter().map(|(name, _)| name).collect();
        assert_eq!(kept, ["name", "box", "box", "empty"]);
    }

    #[test]
    fn a_form_of_endless_fields_is_none() {
        assert!(Form::of_text("a&".repeat(FIELDS_MAX).as_bytes()).is_ok());
        assert!(Form::of_text("a&".repeat(FIELDS_MAX + 1).as_bytes()).is_err());
    }

    #[tokio::test]
    async fn files_are_read_beside_fields() {
        let body = "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nb\r\n\
                    --b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"x.pfx\"\r\n\r\n\x00\x01\r\n\
                    --b\r\nContent-Disposition: form-data; name=\"none\"; filename=\"\"\r\n\r\n\r\n--b--\r\n";
        let form = Form::of_parts(Bytes::from_static(body.as_bytes()), "b".to_owned()).await;
        let form = form.ok().unwrap();
        assert_eq!(form.text("a"), "b");
        assert_eq!(form.file("file"), Some(&[0, 1][..]));
        assert_eq!(form.file("none"), None);
        let broken = Form::of_parts(Bytes::from_static(b"--b\r\nodd"), "b".to_owned()).await;
        assert!(broken.is_err());
    }
}
