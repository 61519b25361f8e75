//! A shop that sells licenses: baskets in a database of its own, and the host embedded.
//!
//! A basket is a row of the shop's own. Its id is the key of its order, so that an order is placed once, however often the
//! shop tries; and what came of its licenses goes into the shop's database in one transaction with the cursor of the feed,
//! so that nothing is missed, wherever the shop is killed.

use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use host_harness::{Actor, Contact, Error, ErrorKind, Host, OrderRequest, OutcomeCursor, Party};
use serde::Deserialize;
use serde_json::json;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};
use uuid::Uuid;

/// The instance that the shop buys from.
pub const INSTANCE: &str = "esd";

/// How long the shop waits until it looks for something to do again.
const PAUSE: Duration = Duration::from_millis(100);

const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS baskets (
        id TEXT PRIMARY KEY, customer TEXT NOT NULL, email TEXT NOT NULL, product TEXT NOT NULL,
        quantity BIGINT NOT NULL, order_id TEXT, problem TEXT);
    CREATE TABLE IF NOT EXISTS licenses (asset TEXT PRIMARY KEY, basket TEXT NOT NULL, state TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS feed (id BIGINT PRIMARY KEY CHECK (id = 1), place TEXT NOT NULL);
    INSERT OR IGNORE INTO feed VALUES (1, 'start');";

/// The shop: its own database, and the host.
#[derive(Clone, Debug)]
pub struct Shop {
    host: Host,
    database: SqlitePool,
}

/// What a customer wants.
#[derive(Debug, Deserialize)]
struct Basket {
    customer: String,
    email: String,
    product: String,
    quantity: u32,
}

impl Shop {
    /// Opens the shop's database beside a host.
    ///
    /// # Errors
    /// When the database can't be opened.
    pub async fn open(host: Host, database: &std::path::Path) -> anyhow::Result<Self> {
        let options = SqliteConnectOptions::new()
            .filename(database)
            .create_if_missing(true);
        let database = SqlitePool::connect_with(options).await?;
        sqlx::raw_sql(TABLES).execute(&database).await?;
        Ok(Self { host, database })
    }

    /// What the shop answers over HTTP.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/baskets", post(accept))
            .route("/baskets/{id}", get(show))
            .route("/metrics", get(metrics))
            .with_state(self.clone())
    }

    /// Places the orders of baskets, and follows what comes of them, until it is dropped.
    pub async fn run(self) {
        loop {
            for done in [self.place_waiting().await, self.follow().await] {
                if let Err(error) = done {
                    tracing::error!(error = %format!("{error:#}"), "the shop tries again");
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Places the order of each basket that has none. Killed before the order's id is written down, the shop places it again,
    /// and the host answers with the same order.
    async fn place_waiting(&self) -> anyhow::Result<()> {
        type Row = (String, String, String, String, u32);
        let waiting: Vec<Row> = sqlx::query_as(
            "SELECT id, customer, email, product, quantity FROM baskets WHERE order_id IS NULL AND problem IS NULL",
        )
        .fetch_all(&self.database)
        .await?;
        let instance = self.host.instance(INSTANCE).await?;
        for (id, customer, email, product, quantity) in waiting {
            let customer = Party {
                id: customer.clone(),
                name: customer,
                country: "DE".to_owned(),
            };
            let language = "de-DE".to_owned();
            let request = OrderRequest::new(customer)
                .mail_to(Contact { email, language })
                .line(product, quantity)
                .key(&id);
            let (order, problem) = match instance.place(request, &Actor::platform("shop")).await {
                Ok(placed) => (Some(placed.order().id().to_string()), None),
                Err(error) if error.is_transient() => continue,
                Err(error) => (None, Some(error.code().to_owned())),
            };
            sqlx::query("UPDATE baskets SET order_id = $2, problem = $3 WHERE id = $1")
                .bind(id)
                .bind(order)
                .bind(problem)
                .execute(&self.database)
                .await?;
        }
        Ok(())
    }

    /// Takes over what came of licenses since the last time, in one transaction with the place in the feed.
    async fn follow(&self) -> anyhow::Result<()> {
        let mut transaction = self.database.begin().await?;
        let place: String = sqlx::query_scalar("SELECT place FROM feed")
            .fetch_one(&mut *transaction)
            .await?;
        let outcomes = match self.host.outcomes(place.parse()?, 100).await {
            // Another record, or a copy that was lost: what is known already comes again, and changes nothing.
            Err(error) if error.code() == "outcome-cursor-unknown" => {
                self.host.outcomes(OutcomeCursor::START, 100).await?
            }
            outcomes => outcomes?,
        };
        for outcome in outcomes {
            sqlx::query(
                "INSERT INTO licenses (asset, basket, state) VALUES ($1, $2, $3)
                 ON CONFLICT (asset) DO UPDATE SET state = excluded.state",
            )
            .bind(outcome.asset.to_string())
            .bind(outcome.idempotency_key)
            .bind(outcome.kind.word())
            .execute(&mut *transaction)
            .await?;
            sqlx::query("UPDATE feed SET place = $1")
                .bind(outcome.cursor.to_string())
                .execute(&mut *transaction)
                .await?;
        }
        Ok(transaction.commit().await?)
    }
}

/// Writes a basket down. Nothing else happens before that is safe.
async fn accept(State(shop): State<Shop>, Json(basket): Json<Basket>) -> Result<Response, Failure> {
    let id = Uuid::new_v4().to_string();
    sqlx::query("INSERT INTO baskets (id, customer, email, product, quantity) VALUES ($1, $2, $3, $4, $5)")
        .bind(&id)
        .bind(basket.customer)
        .bind(basket.email)
        .bind(basket.product)
        .bind(basket.quantity)
        .execute(&shop.database)
        .await?;
    Ok((StatusCode::ACCEPTED, Json(json!({ "id": id }))).into_response())
}

async fn show(State(shop): State<Shop>, Path(id): Path<String>) -> Result<Response, Failure> {
    let basket: Option<(Option<String>, Option<String>)> =
        sqlx::query_as("SELECT order_id, problem FROM baskets WHERE id = $1")
            .bind(&id)
            .fetch_optional(&shop.database)
            .await?;
    let Some((order, problem)) = basket else {
        return Ok(StatusCode::NOT_FOUND.into_response());
    };
    let licenses: Vec<(String, String)> =
        sqlx::query_as("SELECT asset, state FROM licenses WHERE basket = $1 ORDER BY asset")
            .bind(&id)
            .fetch_all(&shop.database)
            .await?;
    let shown = json!({ "id": id, "order": order, "problem": problem, "licenses": licenses });
    Ok(Json(shown).into_response())
}

/// The host's metrics, in the form that Prometheus reads.
async fn metrics(State(shop): State<Shop>) -> Result<String, Failure> {
    let metrics = shop.host.metrics().await?;
    let outcomes = metrics
        .outcomes
        .iter()
        .map(|(kind, count)| format!("licenses_total{{outcome=\"{}\"}} {count}\n", kind.word()));
    Ok(format!(
        "licenses_open {}\n{}",
        metrics.open_licenses,
        outcomes.collect::<String>()
    ))
}

/// A request that failed.
struct Failure(StatusCode, String);

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let status = match error.kind() {
            ErrorKind::NotFound => StatusCode::NOT_FOUND,
            ErrorKind::Invalid => StatusCode::BAD_REQUEST,
            ErrorKind::Conflict | ErrorKind::Refused => StatusCode::CONFLICT,
            ErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self(status, error.code().to_owned())
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        (self.0, self.1).into_response()
    }
}
