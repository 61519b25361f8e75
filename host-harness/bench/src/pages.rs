//! Pages of the console, as a browser asks for them: how long until the first byte of the answer is there.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bss_model::{NewOperator, OperatorRole, Secret};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, COOKIE, HOST, SET_COOKIE};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use super::{BenchError, Looks, Site, actor};

/// The password of the operator who looks. It opens a record that is gone in a minute.
const PASSWORD: &str = "correct horse battery staple";

impl Site {
    /// Asks for pages of the console, `rounds` times each in turn, each time until the first byte of the answer is there.
    ///
    /// # Errors
    /// When a server can't be started, or a page is not shown.
    pub async fn look_at_pages(&self, rounds: usize) -> Result<Looks, BenchError> {
        let server = self.server(true).await?;
        let address = server.address();
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn(server.serve(async {
            // A sender that is gone stops the server, too.
            let _ = stopped.await;
        }));
        let looks = self.pages(address, rounds).await;
        drop(stop);
        serving.abort();
        looks
    }

    async fn pages(&self, address: SocketAddr, rounds: usize) -> Result<Looks, BenchError> {
        let mut browser = self.sign_in(address).await?;
        let license = self.latest_license().await?;
        let (license, order) = (license.id, license.order_id);
        let mut looks = Vec::new();
        for (what, path) in [
            ("the page of the overview", "/console/".to_owned()),
            ("the page of the licenses", "/console/assets".to_owned()),
            ("the page of a license", format!("/console/assets/{license}")),
            ("the page of the orders", "/console/orders".to_owned()),
            ("the page of an order", format!("/console/orders/{order}")),
            ("the page of the customers", "/console/customers".to_owned()),
            ("the page of a customer", "/console/customers/C-0".to_owned()),
            ("the page of the charges", "/console/charges".to_owned()),
            ("the page of the e-mails", "/console/mails".to_owned()),
            ("the page of who did what", "/console/audit".to_owned()),
            (
                "the page of what one act was done to",
                format!("/console/audit?subject={order}"),
            ),
            (
                "the page of what was found",
                "/console/find?text=basket-77".to_owned(),
            ),
        ] {
            let mut times = Vec::with_capacity(rounds);
            for _ in 0..rounds {
                times.push(browser.asks(&path).await?);
            }
            looks.push((what, times));
        }
        Ok(looks)
    }

    /// A browser in which an operator has signed in.
    async fn sign_in(&self, address: SocketAddr) -> Result<Browser, BenchError> {
        let new = NewOperator {
            name: "bench".to_owned(),
            role: OperatorRole::Administrator,
            may_reveal: false,
        };
        let made = self.host.create_operator(new, &actor()).await;
        let made = made.map_err(BenchError::when("the operator can't be made"))?;
        let path = made.invitation.expose();
        let code = path.rsplit('=').next().unwrap_or_default();
        self.host
            .accept_invitation(&Secret::new(code), &Secret::new(PASSWORD))
            .await
            .map_err(BenchError::when("the operator can't choose a password"))?;
        let mut browser = Browser::connect(address).await?;
        let form = format!(
            "name=bench&password={}&to=%2Fconsole%2F",
            PASSWORD.replace(' ', "+")
        );
        let request = browser
            .request(Method::POST, "/console/sign-in")
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header("sec-fetch-site", "same-origin");
        let answer = browser.sends(request, form).await?;
        let cookies = answer.headers().get_all(SET_COOKIE).iter();
        let mut pairs = cookies.filter_map(|cookie| cookie.to_str().ok()?.split(';').next());
        let pair = pairs.next().map(ToOwned::to_owned);
        browser.cookie = pair.ok_or_else(|| BenchError::unusable("the operator can't sign in"))?;
        read(answer).await?;
        Ok(browser)
    }
}

/// A browser with one connection.
struct Browser {
    sender: SendRequest<Full<Bytes>>,
    cookie: String,
}

impl Browser {
    async fn connect(address: SocketAddr) -> Result<Self, BenchError> {
        let tcp = TcpStream::connect(address)
            .await
            .map_err(BenchError::when("the server can't be reached"))?;
        tcp.set_nodelay(true)
            .map_err(BenchError::when("the connection can't be set up"))?;
        let (sender, connection) = http1::handshake(TokioIo::new(tcp))
            .await
            .map_err(BenchError::when("the connection can't be set up"))?;
        tokio::spawn(connection);
        Ok(Self {
            sender,
            cookie: String::new(),
        })
    }

    fn request(&self, method: Method, path: &str) -> http::request::Builder {
        Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, "localhost")
            .header(COOKIE, &self.cookie)
    }

    async fn sends(
        &mut self,
        request: http::request::Builder,
        body: String,
    ) -> Result<Response<Incoming>, BenchError> {
        let request = request
            .body(Full::new(Bytes::from(body)))
            .map_err(BenchError::when("a request can't be made"))?;
        let answered = async {
            // An answer that was read to its end does not say yet that the connection takes the next request.
            self.sender.ready().await?;
            self.sender.send_request(request).await
        };
        answered
            .await
            .map_err(BenchError::when("a request is not answered"))
    }

    /// Asks for a page, and returns the time until its first byte.
    async fn asks(&mut self, path: &str) -> Result<Duration, BenchError> {
        let request = self.request(Method::GET, path);
        let begun = Instant::now();
        let answer = self.sends(request, String::new()).await?;
        let took = begun.elapsed();
        match answer.status() {
            StatusCode::OK => read(answer).await.map(|_| took),
            status => Err(BenchError::unusable(format!("{path}: {status}"))),
        }
    }
}

/// Reads an answer to its end, so that the next one can be asked for.
async fn read(answer: Response<Incoming>) -> Result<Bytes, BenchError> {
    let body = answer.into_body().collect().await;
    Ok(body.map_err(BenchError::when("an answer breaks off"))?.to_bytes())
}
