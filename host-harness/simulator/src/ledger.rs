//! The durable record of every license the simulated Microsoft ever issued.

use std::path::Path;
use std::time::Duration;

use bss_model::Secret;
use jiff::Timestamp;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteRow, SqliteSynchronous,
};
use sqlx::{FromRow, Row as _};

/// The ledger's file in the simulator's directory.
pub(super) const FILE: &str = "ledger.sqlite";

/// How many readers there can be at once. SQLite has one writer, whatever the number.
const READERS_MAX: u32 = 4;

/// How long a statement waits for another process that writes to the same file.
const BUSY_MAX: Duration = Duration::from_secs(10);

/// The ledger could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("the simulator's ledger `{FILE}` can't be read or written")]
pub struct LedgerError(#[from] sqlx::Error);

/// A company or person named in a purchase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerCustomer {
    /// The platform's name for the customer.
    pub id: String,
    /// The customer's name.
    pub name: String,
    /// The customer's country, ISO 3166-1 alpha-2.
    pub country: String,
}

/// The status of a license.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenStatus {
    /// Issued and not used yet.
    Activated,
    /// Used by the customer.
    Redeemed,
    /// Returned unused.
    ReturnAccepted,
}

impl TokenStatus {
    /// The status as the API writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            TokenStatus::Activated => "Activated",
            TokenStatus::Redeemed => "Redeemed",
            TokenStatus::ReturnAccepted => "Return Accepted",
        }
    }
}

impl TryFrom<String> for TokenStatus {
    type Error = String;

    fn try_from(text: String) -> Result<TokenStatus, String> {
        [
            TokenStatus::Activated,
            TokenStatus::Redeemed,
            TokenStatus::ReturnAccepted,
        ]
        .into_iter()
        .find(|status| status.as_str() == text)
        .ok_or_else(|| format!("`{text}` is not the status of a license token"))
    }
}

/// A license that was issued.
#[derive(Clone, Debug)]
pub struct LedgerEntry {
    /// The entry's number in the order of issue, from 1.
    pub number: i64,
    /// The buyer's name for the purchase, a lower-case UUID.
    pub client_transaction_id: String,
    /// Microsoft's name for the purchase, a lower-case UUID.
    pub transaction_id: String,
    /// Microsoft's name for the license, a lower-case UUID.
    pub license_token_id: String,
    /// The SHA-256 of the purchase, hex.
    pub(super) content_digest: String,
    /// The application that bought.
    pub client_id: String,
    /// The Bill To account that it was bought on.
    pub channel_id: String,
    /// The offer that was bought.
    pub offer_id: String,
    /// The country that the license was bought for, ISO 3166-1 alpha-2.
    pub country: String,
    /// The language of the purchase, BCP 47.
    pub language: String,
    /// The currency in which the license was charged, ISO 4217.
    pub currency: String,
    /// The platform's name for the reseller, where there was one.
    pub reseller_id: Option<String>,
    /// The reseller's name.
    pub reseller_name: Option<String>,
    /// The customer who got the license.
    pub customer: LedgerCustomer,
    /// The product key, five groups of five.
    pub product_key: Secret,
    /// The link with which the license is redeemed.
    pub activation_link: Secret,
    /// The license's status now.
    pub token_status: TokenStatus,
    /// When the license was issued, in milliseconds since 1970 by the simulator's clock.
    pub purchased_at_ms: i64,
    /// Until when the license can be returned, in milliseconds since 1970. `None` when it can't be.
    pub returnable_until_ms: Option<i64>,
    /// The buyer's name for the return, a lower-case UUID.
    pub return_client_transaction_id: Option<String>,
    /// Why the license was returned.
    pub return_reason: Option<String>,
    /// When the license was returned.
    pub returned_at_ms: Option<i64>,
}

