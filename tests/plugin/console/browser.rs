//! A browser in a few lines: it keeps its cookie, follows redirects, fills in the form that it is shown, and says where it came from.

use std::io::Read as _;

use crate::serve::{Server, send};

/// A password that the operators of the tests choose.
pub(crate) const PASSWORD: &str = "four words of a page";

/// A browser, with the session of one operator.
pub(crate) struct Browser<'a> {
    server: &'a Server,
    cookie: Option<String>,
}

/// A page that a browser is shown.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) html: String,
}

impl<'a> Browser<'a> {
    /// A browser in which nobody is signed in.
    pub(crate) fn of(server: &'a Server) -> Self {
        Self { server, cookie: None }
    }

    /// A browser in which the first administrator is signed in.
    pub(crate) fn of_first_administrator(server: &'a Server) -> Self {
        let url = server.invitation.clone().expect("an invitation");
        let path = url.split_once("/console").expect("a path").1;
        let mut browser = Self::of(server);
        browser.accepts(&format!("/console{path}"), "admin");
        browser
    }

    /// Opens an invitation of an operator and chooses a password, which signs the operator in.
    pub(crate) fn accepts(&mut self, invitation: &str, name: &str) {
        let page = self.get(invitation).expect(200);
        let code = page.hidden("code");
        let chosen = [
            ("code", code.as_str()),
            ("password", PASSWORD),
            ("password-again", PASSWORD),
        ];
        self.post("/console/welcome", &chosen)
            .expect(200)
            .saying("you are signed in")
            .saying(name);
    }

    pub(crate) fn signs_in(&mut self, name: &str, password: &str) -> Page {
        self.post(
            "/console/sign-in",
            &[("name", name), ("password", password), ("to", "/console/")],
        )
    }

    /// Asks for a page, and for the one that it leads to.
    pub(crate) fn get(&mut self, path: &str) -> Page {
        let page = self.ask("GET", path, &[], b"");
        self.followed(page)
    }

    /// Sends a form from a page of the console, and asks for the page that it leads to.
    pub(crate) fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Page {
        let page = self.send(path, fields);
        self.followed(page)
    }

    /// Sends a form from a page of the console, and follows no redirect.
    pub(crate) fn send(&mut self, path: &str, fields: &[(&str, &str)]) -> Page {
        let mut body = form_urlencoded::Serializer::new(String::new());
        body.extend_pairs(fields);
        let headers = [
            ("content-type", "application/x-www-form-urlencoded"),
            ("sec-fetch-site", "same-origin"),
        ];
        self.ask("POST", path, &headers, body.finish().as_bytes())
    }

    /// Sends a form with a file from a page of the console, and asks for the page that it leads to.
    pub(crate) fn upload(&mut self, path: &str, fields: &[(&str, &str)], file: (&str, &[u8])) -> Page {
        const BOUNDARY: &str = "a-boundary-that-no-file-has";
        let mut body = Vec::new();
        for (name, value) in fields {
            let part =
                format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
            body.extend(part.bytes());
        }
        let part = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{}\"; filename=\"file\"\r\n\r\n",
            file.0
        );
        body.extend(part.bytes());
        body.extend(file.1);
        body.extend(format!("\r\n--{BOUNDARY}--\r\n").bytes());
        let kind = format!("multipart/form-data; boundary={BOUNDARY}");
        let headers = [("content-type", kind.as_str()), ("sec-fetch-site", "same-origin")];
        let page = self.ask("POST", path, &headers, &body);
        self.followed(page)
    }

    /// Sends any request.
    pub(crate) fn ask(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Page {
        let mut connection = self.server.connect();
        let cookie = self.cookie.clone();
        let cookie = cookie.as_deref().map(|cookie| ("cookie", cookie));
        let headers: Vec<_> = headers.iter().copied().chain(cookie).collect();
        send(&mut connection, method, path, &headers, body);
        let mut said = Vec::new();
        connection.read_to_end(&mut said).expect("an answer");
        let said = String::from_utf8(said).expect("UTF-8");
        let (head, html) = said.split_once("\r\n\r\n").expect("a head");
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok());
        let headers = lines.filter_map(|line| line.split_once(": "));
        let page = Page {
            status: status.expect("a status"),
            headers: headers
                .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
                .collect(),
            html: html.to_owned(),
        };
        if let Some(cookie) = page.header("set-cookie") {
            let pair = cookie.split(';').next().expect("a cookie").to_owned();
            self.cookie = Some(pair).filter(|pair| !pair.ends_with('='));
        }
        page
    }

    fn followed(&mut self, page: Page) -> Page {
        match page.header("location").map(ToOwned::to_owned) {
            Some(to) if page.status == 303 => self.ask("GET", &to, &[], b""),
            _ => page,
        }
    }

    /// Goes on at another host behind the same address, with what it has.
    pub(crate) fn is_led_to(&mut self, server: &'a Server) {
        self.server = server;
    }

    /// Has the session of another browser, too.
    pub(crate) fn takes_session_of(&mut self, other: &Browser<'_>) {
        self.cookie.clone_from(&other.cookie);
    }

    /// Forgets the session, as a browser does whose session is over.
    pub(crate) fn forgets(&mut self) {
        self.cookie = None;
    }
}

impl Page {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The page, if it has that status.
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:#?}");
        self
    }

    /// The page, if it says that.
    pub(crate) fn saying(self, text: &str) -> Self {
        assert!(self.says(text), "`{text}` in {self:#?}");
        self
    }

    pub(crate) fn says(&self, text: &str) -> bool {
        self.html.contains(text)
    }

    /// The value of a hidden field.
    pub(crate) fn hidden(&self, name: &str) -> String {
        let at = format!("<input type=\"hidden\" name=\"{name}\" value=\"");
        let (_, rest) = self
            .html
            .split_once(&at)
            .unwrap_or_else(|| panic!("{name} in {self:#?}"));
        rest.split('"').next().expect("a value").to_owned()
    }
}
