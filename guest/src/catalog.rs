//! A catalog while it is read: its products go to the host page by page and are counted, and what is left out is named.

use std::collections::HashSet;

use crate::bindings::bss::service_manager::services_definition::{Outcome, ProductType, Summary};
use crate::failures::{Problem, ReadFailure};
use crate::platform::{Level, Platform};

pub use crate::product::{AttributeValue, Product};

/// The most pages of a catalog: a million items, where a server gives a hundred in a page whatever is asked for. A catalog that
/// goes on beyond is taken for one that never ends.
pub const PAGES_MAX: usize = 10_000;
/// The most items that are named as left out.
const SKIPPED_MAX: usize = 10_000;

/// A page of a catalog as the vendor sends it.
#[derive(Clone, Debug)]
pub struct Page<Item> {
    /// The items as they came, so that one that can't be understood costs no other.
    pub items: Vec<Item>,
    /// Names the next page; `None` on the last one.
    pub next: Option<String>,
    /// The catalog's entity tag; empty when there is none. Only the first page's counts.
    pub entity_tag: String,
}

impl<Item> Page<Item> {
    /// A page with its items, the name of the next page, and the catalog's entity tag.
    pub fn new(items: Vec<Item>, next: Option<String>, entity_tag: String) -> Self {
        Self {
            items,
            next,
            entity_tag,
        }
    }
}

/// What becomes of an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judged {
    /// The item is a product.
    Sold(Product),
    /// The item is understood, and not sold: its product counts as discontinued.
    NotSold {
        /// The vendor's code.
        code: String,
        /// Why, for the log.
        reason: String,
    },
    /// The item can't be understood: its product counts as sold still.
    Skipped {
        /// The vendor's code; empty where it is not known, and then every product counts as sold still.
        code: String,
        /// Why, for the log.
        reason: String,
    },
}

impl Judged {
    /// An item that is a product, or can't be understood for a reason.
    pub fn of(code: &str, product: Result<Product, String>) -> Self {
        match product {
            Ok(product) => Self::Sold(product),
            Err(reason) => Self::Skipped {
                code: code.to_owned(),
                reason,
            },
        }
    }
}

/// Reads a catalog to its end, page by page, so that it is never held whole. `page` gets the name of a page, which is empty for the
/// first, and answers `None` where nothing has changed since the entity tag, which is empty for all others. `item` is what an item is
/// called: `offer`.
///
/// # Errors
/// A page can't be had or read, or the pages have no end.
pub fn read<Item, Failure: Into<ReadFailure>>(
    platform: &(impl Platform + ?Sized),
    item: &'static str,
    product_types: Vec<ProductType>,
    entity_tag: &str,
    page: impl Fn(&str, &str) -> Result<Option<Page<Item>>, Failure>,
    mut judge: impl FnMut(Item) -> Judged,
) -> Result<Outcome, ReadFailure> {
    let Some(mut current) = page("", entity_tag).map_err(Into::into)? else {
        return Ok(Outcome::Unchanged);
    };
    let entity_tag = std::mem::take(&mut current.entity_tag);
    let mut reading = Reading::new(platform, item);
    let mut names = HashSet::new();
    for _page in 0..PAGES_MAX {
        reading.take(current.items, &mut judge);
        let Some(next) = current.next else {
            return Ok(reading.complete(product_types, entity_tag));
        };
        if !names.insert(next.clone()) {
            return Err(endless("a page names an earlier page as the next page"));
        }
        current = page(&next, "")
            .map_err(Into::into)?
            .ok_or_else(|| endless("the vendor did not send a page after the first"))?;
    }
    Err(endless(&format!("the catalog has more than {PAGES_MAX} pages")))
}

fn endless(why: &str) -> ReadFailure {
    ReadFailure::Malformed(Problem::new(
        "catalog-endless",
        format!("The catalog can't be read to its end: {why}."),
        "Try again later; if the problem remains, tell the vendor.",
    ))
}

/// The state that is kept from page to page: counts and names, no products.
struct Reading<'a, P: ?Sized> {
    platform: &'a P,
    item: &'static str,
    items: u64,
    products: u32,
    skipped: Vec<String>,
}

impl<'a, P: Platform + ?Sized> Reading<'a, P> {
    fn new(platform: &'a P, item: &'static str) -> Self {
        Self {
            platform,
            item,
            items: 0,
            products: 0,
            skipped: Vec::new(),
        }
    }

