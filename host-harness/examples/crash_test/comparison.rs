//! Compares the ledger and the record: whether they agree on every license.

use std::collections::{HashMap, HashSet};

use bss_model::Secret;
use uuid::Uuid;

use crate::clients::{Answers, Heard};
use crate::receiver;

/// A license, by everything that tells it from another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct License {
    /// The purchase that it came from.
    pub(crate) client_transaction_id: String,
    /// The vendor's name for the purchase.
    pub(crate) transaction_id: String,
    /// The vendor's name for the license token.
    pub(crate) license_token_id: String,
    /// The product key that the customer types in.
    pub(crate) product_key: Secret,
}

/// An order line as the host's record has it at the end.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    /// The line's asset.
    pub(crate) asset_id: Uuid,
    /// The line's purchase.
    pub(crate) client_transaction_id: String,
    /// The license on record. `None` when the line was refused, or is still open.
    pub(crate) license: Option<License>,
    /// Whether the asset is cancelled.
    pub(crate) is_cancelled: bool,
    /// Whether the line was withdrawn before its license was bought.
    pub(crate) is_withdrawn: bool,
    /// Whether the line is the second vendor's.
    pub(crate) is_second: bool,
    /// Whether a platform ordered it, which mails and bills itself.
    pub(crate) is_platforms: bool,
    /// The customer, who orders one license.
    pub(crate) customer: String,
    /// The product.
    pub(crate) product: String,
}

/// What a vendor's ledger has of a purchase.
#[derive(Clone, Debug)]
pub(crate) struct Issued {
    pub(crate) license: License,
    /// Whether the license was returned.
    pub(crate) is_returned: bool,
}

/// The figures of a comparison. All but `licenses_issued`, `licenses_returned` and `lines_withdrawn` are errors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Figures {
    /// Entries of the ledger. Each entry that is no error is the license of one order line.
    pub(crate) licenses_issued: usize,
    /// Assets whose license was returned, and that are cancelled and credited once.
    pub(crate) licenses_returned: usize,
    /// Order lines that are withdrawn, and for which the ledger has no license.
    pub(crate) lines_withdrawn: usize,
    /// Assets that are cancelled though their license was not returned, or the other way round.
    pub(crate) half_returned: usize,
    /// Cancelled assets without a credit or with several, and credits of other assets.
    pub(crate) wrongly_credited: usize,
    /// Order lines that are settled as bought with a license that the ledger does not have, and order lines that ended
    /// without a license although the ledger has one of their client transaction id.
    pub(crate) lost: usize,
    /// Entries of the ledger beyond one per client transaction id.
    pub(crate) duplicated: usize,
    /// Ledger entries, other than `duplicated`, of no order line's license: no line has their client transaction id, or
    /// the line has another license.
    pub(crate) unaccounted: usize,
    /// Charges beyond one per asset.
    pub(crate) charged_twice: usize,
    /// E-mails beyond one per asset.
    pub(crate) mailed_twice: usize,
    /// Order lines that ended without a license and were not withdrawn, the ledger having none either. All that the test
    /// orders can be bought.
    pub(crate) not_bought: usize,
    /// Assets with a license and without a charge.
    pub(crate) not_charged: usize,
    /// Assets with a license and without an e-mail.
    pub(crate) not_mailed: usize,
    /// Assets with a charge and without a license.
    pub(crate) charged_without_license: usize,
    /// Assets with an e-mail and without a license.
    pub(crate) mailed_without_license: usize,
    /// Assets with a license of which the receiver of webhooks has heard nothing.
    pub(crate) not_told: usize,
    /// Events that the receiver got under several ids, ids that stood for several things, and events about no license.
    pub(crate) wrongly_told: usize,
    /// Order lines beyond one per customer, each of whom orders one license.
    pub(crate) ordered_twice: usize,
    /// Clients of the server that never heard what came of their order.
    pub(crate) not_answered: usize,
    /// Clients that heard several things of one order, or something else than the record says, and licenses that several clients got.
    pub(crate) wrongly_answered: usize,
}