impl<'r> FromRow<'r, SqliteRow> for LedgerEntry {
    fn from_row(row: &'r SqliteRow) -> sqlx::Result<LedgerEntry> {
        let status = row.try_get::<String, _>("token_status")?;
        let token_status = TokenStatus::try_from(status).map_err(|problem| sqlx::Error::ColumnDecode {
            index: "token_status".to_owned(),
            source: problem.into(),
        })?;
        Ok(LedgerEntry {
            number: row.try_get("number")?,
            client_transaction_id: row.try_get("client_transaction_id")?,
            transaction_id: row.try_get("transaction_id")?,
            license_token_id: row.try_get("license_token_id")?,
            content_digest: row.try_get("content_digest")?,
            client_id: row.try_get("client_id")?,
            channel_id: row.try_get("channel_id")?,
            offer_id: row.try_get("offer_id")?,
            country: row.try_get("country")?,
            language: row.try_get("language")?,
            currency: row.try_get("currency")?,
            reseller_id: row.try_get("reseller_id")?,
            reseller_name: row.try_get("reseller_name")?,
            customer: LedgerCustomer::from_row(row)?,
            product_key: row.try_get::<String, _>("product_key")?.into(),
            activation_link: row.try_get::<String, _>("activation_link")?.into(),
            token_status,
            purchased_at_ms: row.try_get("purchased_at_ms")?,
            returnable_until_ms: row.try_get("returnable_until_ms")?,
            return_client_transaction_id: row.try_get("return_client_transaction_id")?,
            return_reason: row.try_get("return_reason")?,
            returned_at_ms: row.try_get("returned_at_ms")?,
        })
    }
}

impl<'r> FromRow<'r, SqliteRow> for LedgerCustomer {
    fn from_row(row: &'r SqliteRow) -> sqlx::Result<LedgerCustomer> {
        Ok(LedgerCustomer {
            id: row.try_get("customer_id")?,
            name: row.try_get("customer_name")?,
            country: row.try_get("customer_country")?,
        })
    }
}

/// Connections to the ledger: one that writes, so that writers queue here instead of at the file, and a few that read.
#[derive(Clone, Debug)]
pub(super) struct Ledger {
    writer: SqlitePool,
    readers: SqlitePool,
}

