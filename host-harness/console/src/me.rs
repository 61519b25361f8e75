//! The operator who is signed in, and the pages that he or she is shown.

use axum::extract::FromRequestParts;
use axum::response::Response;
use bss_model::{Actor, ApiScope, Operator, OperatorSession};
use host_harness::Host;
use http::request::Parts;
use http::{StatusCode, Uri};
use minijinja::{Value, context};

use crate::answer::{self, Answer};
use crate::console::Console;
use crate::failure::Failure;
use crate::first_license::{self, Step};
use crate::query::Query;

/// Where a page is cut that is sent in two pieces. No text has it, since what is shown is escaped.
const MARK: &str = "<mark id=cut>";

/// The operator who is signed in.
#[derive(Clone, Debug)]
pub(crate) struct Me {
    console: Console,
    operator: Operator,
    session: OperatorSession,
    /// The path of the page, by which the way to it is marked.
    path: String,
    /// What was done just before, by the name of its text.
    done: Option<String>,
}

impl FromRequestParts<Console> for Me {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &Console) -> Result<Self, Failure> {
        // The guard has put it there for every page that is not open to all.
        parts
            .extensions
            .get::<Self>()
            .cloned()
            .ok_or_else(Failure::no_page)
    }
}

impl Me {
    pub(crate) fn new(console: Console, operator: Operator, session: OperatorSession, uri: &Uri) -> Self {
        let asked = Query::of(uri.query().unwrap_or_default()).text("done");
        Self {
            // A text that the catalog does not have is of an address that somebody made up.
            done: asked.filter(|what| console.texts.has(&format!("done.{what}"))),
            console,
            operator,
            session,
            path: uri.path().to_owned(),
        }
    }

    pub(crate) fn host(&self) -> &Host {
        &self.console.host
    }

    pub(crate) fn console(&self) -> &Console {
        &self.console
    }

    /// The operator in the acts that he or she makes.
    pub(crate) fn actor(&self) -> Actor {
        self.operator.actor()
    }

    pub(crate) fn operator(&self) -> &Operator {
        &self.operator
    }

    pub(crate) fn session(&self) -> &OperatorSession {
        &self.session
    }

    pub(crate) fn may(&self, scope: ApiScope) -> bool {
        self.operator.may(scope)
    }

    /// A page of a template, with what it shows.
    pub(crate) async fn page(&self, template: &str, shown: Value) -> Answer {
        self.page_with(StatusCode::OK, template, shown).await
    }

    /// A page that tells of a problem with what was typed, and shows it again.
    pub(crate) async fn corrected(&self, template: &str, shown: Value) -> Answer {
        self.page_with(StatusCode::UNPROCESSABLE_ENTITY, template, shown)
            .await
    }

    /// A page of a status.
    pub(crate) async fn page_with(&self, status: StatusCode, template: &str, shown: Value) -> Answer {
        let frame = self.frame().await?;
        let html = self
            .console
            .templates
            .render(template, context! { ..shown, ..frame });
        match html {
            Ok(html) => Ok(answer::page(status, html)),
            Err(error) => Err(Failure::template(&error)),
        }
    }

    /// A page that is sent in two pieces, before and after the mark in its template.
    pub(crate) async fn split_page(&self, template: &str, shown: Value) -> Result<(String, String), Failure> {
        let frame = self.frame().await?;
        let shown = context! { mark => MARK, ..context! { ..shown, ..frame } };
        let html = self.console.templates.render(template, shown);
        let html = html.map_err(|error| Failure::template(&error))?;
        let (before, after) = html.split_once(MARK).unwrap_or((&html, ""));
        Ok((before.to_owned(), after.to_owned()))
    }

    /// A piece of a page, without the frame.
    pub(crate) fn piece(&self, template: &str, shown: Value) -> Result<String, Failure> {
        let shown = context! { ..shown, ..self.rights() };
        let html = self.console.templates.render(template, shown);
        html.map_err(|error| Failure::template(&error))
    }

    /// A part of a page, which its script puts in the place of the one before. `is_over`: it is not asked for again.
    pub(crate) fn part(&self, template: &str, shown: Value, is_over: bool) -> Answer {
        let mut response = answer::page(StatusCode::OK, self.piece(template, shown)?);
        if is_over {
            let name = http::HeaderName::from_static("x-live");
            response
                .headers_mut()
                .insert(name, http::HeaderValue::from_static("over"));
        }
        Ok(response)
    }

    /// The page of a failure.
    pub(crate) async fn failed(&self, failure: &Failure) -> Response {
        let shown = context! { failure };
        let rights = self.rights();
        // A record that can't be read has no counts for the frame either.
        let frame = self.frame().await.unwrap_or(rights);
        let html = self
            .console
            .templates
            .render("failure.html", context! { ..shown, ..frame });
        answer::page(
            failure.status(),
            html.unwrap_or_else(|_| failure.code().to_owned()),
        )
    }

    /// What the frame of every page shows: who is signed in, and what waits for somebody.
    async fn frame(&self) -> Result<Value, Failure> {
        let host = self.host();
        let waiting = host.record().requested_cancellations().await?;
        let alerts = host.open_alerts().await?;
        Ok(context! {
            waiting_cancellations => waiting.count,
            open_alerts => alerts,
            path => self.path,
            done => self.done,
            next_step => self.next_step().await?,
            ..self.rights()
        })
    }

    /// A text of the catalog, with its values. A test holds the catalog to what is said, so that none is missing.
    pub(crate) fn text(&self, key: &str, values: &[(&str, String)]) -> String {
        self.console.texts.text(key, values).unwrap_or_default()
    }

    /// The next step on the way to the first license, where the page does not show all of them.
    async fn next_step(&self) -> Result<Option<Step>, Failure> {
        match self.path.as_str() {
            "/console/" => Ok(None),
            _ => first_license::next(self.host(), &self.operator).await,
        }
    }

    fn rights(&self) -> Value {
        let may = |scope| self.may(scope);
        context! {
            me => context! {
                name => self.operator.name,
                role => self.operator.role.word(),
            },
            may => context! {
                order => may(ApiScope::Order),
                cancel => may(ApiScope::Cancel),
                configure => may(ApiScope::Configure),
                administer => may(ApiScope::Administer),
                reveal => may(ApiScope::Reveal),
            },
        }
    }
}