impl Figures {
    /// Compares the order lines with the ledger, and both with what customers were told.
    pub(crate) fn compare(lines: &[Line], ledger: &[Issued], told: &Told) -> Self {
        let Told {
            charged,
            mailed,
            credited,
            events,
            answers,
        } = told;
        let mut figures = Self {
            licenses_issued: ledger.len(),
            ..Self::default()
        };
        let returned = ledger.iter().filter(|issued| issued.is_returned);
        let returned: HashSet<&str> = returned
            .map(|issued| issued.license.client_transaction_id.as_str())
            .collect();
        let mut purchases: HashMap<&str, Vec<&License>> = HashMap::new();
        for Issued { license, .. } in ledger {
            let purchase = purchases.entry(license.client_transaction_id.as_str());
            purchase.or_default().push(license);
        }
        for line in lines {
            let issued = purchases.remove(line.client_transaction_id.as_str());
            figures.add_line(line, &issued.unwrap_or_default());
            let is_returned = returned.contains(line.client_transaction_id.as_str());
            figures.half_returned += usize::from(is_returned != line.is_cancelled);
        }
        let cancelled: HashSet<Uuid> = lines
            .iter()
            .filter(|line| line.is_cancelled && !line.is_platforms)
            .map(|line| line.asset_id)
            .collect();
        let once = Once::of(&cancelled, credited);
        figures.licenses_returned = lines.iter().filter(|line| line.is_cancelled).count();
        figures.wrongly_credited = once.twice + once.missing + once.for_nothing;
        for issued in purchases.values() {
            figures.unaccounted += 1;
            figures.duplicated += issued.len().saturating_sub(1);
        }
        let licensed: HashSet<Uuid> = lines
            .iter()
            .filter(|line| line.license.is_some())
            .map(|line| line.asset_id)
            .collect();
        let of_platforms = lines.iter().filter(|line| line.is_platforms);
        let of_platforms: HashSet<Uuid> = of_platforms.map(|line| line.asset_id).collect();
        let ours: HashSet<Uuid> = licensed.difference(&of_platforms).copied().collect();
        let once = Once::of(&ours, charged);
        (figures.charged_twice, figures.not_charged) = (once.twice, once.missing);
        figures.charged_without_license = once.for_nothing;
        let once = Once::of(&ours, mailed);
        (figures.mailed_twice, figures.not_mailed) = (once.twice, once.missing);
        figures.mailed_without_license = once.for_nothing;
        if let Some(events) = events {
            let once = Once::of(&licensed, &events.licensed);
            figures.not_told = once.missing;
            figures.wrongly_told = once.twice + once.for_nothing + events.ambiguous;
        }
        let customers: HashSet<&str> = lines.iter().map(|line| line.customer.as_str()).collect();
        figures.ordered_twice = lines.len() - customers.len();
        figures.not_answered = answers.unheard;
        figures.wrongly_answered = wrongly_answered(lines, answers);
        figures
    }

    fn add_line(&mut self, line: &Line, issued: &[&License]) {
        self.duplicated += issued.len().saturating_sub(1);
        match &line.license {
            Some(license) if issued.contains(&license) => {}
            Some(_) => {
                self.lost += 1;
                self.unaccounted += usize::from(!issued.is_empty());
            }
            None if issued.is_empty() && line.is_withdrawn => self.lines_withdrawn += 1,
            None if issued.is_empty() => self.not_bought += 1,
            None => self.lost += 1,
        }
    }