impl Ledger {
    /// The ledger of that directory, empty if the directory has none.
    pub(super) async fn open(directory: &Path) -> Result<Ledger, LedgerError> {
        let options = SqliteConnectOptions::new()
            .filename(directory.join(FILE))
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // A license that was answered must survive a power cut.
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY_MAX);
        let writer = SqlitePoolOptions::new()
            // As in the record: sqlx 0.9 can loop without end while it looks for old connections.
            .idle_timeout(None)
            .max_lifetime(None)
            .max_connections(1)
            .connect_with(options.clone())
            .await?;
        sqlx::raw_sql(include_str!("ledger/schema.sql"))
            .execute(&writer)
            .await?;
        let readers = SqlitePoolOptions::new()
            // As in the record: sqlx 0.9 can loop without end while it looks for old connections.
            .idle_timeout(None)
            .max_lifetime(None)
            .max_connections(READERS_MAX)
            .connect_with(options.read_only(true))
            .await?;
        Ok(Ledger { writer, readers })
    }

    /// Sets whether the database enforces one license per client transaction id.
    pub(super) async fn keep_purchases_apart(&self, apart: bool) -> Result<(), LedgerError> {
        let statement = match apart {
            true => {
                "CREATE UNIQUE INDEX IF NOT EXISTS one_license_per_purchase ON license (client_transaction_id)"
            }
            false => "DROP INDEX IF EXISTS one_license_per_purchase",
        };
        sqlx::query(statement).execute(&self.writer).await?;
        Ok(())
    }

    pub(super) async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }

    /// Every license, in the order of issue.
    pub(super) async fn entries(&self) -> Result<Vec<LedgerEntry>, LedgerError> {
        Ok(sqlx::query_as("SELECT * FROM license ORDER BY number")
            .fetch_all(&self.readers)
            .await?)
    }

    pub(super) async fn by_client_transaction_id(
        &self,
        id: &str,
    ) -> Result<Option<LedgerEntry>, LedgerError> {
        let query =
            sqlx::query_as("SELECT * FROM license WHERE client_transaction_id = ? ORDER BY number LIMIT 1");
        Ok(query.bind(id).fetch_optional(&self.readers).await?)
    }

    pub(super) async fn by_license_token_id(&self, id: &str) -> Result<Option<LedgerEntry>, LedgerError> {
        let query = sqlx::query_as("SELECT * FROM license WHERE license_token_id = ?");
        Ok(query.bind(id).fetch_optional(&self.readers).await?)
    }

    pub(super) async fn by_return(
        &self,
        client_transaction_id: &str,
    ) -> Result<Option<LedgerEntry>, LedgerError> {
        let query = sqlx::query_as("SELECT * FROM license WHERE return_client_transaction_id = ?");
        Ok(query
            .bind(client_transaction_id)
            .fetch_optional(&self.readers)
            .await?)
    }

    /// Issues a license unless one has that client transaction id and purchases are kept apart; returns whether it
    /// did. The license is committed when this returns.
    pub(super) async fn issue(&self, entry: &LedgerEntry) -> Result<bool, LedgerError> {
        let query = sqlx::query(
            "INSERT INTO license (client_transaction_id, transaction_id, license_token_id, content_digest, client_id, \
             channel_id, offer_id, country, language, currency, reseller_id, reseller_name, customer_id, \
             customer_name, customer_country, product_key, activation_link, token_status, purchased_at_ms, \
             returnable_until_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) \
             ON CONFLICT DO NOTHING",
        );
        let done = query
            .bind(&entry.client_transaction_id)
            .bind(&entry.transaction_id)
            .bind(&entry.license_token_id)
            .bind(&entry.content_digest)
            .bind(&entry.client_id)
            .bind(&entry.channel_id)
            .bind(&entry.offer_id)
            .bind(&entry.country)
            .bind(&entry.language)
            .bind(&entry.currency)
            .bind(&entry.reseller_id)
            .bind(&entry.reseller_name)
            .bind(&entry.customer.id)
            .bind(&entry.customer.name)
            .bind(&entry.customer.country)
            .bind(entry.product_key.expose())
            .bind(entry.activation_link.expose())
            .bind(entry.token_status.as_str())
            .bind(entry.purchased_at_ms)
            .bind(entry.returnable_until_ms)
            .execute(&self.writer)
            .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Takes an unused license back, if its window is open and no other return has that id; returns whether it did.
    pub(super) async fn take_back(
        &self,
        license_token_id: &str,
        client_transaction_id: &str,
        reason: &str,
        now: Timestamp,
    ) -> Result<bool, LedgerError> {
        let query = sqlx::query(
            "UPDATE license SET token_status = 'Return Accepted', return_client_transaction_id = ?1, \
             return_reason = ?2, returned_at_ms = ?3 WHERE license_token_id = ?4 AND token_status = 'Activated' \
             AND returnable_until_ms >= ?3 \
             AND NOT EXISTS (SELECT 1 FROM license WHERE return_client_transaction_id = ?1)",
        );
        let done = query
            .bind(client_transaction_id)
            .bind(reason)
            .bind(now.as_millisecond())
            .bind(license_token_id)
            .execute(&self.writer)
            .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Redeems a license as a customer does; returns whether there was such a license, and unused.
    pub(super) async fn redeem(&self, license_token_id: &str) -> Result<bool, LedgerError> {
        let query = sqlx::query(
            "UPDATE license SET token_status = 'Redeemed' WHERE license_token_id = ? AND token_status = 'Activated'",
        );
        let done = query.bind(license_token_id).execute(&self.writer).await?;
        Ok(done.rows_affected() == 1)
    }

    /// Keeps an assertion's `jti` until the assertion has expired; `false` when the `jti` was there already.
    pub(super) async fn accept_assertion(
        &self,
        jti: &str,
        expires_at_s: i64,
        now_s: i64,
    ) -> Result<bool, LedgerError> {
        sqlx::query("DELETE FROM assertion WHERE expires_at_s < ?")
            .bind(now_s)
            .execute(&self.writer)
            .await?;
        let query =
            sqlx::query("INSERT INTO assertion (jti, expires_at_s) VALUES (?, ?) ON CONFLICT DO NOTHING");
        let done = query.bind(jti).bind(expires_at_s).execute(&self.writer).await?;
        Ok(done.rows_affected() == 1)
    }
}
