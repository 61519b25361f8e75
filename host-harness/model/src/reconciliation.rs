//! The comparison of the record with a vendor's statement: what only one of the two has, and where they differ.

use std::collections::{BTreeMap, HashMap};

use uuid::Uuid;

use crate::price::Price;
use crate::statement::{PricesAre, Statement, StatementLine, StatementPrice};

/// A line of an order as the record has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedLicense {
    /// The asset.
    pub asset_id: Uuid,
    /// The order.
    pub order_id: Uuid,
    /// The product's code.
    pub product_code: String,
    /// The product's name when it was ordered.
    pub product_name: String,
    /// The units of the license.
    pub quantity: u32,
    /// The host's name for the purchase.
    pub client_transaction_id: Uuid,
    /// The vendor's name for the purchase.
    pub transaction_id: Option<String>,
    /// The vendor's name for the license token. `None`: no license is known.
    pub license_token_id: Option<String>,
    /// When the vendor issued it, in milliseconds.
    pub bought_at_ms: Option<i64>,
    /// When its return from here was done, in milliseconds.
    pub returned_at_ms: Option<i64>,
    /// What was charged for it. `None`: nothing.
    pub charged: Option<Price>,
    /// Whether that was credited.
    pub is_credited: bool,
}

impl RecordedLicense {
    /// Whether it was charged and not credited.
    fn is_owed(&self) -> bool {
        self.charged.is_some() && !self.is_credited
    }

    /// Whether a statement's word for a product may mean this one.
    fn is_of(&self, product: &str) -> bool {
        let product = product.to_lowercase();
        [&self.product_code, &self.product_name]
            .map(|name| name.to_lowercase())
            .contains(&product)
    }
}

/// A difference between the record and a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discrepancy {
    /// What differs.
    pub kind: DiscrepancyKind,
    /// The line of the statement. `None`: it has none.
    pub line: Option<u64>,
    /// The vendor's name for the license token.
    pub license_token: Option<String>,
    /// The name for the purchase.
    pub transaction: Option<String>,
    /// The asset. `None`: the record has none.
    pub asset_id: Option<Uuid>,
    /// The order.
    pub order_id: Option<Uuid>,
    /// The product's code; of a license that the record does not have, what the statement says.
    pub product: Option<String>,
}

/// What differs between the record and a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiscrepancyKind {
    /// The statement has a license that the record does not have.
    BoughtThere,
    /// The record has a license that the statement does not have.
    BoughtHere,
    /// The statement has the purchase or the return of a license twice.
    ListedTwice {
        /// The line that has it first.
        first: u64,
    },
    /// The statement names another purchase of the license than the record.
    OtherTransaction {
        /// The purchase on record.
        here: String,
        /// The purchase in the line.
        there: String,
    },
    /// The statement names another product of the license than the record.
    OtherProduct {
        /// The product's code on record.
        here: String,
        /// The product in the line.
        there: String,
    },
    /// The price is not that of most licenses of the product in the statement, or not what was charged.
    OtherPrice {
        /// The price in the line.
        found: StatementPrice,
        /// The price of most, or the one charged.
        expected: StatementPrice,
    },
    /// The statement says that the license is returned, and here it is not, or it is not credited.
    ReturnedThere,
    /// The license is returned here, and the statement does not say so.
    ReturnedHere,
}

impl DiscrepancyKind {
    /// The word for programs.
    pub fn word(&self) -> &'static str {
        match self {
            Self::BoughtThere => "bought-there",
            Self::BoughtHere => "bought-here",
            Self::ListedTwice { .. } => "listed-twice",
            Self::OtherTransaction { .. } => "other-transaction",
            Self::OtherProduct { .. } => "other-product",
            Self::OtherPrice { .. } => "other-price",
            Self::ReturnedThere => "returned-there",
            Self::ReturnedHere => "returned-here",
        }
    }
}

/// The outcome of a comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reconciliation {
    /// The lines of the statement that were compared.
    pub lines: u64,
    /// The lines that were left out because they are of another time.
    pub lines_left_out: u64,
    /// The licenses on record that the statement should have.
    pub licenses: u64,
    /// The returns on record that are of the statement's time.
    pub returns: u64,
    /// The differences: those of the statement's lines by line, then those of licenses without a line.
    pub discrepancies: Vec<Discrepancy>,
}

impl Reconciliation {
    /// Whether the statement seems to be of another time than the one that was compared: all of its lines were left out, or they
    /// are what the record has, and the record has nothing of that time. That nothing differs says nothing then.
    pub fn is_of_another_time(&self) -> bool {
        let is_left_out = self.lines == 0 && self.lines_left_out > 0;
        let is_of_none = self.lines > 0 && self.licenses == 0 && self.returns == 0;
        is_left_out || (is_of_none && self.discrepancies.is_empty())
    }
}