    /// The figures that must be zero, by name.
    pub(crate) fn errors(&self) -> [(&'static str, usize); 17] {
        // The struct is taken apart, so that no new figure is forgotten.
        let Self {
            licenses_issued: _,
            licenses_returned: _,
            lines_withdrawn: _,
            half_returned,
            wrongly_credited,
            lost,
            duplicated,
            unaccounted,
            charged_twice,
            mailed_twice,
            not_bought,
            not_charged,
            not_mailed,
            charged_without_license,
            mailed_without_license,
            not_told,
            wrongly_told,
            ordered_twice,
            not_answered,
            wrongly_answered,
        } = *self;
        [
            ("lost", lost),
            ("duplicated", duplicated),
            ("unaccounted", unaccounted),
            ("charged twice", charged_twice),
            ("mailed twice", mailed_twice),
            ("not bought", not_bought),
            ("not charged", not_charged),
            ("not mailed", not_mailed),
            ("charged without license", charged_without_license),
            ("mailed without license", mailed_without_license),
            ("half returned", half_returned),
            ("wrongly credited", wrongly_credited),
            ("not told", not_told),
            ("wrongly told", wrongly_told),
            ("ordered twice", ordered_twice),
            ("not answered", not_answered),
            ("wrongly answered", wrongly_answered),
        ]
    }

    /// Whether all errors are zero: every license is on record once, and no other.
    pub(crate) fn is_right(&self) -> bool {
        self.errors().iter().all(|(_, count)| *count == 0)
    }
}

/// The clients that heard several things of one order, or something else than the record says at the end.
fn wrongly_answered(lines: &[Line], answers: &Answers) -> usize {
    let lines: HashMap<Uuid, &Line> = lines.iter().map(|line| (line.asset_id, line)).collect();
    let mut told = HashSet::new();
    let is_wrong = |heard: &&Heard| {
        let is_first = told.insert(heard.asset_id);
        let is_right = lines.get(&heard.asset_id).is_some_and(|line| {
            let key = line.license.as_ref().map(|license| &license.product_key);
            key == heard.product_key.as_ref()
                && line.is_withdrawn == heard.product_key.is_none()
                // The host itself has licenses returned that came over the API, and none of a platform.
                && (line.is_cancelled == heard.is_returned || (line.is_cancelled && !line.is_platforms))
                && (&line.customer, &line.product) == (&heard.customer, &heard.product)
        });
        !is_first || !is_right
    };
    answers.ambiguous + answers.heard.iter().filter(is_wrong).count()
}

/// The assets of what customers were told, an asset for each.
#[derive(Clone, Debug, Default)]
pub(crate) struct Told {
    /// The charges.
    pub(crate) charged: Vec<Uuid>,
    /// The e-mails.
    pub(crate) mailed: Vec<Uuid>,
    /// The credits.
    pub(crate) credited: Vec<Uuid>,
    /// What the receiver of webhooks heard. `None`: where a record forgets, it may hear of a license twice.
    pub(crate) events: Option<receiver::Told>,
    /// What clients of the server heard.
    pub(crate) answers: Answers,
}

/// How far there is one of something for each licensed asset, such as a charge.
struct Once {
    twice: usize,
    missing: usize,
    for_nothing: usize,
}

impl Once {
    fn of(licensed: &HashSet<Uuid>, had: &[Uuid]) -> Self {
        let distinct: HashSet<Uuid> = had.iter().copied().collect();
        Self {
            twice: had.len() - distinct.len(),
            missing: licensed.difference(&distinct).count(),
            for_nothing: distinct.difference(licensed).count(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn license(purchase: u128, name: &str) -> License {
        License {
            client_transaction_id: Uuid::from_u128(purchase).to_string(),
            transaction_id: format!("transaction of {name}"),
            license_token_id: name.to_owned(),
            product_key: Secret::new(format!("key of {name}")),
        }
    }

    fn line(purchase: u128, license: Option<License>) -> Line {
        Line {
            asset_id: Uuid::from_u128(purchase),
            client_transaction_id: Uuid::from_u128(purchase).to_string(),
            license,
            is_cancelled: false,
            is_withdrawn: false,
            is_second: false,
            is_platforms: false,
            customer: format!("C-{purchase}"),
            product: "office".to_owned(),
        }
    }

    fn issued(licenses: &[License]) -> Vec<Issued> {
        let issued = licenses.iter().map(|license| Issued {
            license: license.clone(),
            is_returned: false,
        });
        issued.collect()
    }

    fn told(charged: &[Uuid], mailed: &[Uuid]) -> Told {
        Told {
            charged: charged.to_vec(),
            mailed: mailed.to_vec(),
            credited: Vec::new(),
            events: None,
            answers: Answers::default(),
        }
    }

    #[test]
    fn a_license_that_was_returned_is_that_of_a_cancelled_asset_which_is_credited_once() {
        let of = |is_returned, is_cancelled, credits| {
            let line = Line {
                is_cancelled,
                ..line(1, Some(license(1, "a")))
            };
            let issued = Issued {
                license: license(1, "a"),
                is_returned,
            };
            let asset = line.asset_id;
            let told = Told {
                credited: vec![asset; credits],
                ..told(&[asset], &[asset])
            };
            let figures = Figures::compare(&[line], &[issued], &told);
            (figures.half_returned, figures.wrongly_credited)
        };
        assert_eq!(of(false, false, 0), (0, 0));
        assert_eq!(of(true, true, 1), (0, 0));
        assert_eq!(of(true, false, 0), (1, 0));
        assert_eq!(of(false, true, 1), (1, 0));
        assert_eq!(of(true, true, 0), (0, 1));
        assert_eq!(of(true, true, 2), (0, 1));
        assert_eq!(of(false, false, 1), (0, 1));
    }

    /// Compares lines with a ledger, where each line with a license was charged and mailed once.
    fn compared(lines: &[Line], ledger: &[License]) -> Figures {
        let had = |line: &Line| line.license.as_ref().map(|_| line.asset_id);
        let once: Vec<Uuid> = lines.iter().filter_map(had).collect();
        Figures::compare(lines, &issued(ledger), &told(&once, &once))
    }

    #[test]
    fn one_license_for_each_line_is_right() {
        let lines = [line(1, Some(license(1, "a"))), line(2, Some(license(2, "b")))];
        let figures = compared(&lines, &[license(2, "b"), license(1, "a")]);
        let expected = Figures {
            licenses_issued: 2,
            ..Figures::default()
        };
        assert_eq!(figures, expected);
        assert!(figures.is_right());
    }

    #[test]
    fn a_second_license_of_a_line_is_duplicated_whichever_of_the_two_is_on_record() {
        for kept in ["a", "b"] {
            let lines = [line(1, Some(license(1, kept)))];
            let figures = compared(&lines, &[license(1, "a"), license(1, "b")]);
            assert_eq!((figures.duplicated, figures.lost, figures.unaccounted), (1, 0, 0));
            assert!(!figures.is_right());
        }
    }

    #[test]
    fn a_license_on_record_that_was_never_issued_is_lost() {
        let figures = compared(&[line(1, Some(license(1, "a")))], &[]);
        assert_eq!((figures.lost, figures.unaccounted), (1, 0));
        assert!(!figures.is_right());
    }

    #[test]
    fn a_license_that_differs_from_the_issued_one_in_anything_is_lost_and_the_issued_one_unaccounted() {
        let mut wrong_key = license(1, "a");
        wrong_key.product_key = Secret::new("another key");
        for held in [wrong_key, license(1, "b")] {
            let figures = compared(&[line(1, Some(held))], &[license(1, "a")]);
            assert_eq!((figures.lost, figures.unaccounted, figures.duplicated), (1, 1, 0));
        }
    }

    #[test]
    fn a_line_without_the_license_that_was_issued_for_it_is_lost() {
        let figures = compared(&[line(1, None)], &[license(1, "a")]);
        assert_eq!((figures.lost, figures.not_bought), (1, 0));
        assert!(!figures.is_right());
    }

    #[test]
    fn a_receiver_hears_of_each_license_under_one_id() {
        let lines = [line(1, Some(license(1, "a"))), line(2, None)];
        let [asset, other] = [lines[0].asset_id, lines[1].asset_id];
        let of = |licensed: &[Uuid], ambiguous| {
            let told = Told {
                events: Some(receiver::Told {
                    licensed: licensed.to_vec(),
                    ambiguous,
                    repeated: 3,
                }),
                ..told(&[asset], &[asset])
            };
            let figures = Figures::compare(&lines, &issued(&[license(1, "a")]), &told);
            (figures.not_told, figures.wrongly_told)
        };
        assert_eq!(of(&[asset], 0), (0, 0));
        assert_eq!(of(&[], 0), (1, 0));
        assert_eq!(of(&[asset, asset], 0), (0, 1));
        assert_eq!(of(&[asset, other], 0), (0, 1));
        assert_eq!(of(&[asset], 1), (0, 1));
    }

    #[test]
    fn a_client_heard_once_what_is_on_record() {
        let withdrawn = Line {
            is_withdrawn: true,
            ..line(2, None)
        };
        let lines = [line(1, Some(license(1, "a"))), withdrawn];
        let [asset, other] = [lines[0].asset_id, lines[1].asset_id];
        let heard = |asset_id, key: Option<&str>| Heard {
            customer: if asset_id == other { "C-2" } else { "C-1" }.to_owned(),
            product: "office".to_owned(),
            asset_id,
            product_key: key.map(Secret::new),
            is_returned: false,
        };
        let of = |answers: Answers| {
            let told = Told {
                answers,
                ..told(&[asset], &[asset])
            };
            let figures = Figures::compare(&lines, &issued(&[license(1, "a")]), &told);
            (figures.not_answered, figures.wrongly_answered)
        };
        let told_of = |heard: &[Heard]| {
            of(Answers {
                heard: heard.to_vec(),
                ..Answers::default()
            })
        };
        let right = heard(asset, Some("key of a"));
        assert_eq!(told_of(&[right.clone(), heard(other, None)]), (0, 0));
        for wrong in [
            heard(asset, Some("key of b")),
            heard(asset, None),
            heard(other, Some("key of a")),
            heard(Uuid::from_u128(9), Some("key of a")),
            Heard {
                is_returned: true,
                ..right.clone()
            },
            Heard {
                customer: "C-2".to_owned(),
                ..right.clone()
            },
            Heard {
                product: "visio".to_owned(),
                ..right.clone()
            },
        ] {
            assert_eq!(told_of(std::slice::from_ref(&wrong)), (0, 1), "{wrong:?}");
        }
        assert_eq!(told_of(&[right.clone(), right]), (0, 1));
        let [unheard, ambiguous] = [(1, 0), (0, 1)].map(|(unheard, ambiguous)| Answers {
            unheard,
            ambiguous,
            ..Answers::default()
        });
        assert_eq!((of(unheard), of(ambiguous)), ((1, 0), (0, 1)));
    }

    #[test]
    fn a_second_line_of_a_customer_is_ordered_twice_although_all_agree_about_it() {
        let second = Line {
            customer: "C-1".to_owned(),
            ..line(2, Some(license(2, "b")))
        };
        let lines = [line(1, Some(license(1, "a"))), second];
        let figures = compared(&lines, &[license(1, "a"), license(2, "b")]);
        assert_eq!((figures.ordered_twice, figures.is_right()), (1, false));
    }

    #[test]
    fn a_license_of_a_platform_that_nobody_returned_is_not_cancelled() {
        let of = |is_platforms| {
            let line = Line {
                is_platforms,
                is_cancelled: true,
                ..line(1, Some(license(1, "a")))
            };
            let heard = Heard {
                customer: line.customer.clone(),
                product: line.product.clone(),
                asset_id: line.asset_id,
                product_key: Some(Secret::new("key of a")),
                is_returned: false,
            };
            let answers = Answers {
                heard: vec![heard],
                ..Answers::default()
            };
            wrongly_answered(&[line], &answers)
        };
        assert_eq!((of(true), of(false)), (1, 0));
    }

    #[test]
    fn what_a_platform_ordered_is_neither_charged_nor_mailed_nor_credited() {
        let line = Line {
            is_platforms: true,
            is_cancelled: true,
            ..line(1, Some(license(1, "a")))
        };
        let (asset, ledger) = (line.asset_id, issued(&[license(1, "a")]));
        let returned = [Issued {
            is_returned: true,
            ..ledger[0].clone()
        }];
        let lines = [line];
        let right = Figures::compare(&lines, &returned, &told(&[], &[]));
        assert!(right.is_right(), "{right:?}");
        assert_eq!(right.licenses_returned, 1);
        let credited = Told {
            credited: vec![asset],
            ..told(&[asset], &[asset])
        };
        let wrong = Figures::compare(&lines, &returned, &credited);
        assert_eq!(
            (
                wrong.charged_without_license,
                wrong.mailed_without_license,
                wrong.wrongly_credited
            ),
            (1, 1, 1)
        );
    }

    #[test]
    fn a_line_that_was_withdrawn_has_no_license_at_all() {
        let withdrawn = |license| Line {
            is_withdrawn: true,
            ..line(1, license)
        };
        let figures = compared(&[withdrawn(None)], &[]);
        assert_eq!((figures.lines_withdrawn, figures.is_right()), (1, true));
        let figures = compared(&[withdrawn(None)], &[license(1, "a")]);
        assert_eq!((figures.lines_withdrawn, figures.lost), (0, 1));
    }

    #[test]
    fn a_line_that_nobody_bought_is_not_bought() {
        let figures = compared(&[line(1, None)], &[]);
        assert_eq!((figures.lost, figures.not_bought), (0, 1));
        assert!(!figures.is_right());
    }

    #[test]
    fn a_license_that_nobody_ordered_is_unaccounted_and_a_second_one_duplicated() {
        let figures = compared(&[], &[license(9, "a"), license(9, "b")]);
        assert_eq!((figures.unaccounted, figures.duplicated), (1, 1));
        assert!(!figures.is_right());
    }

    #[test]
    fn charges_and_mails_are_one_for_each_license() {
        let lines = [line(1, Some(license(1, "a"))), line(2, None)];
        let ledger = [license(1, "a")];
        let [licensed, other] = [Uuid::from_u128(1), Uuid::from_u128(2)];
        let charged = Figures::compare(&lines, &issued(&ledger), &told(&[licensed, licensed, other], &[]));
        assert_eq!((charged.charged_twice, charged.not_charged), (1, 0));
        assert_eq!((charged.charged_without_license, charged.not_mailed), (1, 1));
        let mailed = Figures::compare(&lines, &issued(&ledger), &told(&[], &[other, licensed, licensed]));
        assert_eq!((mailed.mailed_twice, mailed.not_mailed), (1, 0));
        assert_eq!((mailed.mailed_without_license, mailed.not_charged), (1, 1));
    }

    #[test]
    fn every_error_alone_makes_the_whole_wrong() {
        let figures = [
            Figures {
                lost: 1,
                ..Figures::default()
            },
            Figures {
                duplicated: 1,
                ..Figures::default()
            },
            Figures {
                unaccounted: 1,
                ..Figures::default()
            },
            Figures {
                charged_twice: 1,
                ..Figures::default()
            },
            Figures {
                mailed_twice: 1,
                ..Figures::default()
            },
            Figures {
                not_bought: 1,
                ..Figures::default()
            },
            Figures {
                not_charged: 1,
                ..Figures::default()
            },
            Figures {
                not_mailed: 1,
                ..Figures::default()
            },
            Figures {
                charged_without_license: 1,
                ..Figures::default()
            },
            Figures {
                mailed_without_license: 1,
                ..Figures::default()
            },
            Figures {
                half_returned: 1,
                ..Figures::default()
            },
            Figures {
                wrongly_credited: 1,
                ..Figures::default()
            },
            Figures {
                not_told: 1,
                ..Figures::default()
            },
            Figures {
                wrongly_told: 1,
                ..Figures::default()
            },
            Figures {
                ordered_twice: 1,
                ..Figures::default()
            },
            Figures {
                not_answered: 1,
                ..Figures::default()
            },
            Figures {
                wrongly_answered: 1,
                ..Figures::default()
            },
        ];
        assert!(figures.iter().all(|figures| !figures.is_right()));
        let named: HashSet<&str> = figures
            .iter()
            .flat_map(Figures::errors)
            .filter(|(_, count)| *count > 0)
            .map(|(name, _)| name)
            .collect();
        assert_eq!(named.len(), figures.len());
    }
}
