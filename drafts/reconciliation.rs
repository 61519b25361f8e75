//! The comparison of the record with a vendor's statement: what only one of the two has, and where they differ.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use uuid::Uuid;

/// The decimals that an amount is read with.
const DECIMALS: usize = 6;

/// An amount of a statement, in millionths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StatementAmount(i128);

impl StatementAmount {
    /// Reads an amount, with a decimal comma or a decimal point. The other of the two, an apostrophe or a blank may stand between
    /// groups of three digits where decimals follow. `None`: the text is none, or could mean two amounts.
    pub fn parse(text: &str, decimal_comma: bool) -> Option<Self> {
        let (mark, separators) = match decimal_comma {
            true => (',', ['.', '\'', ' ', '\u{a0}']),
            false => ('.', [',', '\'', ' ', '\u{a0}']),
        };
        let text = text.trim();
        let (is_negative, digits) = match text.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let (whole, part) = match digits.split_once(mark) {
            Some((whole, part)) if !part.is_empty() => (whole, part),
            Some(_) => return None,
            None => (digits, ""),
        };
        let groups: Vec<&str> = whole.split(separators).collect();
        let are_groups = groups.len() == 1
            || !part.is_empty()
                && groups.first().is_some_and(|first| (1..=3).contains(&first.len()))
                && groups.iter().skip(1).all(|group| group.len() == 3);
        let all = groups.concat();
        let are_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if !are_groups || all.is_empty() || part.len() > DECIMALS || !are_digits(&all) || !are_digits(part) {
            return None;
        }
        let millionths: i128 = format!("{all}{part:0<DECIMALS$}").parse().ok()?;
        Some(Self(if is_negative { -millionths } else { millionths }))
    }
}

impl fmt::Display for StatementAmount {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = format!("{:0>width$}", self.0.unsigned_abs(), width = DECIMALS + 1);
        let (whole, part) = digits.split_at(digits.len().saturating_sub(DECIMALS));
        let part = format!("{:0<2}", part.trim_end_matches('0'));
        let sign = if self.0 < 0 { "-" } else { "" };
        formatter.pad(&format!("{sign}{whole}.{part}"))
    }
}

/// The price of a line of a statement.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StatementPrice {
    /// The amount.
    pub amount: StatementAmount,
    /// The currency. `None`: the statement names none.
    pub currency: Option<String>,
}

impl fmt::Display for StatementPrice {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.amount)?;
        match &self.currency {
            Some(currency) => write!(formatter, " {currency}"),
            None => Ok(()),
        }
    }
}

/// A line of a vendor's statement: a license with its state, or its purchase or its return alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatementLine {
    /// The line's number in the file, from 1.
    pub line: u64,
    /// The vendor's name for the license token.
    pub license: Option<String>,
    /// The vendor's or the host's name for the purchase.
    pub transaction: Option<String>,
    /// The price.
    pub price: Option<StatementPrice>,
    /// Whether the license is returned.
    pub is_returned: bool,
}

/// A vendor's statement.
#[derive(Clone, Debug, Default)]
pub struct Statement {
    /// The lines.
    pub lines: Vec<StatementLine>,
    /// Whether the lines say what is returned.
    pub tells_returns: bool,
    /// The first millisecond that it is about. `None`: it has no beginning.
    pub since_ms: Option<i64>,
    /// The first millisecond that it is not about any more. `None`: it has no end.
    pub until_ms: Option<i64>,
}

/// A line of an order as the record has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedLicense {
    /// The asset.
    pub asset_id: Uuid,
    /// The order.
    pub order_id: Uuid,
    /// The product's code.
    pub product_code: String,
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
    /// Whether it was charged and not credited.
    pub is_owed: bool,
}

/// A difference between the record and a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discrepancy {
    /// What differs.
    pub kind: DiscrepancyKind,
    /// The line of the statement. `None`: it has none.
    pub line: Option<u64>,
    /// The vendor's name for the license token.
    pub license: Option<String>,
    /// The name for the purchase.
    pub transaction: Option<String>,
    /// The asset. `None`: the record has none.
    pub asset_id: Option<Uuid>,
    /// The order.
    pub order_id: Option<Uuid>,
    /// The product's code.
    pub product_code: Option<String>,
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
    /// The price is not that of most licenses of the product in the statement.
    OtherPrice {
        /// The price in the line.
        found: StatementPrice,
        /// The price of most.
        usual: StatementPrice,
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
            Self::OtherPrice { .. } => "other-price",
            Self::ReturnedThere => "returned-there",
            Self::ReturnedHere => "returned-here",
        }
    }
}

/// The outcome of a comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reconciliation {
    /// The lines of the statement.
    pub lines: u64,
    /// The licenses on record that the statement should have.
    pub licenses: u64,
    /// The differences: those of the statement's lines by line, then those of licenses without a line.
    pub discrepancies: Vec<Discrepancy>,
}