/// Compares the record of an instance with a statement. Lines of another time than the statement's are left out.
pub fn reconcile(recorded: &[RecordedLicense], statement: &Statement) -> Reconciliation {
    let names = Names::of(recorded);
    let mut comparison = Comparison {
        recorded,
        statement,
        seen: vec![Seen::default(); recorded.len()],
        found: Vec::new(),
    };
    let mut unknown = HashMap::new();
    let is_meant = |line: &&StatementLine| line.at_ms.is_none() || statement.covers(line.at_ms);
    let (lines, left_out): (Vec<_>, Vec<_>) = statement.lines.iter().partition(is_meant);
    for line in &lines {
        match names.license(line) {
            Some(at) => comparison.compare(at, line),
            None => comparison.bought_there(names.purchase(line), line, &mut unknown),
        }
    }
    match statement.prices {
        PricesAre::TheVendors => comparison.compare_prices(),
        PricesAre::Charged => comparison.compare_charges(),
    }
    comparison.compare_returns();
    comparison.found.sort_by_key(|(line, _)| *line);
    let (licenses, returns) = comparison.look_for_others();
    Reconciliation {
        lines: lines.len() as u64,
        lines_left_out: left_out.len() as u64,
        licenses,
        returns,
        discrepancies: comparison.found.into_iter().map(|(_, found)| found).collect(),
    }
}

/// The names of licenses and purchases on record, with the places of what they name.
struct Names<'a> {
    recorded: &'a [RecordedLicense],
    licenses: HashMap<String, usize>,
    purchases: HashMap<String, usize>,
}

impl<'a> Names<'a> {
    fn of(recorded: &'a [RecordedLicense]) -> Self {
        let (mut licenses, mut purchases) = (HashMap::new(), HashMap::new());
        for (at, license) in recorded.iter().enumerate() {
            if let Some(token) = &license.license_token_id {
                licenses.insert(token.to_lowercase(), at);
            }
            if let Some(transaction) = &license.transaction_id {
                purchases.insert(transaction.to_lowercase(), at);
            }
            purchases.insert(license.client_transaction_id.to_string(), at);
        }
        Self {
            recorded,
            licenses,
            purchases,
        }
    }

    /// The license of a line: by its own name, or by its purchase's where the line has only that.
    fn license(&self, line: &StatementLine) -> Option<usize> {
        match &line.license_token {
            Some(license) => self.licenses.get(&license.to_lowercase()).copied(),
            None => self
                .purchase(line)
                .filter(|at| self.recorded[*at].license_token_id.is_some()),
        }
    }

    /// The order line of a line's purchase, whether a license is known or not.
    fn purchase(&self, line: &StatementLine) -> Option<usize> {
        let purchase = line.transaction.as_ref()?;
        self.purchases.get(&purchase.to_lowercase()).copied()
    }
}

/// The lines of a statement that have a license.
#[derive(Clone, Debug, Default)]
struct Seen {
    bought: Option<u64>,
    returned: Option<u64>,
    price: Option<(u64, StatementPrice)>,
}

/// The lines that have the purchase and the return of a license that the record does not have.
#[derive(Default)]
struct Unknown {
    bought: Option<u64>,
    returned: Option<u64>,
}

/// The names by which a statement calls a license that the record does not have.
type UnknownNames = (Option<String>, Option<String>);

/// A comparison under way.
struct Comparison<'a> {
    recorded: &'a [RecordedLicense],
    statement: &'a Statement,
    /// The lines of each license on record.
    seen: Vec<Seen>,
    /// The differences, each with its line.
    found: Vec<(u64, Discrepancy)>,
}