    /// Hands the products of a page over.
    fn take<Item>(&mut self, items: Vec<Item>, judge: &mut impl FnMut(Item) -> Judged) {
        let mut products = Vec::with_capacity(items.len());
        for item in items {
            self.items += 1;
            match judge(item) {
                Judged::Sold(product) => products.push(product),
                Judged::NotSold { code, reason } => self.platform.log(Level::Debug, &code, &reason),
                Judged::Skipped { code, reason } => {
                    let message = format!("the {} was left out: {reason}", self.item);
                    self.platform.log(Level::Warning, &code, &message);
                    self.skip(code);
                }
            }
        }
        let count = u32::try_from(products.len()).unwrap_or(u32::MAX);
        self.products = self.products.saturating_add(count);
        self.platform.put_products(products);
        let unit = format!("{}s", self.item);
        self.platform.report_progress(self.items, None, &unit);
    }

    /// Notes the code of an item that was left out. Of too many to name, an empty one says that any may be among them.
    fn skip(&mut self, code: String) {
        match self.skipped.len() {
            ..SKIPPED_MAX => self.skipped.push(code),
            _ => self.skipped = vec![String::new(); SKIPPED_MAX],
        }
    }

    fn complete(self, product_types: Vec<ProductType>, entity_tag: String) -> Outcome {
        Outcome::Complete(Summary {
            product_types,
            products: self.products,
            // With the tag, the next reading would hear that nothing has changed, and would count as complete without the
            // items that this one left out.
            entity_tag: match self.skipped.is_empty() {
                true => entity_tag,
                false => String::new(),
            },
            skipped: self.skipped,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scripted::Scripted;

    fn product(code: &str) -> Judged {
        Judged::Sold(Product {
            code: code.to_owned(),
            product_type: "key".into(),
            name: code.to_owned(),
            description: String::new(),
            attribute_values: Vec::new(),
            min_quantity: 1,
            max_quantity: None,
            returnable: true,
        })
    }

    fn skipped(code: &str) -> Judged {
        Judged::of(code, Err("the name is missing".to_owned()))
    }

    /// Reads pages of a number each, in the order of their names.
    fn reading(
        platform: &Scripted,
        pages: &[(&str, &[&str], Option<&str>)],
        judge: fn(&str) -> Judged,
    ) -> Result<Outcome, ReadFailure> {
        let page = |name: &str, _: &str| -> Result<_, ReadFailure> {
            let found = pages.iter().find(|(named, ..)| *named == name);
            Ok(found.map(|(_, items, next)| Page {
                items: items.iter().map(|&item| item.to_owned()).collect(),
                next: next.map(str::to_owned),
                entity_tag: "tag".to_owned(),
            }))
        };
        read(platform, "offer", Vec::new(), "", page, |item: String| {
            judge(&item)
        })
    }

    fn summary(outcome: Result<Outcome, ReadFailure>) -> Summary {
        match outcome {
            Ok(Outcome::Complete(summary)) => summary,
            other => panic!("it was read: {other:?}"),
        }
    }

    #[test]
    fn products_are_counted_page_by_page_and_the_tag_of_the_first_page_stays() {
        let platform = Scripted::answering([]);
        let judge = |code: &str| match code {
            "B" => Judged::NotSold {
                code: code.to_owned(),
                reason: String::new(),
            },
            code => product(code),
        };
        let pages = [("", &["A", "B"][..], Some("2")), ("2", &["C"], None)];
        let summary = summary(reading(&platform, &pages, judge));
        assert_eq!((summary.products, summary.entity_tag.as_str()), (2, "tag"));
        let pages: Vec<_> = platform.products.borrow().iter().map(Vec::len).collect();
        assert_eq!((pages, platform.progress.take()), (vec![1, 1], vec![2, 3]));
    }

    #[test]
    fn an_item_that_is_skipped_is_named_and_logged_and_the_tag_is_not_kept() {
        let platform = Scripted::answering([]);
        let summary = summary(reading(&platform, &[("", &["A"], None)], skipped));
        assert_eq!(
            (summary.skipped, summary.entity_tag),
            (vec!["A".to_owned()], String::new())
        );
        let message = "the offer was left out: the name is missing".to_owned();
        assert_eq!(platform.log.take(), [(Level::Warning, "A".to_owned(), message)]);
    }

    #[test]
    fn of_too_many_to_name_none_is() {
        let platform = Scripted::answering([]);
        let items = vec!["A"; SKIPPED_MAX + 1];
        let summary = summary(reading(&platform, &[("", &items, None)], skipped));
        assert_eq!(summary.skipped.len(), SKIPPED_MAX);
        assert!(summary.skipped.iter().all(String::is_empty));
    }

    #[test]
    fn a_catalog_without_an_end_is_not_read_for_ever() {
        for pages in [
            &[("", &["A"][..], Some("2")), ("2", &["B"], Some("2"))][..],
            &[("", &["A"], Some("2"))],
        ] {
            let platform = Scripted::answering([]);
            let failure = reading(&platform, pages, product).expect_err("it has no end");
            assert_eq!(failure.problem().code, "catalog-endless");
        }
        let unchanged = reading(&Scripted::answering([]), &[], product);
        assert_eq!(unchanged, Ok(Outcome::Unchanged));
    }
}