/// Compares the record of an instance with a statement. What the vendor takes for a license is not on record, so prices are
/// compared with each other: those of licenses of the same product and quantity.
pub fn reconcile(recorded: &[RecordedLicense], statement: &Statement) -> Reconciliation {
    let names = Names::of(recorded);
    let mut comparison = Comparison {
        recorded,
        statement,
        seen: vec![Seen::default(); recorded.len()],
        found: Vec::new(),
    };
    let mut unknown = HashMap::new();
    for line in &statement.lines {
        match names.license(line) {
            Some(at) => comparison.compare(at, line),
            None => comparison.bought_there(names.purchase(line), line, &mut unknown),
        }
    }
    comparison.compare_prices();
    comparison.compare_returns();
    comparison.found.sort_by_key(|(line, _)| *line);
    let licenses = comparison.look_for_others();
    Reconciliation {
        lines: statement.lines.len() as u64,
        licenses,
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
        match &line.license {
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
            && !here.eq_ignore_ascii_case(there)
            && !there.eq_ignore_ascii_case(&license.client_transaction_id.to_string())
        {
            let (here, there) = (here.clone(), there.clone());
            self.differs(DiscrepancyKind::OtherTransaction { here, there }, at, line.line);
        }
    }

    /// Notes a license that the record does not have, once for its purchase and its return.
    fn bought_there(
        &mut self,
        purchase: Option<usize>,
        line: &StatementLine,
        unknown: &mut HashMap<(Option<String>, Option<String>), [Option<u64>; 2]>,
    ) {
        let name = (line.license.clone(), line.transaction.clone());
        let listed = unknown.entry(name).or_default();
        let is_new = *listed == [None, None];
        let first = *listed[usize::from(line.is_returned)].get_or_insert(line.line);
        let kind = match (is_new, first == line.line) {
            (true, _) => DiscrepancyKind::BoughtThere,
            (false, false) => DiscrepancyKind::ListedTwice { first },
            (false, true) => return,
        };
        let order_line = purchase.map(|at| &self.recorded[at]);
        let found = Discrepancy {
            kind,
            line: Some(line.line),
            license: line.license.clone(),
            transaction: line.transaction.clone(),
            asset_id: order_line.map(|of| of.asset_id),
            order_id: order_line.map(|of| of.order_id),
            product_code: order_line.map(|of| of.product_code.clone()),
        };
        self.found.push((line.line, found));
    }

    /// Compares the prices of licenses of the same product and quantity with that of most of them; of several prices that are
    /// equally many, with the first.
    fn compare_prices(&mut self) {
        let mut lines = BTreeMap::<(&str, u32), Vec<(u64, usize, &StatementPrice)>>::new();
        let seen = self.seen.clone();
        for (at, seen) in seen.iter().enumerate() {
            let license = &self.recorded[at];
            if let Some((line, price)) = &seen.price {
                let of_product = lines.entry((&license.product_code, license.quantity)).or_default();
                of_product.push((*line, at, price));
            }
        }
        for mut lines in lines.into_values() {
            lines.sort_unstable();
            let mut counts = HashMap::<&StatementPrice, (usize, u64)>::new();
            for (line, _, price) in &lines {
                counts.entry(price).or_insert((0, *line)).0 += 1;
            }
            let usual = counts.into_iter().max_by_key(|(_, (count, first))| (*count, u64::MAX - first));
            let Some((usual, _)) = usual else { continue };
            for (line, at, found) in &lines {
                if *found != usual {
                    let (found, usual) = ((*found).clone(), usual.clone());
                    self.differs(DiscrepancyKind::OtherPrice { found, usual }, *at, *line);
                }
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
                (Some(line), _) if license.returned_at_ms.is_none() || license.is_owed => {
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

    /// Notes the licenses and returns that the statement should have and has not, and counts the licenses that it should have.
    fn look_for_others(&mut self) -> u64 {
        let mut expected = 0;
        let is_covered = |at_ms: Option<i64>, statement: &Statement| match at_ms {
            Some(at_ms) => {
                statement.since_ms.is_none_or(|since_ms| at_ms >= since_ms)
                    && statement.until_ms.is_none_or(|until_ms| at_ms < until_ms)
            }
            None => statement.since_ms.is_none() && statement.until_ms.is_none(),
        };
        for (license, seen) in self.recorded.iter().zip(&self.seen) {
            if license.license_token_id.is_none() {
                continue;
            }
            let is_bought = is_covered(license.bought_at_ms, self.statement);
            let is_returned = license.returned_at_ms.is_some() && is_covered(license.returned_at_ms, self.statement);
            expected += u64::from(is_bought);
            let kind = match (seen.bought, seen.returned) {
                (None, None) if is_bought => DiscrepancyKind::BoughtHere,
                (None, None) if is_returned && self.statement.tells_returns => DiscrepancyKind::ReturnedHere,
                _ => continue,
            };
            // Behind those of lines.
            self.found.push((u64::MAX, of_license(license, kind, None)));
        }
        expected
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
        license: license.license_token_id.clone(),
        transaction: license.transaction_id.clone(),
        asset_id: Some(license.asset_id),
        order_id: Some(license.order_id),
        product_code: Some(license.product_code.clone()),
    }
}

#[cfg(test)]
mod tests;