impl Comparison<'_> {
    /// Compares a line with the license that it is about.
    fn compare(&mut self, at: usize, line: &StatementLine) {
        let license = &self.recorded[at];
        let seen = &mut self.seen[at];
        let listed = match line.is_returned {
            true => &mut seen.returned,
            false => &mut seen.bought,
        };
        let first = *listed.get_or_insert(line.line);
        if !line.is_returned && first == line.line {
            seen.price = line.price.clone().map(|price| (line.line, price));
        }
        if first != line.line {
            self.differs(DiscrepancyKind::ListedTwice { first }, at, line.line);
        }
        if let (Some(here), Some(there)) = (&license.transaction_id, &line.transaction)
            && here.to_lowercase() != there.to_lowercase()
            && !there.eq_ignore_ascii_case(&license.client_transaction_id.to_string())
        {
            let (here, there) = (here.clone(), there.clone());
            self.differs(DiscrepancyKind::OtherTransaction { here, there }, at, line.line);
        }
        if let Some(there) = line.product.clone().filter(|product| !license.is_of(product)) {
            let here = license.product_code.clone();
            self.differs(DiscrepancyKind::OtherProduct { here, there }, at, line.line);
        }
    }

    /// Notes a license that the record does not have, once for its purchase and its return.
    fn bought_there(
        &mut self,
        purchase: Option<usize>,
        line: &StatementLine,
        unknown: &mut HashMap<UnknownNames, Unknown>,
    ) {
        let lower = |name: &Option<String>| name.as_ref().map(|name| name.to_lowercase());
        let name = (lower(&line.license_token), lower(&line.transaction));
        let listed = unknown.entry(name).or_default();
        let is_new = listed.bought.is_none() && listed.returned.is_none();
        let lines = match line.is_returned {
            true => &mut listed.returned,
            false => &mut listed.bought,
        };
        let first = *lines.get_or_insert(line.line);
        let kind = match (is_new, first == line.line) {
            (true, _) => DiscrepancyKind::BoughtThere,
            (false, false) => DiscrepancyKind::ListedTwice { first },
            (false, true) => return,
        };
        let order_line = purchase.map(|at| &self.recorded[at]);
        let found = Discrepancy {
            kind,
            line: Some(line.line),
            license_token: line.license_token.clone(),
            transaction: line.transaction.clone(),
            asset_id: order_line.map(|of| of.asset_id),
            order_id: order_line.map(|of| of.order_id),
            product: order_line
                .map(|of| of.product_code.clone())
                .or_else(|| line.product.clone()),
        };
        self.found.push((line.line, found));
    }

    /// Compares the prices of licenses of the same product and quantity with that of most of them; of several prices that are
    /// equally many, with the first.
    fn compare_prices(&mut self) {
        let mut lines = BTreeMap::<(&str, u32), Vec<(u64, usize, StatementPrice)>>::new();
        for (at, seen) in self.seen.iter().enumerate() {
            let license = &self.recorded[at];
            if let Some((line, price)) = &seen.price {
                let of_product = (license.product_code.as_str(), license.quantity);
                lines
                    .entry(of_product)
                    .or_default()
                    .push((*line, at, price.clone()));
            }
        }
        for mut lines in lines.into_values() {
            lines.sort_unstable();
            let mut counts = HashMap::<&StatementPrice, (usize, u64)>::new();
            for (line, _, price) in &lines {
                counts.entry(price).or_insert((0, *line)).0 += 1;
            }
            let usual = counts
                .into_iter()
                .max_by_key(|(_, (count, first))| (*count, u64::MAX - first));
            let Some((usual, _)) = usual else { continue };
            let others = lines.iter().filter(|(_, _, found)| found != usual);
            for (line, at, found) in others {
                let (found, expected) = (found.clone(), usual.clone());
                self.differs(DiscrepancyKind::OtherPrice { found, expected }, *at, *line);
            }
        }
    }

    /// Compares prices with what was charged.
    fn compare_charges(&mut self) {
        for at in 0..self.recorded.len() {
            let Some((line, found)) = self.seen[at].price.clone() else {
                continue;
            };
            let charged = self.recorded[at].charged.as_ref().and_then(StatementPrice::of);
            if let Some(expected) = charged.filter(|charged| charged.contradicts(&found)) {
                self.differs(DiscrepancyKind::OtherPrice { found, expected }, at, line);
            }
        }
    }

    /// Compares what is returned, of licenses that the statement has.
    fn compare_returns(&mut self) {
        if !self.statement.tells_returns {
            return;
        }
        for at in 0..self.recorded.len() {
            let (license, seen) = (&self.recorded[at], &self.seen[at]);
            match (seen.returned, seen.bought) {
                (Some(line), _) if license.returned_at_ms.is_none() || license.is_owed() => {
                    self.differs(DiscrepancyKind::ReturnedThere, at, line);
                }
                (None, Some(line)) if self.is_returned_by_then(license) => {
                    self.differs(DiscrepancyKind::ReturnedHere, at, line);
                }
                _ => {}
            }
        }
    }

    /// Whether a license had been returned from here when the statement ends.
    fn is_returned_by_then(&self, license: &RecordedLicense) -> bool {
        let until_ms = self.statement.until_ms.unwrap_or(i64::MAX);
        license
            .returned_at_ms
            .is_some_and(|returned_at_ms| returned_at_ms < until_ms)
    }

    /// Notes the licenses and returns that the statement should have and has not, and counts those of its time.
    fn look_for_others(&mut self) -> (u64, u64) {
        let (mut licenses, mut returns) = (0, 0);
        let bought = self.recorded.iter().zip(&self.seen);
        for (license, seen) in bought.filter(|(license, _)| license.license_token_id.is_some()) {
            let is_bought = self.statement.covers(license.bought_at_ms);
            let is_returned =
                license.returned_at_ms.is_some() && self.statement.covers(license.returned_at_ms);
            licenses += u64::from(is_bought);
            returns += u64::from(is_returned);
            let kind = match (seen.bought, seen.returned) {
                (None, None) if is_bought => DiscrepancyKind::BoughtHere,
                (None, None) if is_returned && self.statement.tells_returns => DiscrepancyKind::ReturnedHere,
                _ => continue,
            };
            // Behind those of lines.
            self.found.push((u64::MAX, of_license(license, kind, None)));
        }
        (licenses, returns)
    }

    fn differs(&mut self, kind: DiscrepancyKind, at: usize, line: u64) {
        let found = of_license(&self.recorded[at], kind, Some(line));
        self.found.push((line, found));
    }
}

fn of_license(license: &RecordedLicense, kind: DiscrepancyKind, line: Option<u64>) -> Discrepancy {
    Discrepancy {
        kind,
        line,
        license_token: license.license_token_id.clone(),
        transaction: license.transaction_id.clone(),
        asset_id: Some(license.asset_id),
        order_id: Some(license.order_id),
        product: Some(license.product_code.clone()),
    }
}

#[cfg(test)]
mod tests;
