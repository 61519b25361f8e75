//! The currencies of ISO 4217, and the decimals of each.

/// The codes of list one of ISO 4217 that money can be counted in, by the number of decimals of their smallest unit: as
/// published on 2026-01-01 by the standard's maintenance agency
/// (<https://www.six-group.com/en/products-services/financial-information/data-standards.html>). Metals, units of account and
/// codes for tests have no decimals there, and are no currencies here.
const CURRENCIES: [(usize, &str); 4] = [
    (
        0,
        "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    ),
    (
        2,
        "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE \
         CHF CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD \
         HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK \
         MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD \
         RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH \
         USD USN UYU UZS VED VES WST XAD XCD XCG YER ZAR ZMW ZWG",
    ),
    (3, "BHD IQD JOD KWD LYD OMR TND"),
    (4, "CLF UYW"),
];

/// Whether a text is the code of a currency that is in use (ISO 4217).
///
/// ```
/// use bss_model::is_currency;
///
/// assert!(is_currency("EUR"));
/// assert!(!is_currency("XXZ") && !is_currency("eur"));
/// ```
pub fn is_currency(text: &str) -> bool {
    listed_decimals(text).is_some()
}

/// The number of decimals of a currency's smallest unit: two where the code is not in use, as of a price that was set before.
pub(crate) fn decimals(currency: &str) -> usize {
    listed_decimals(currency).unwrap_or(2)
}

fn listed_decimals(code: &str) -> Option<usize> {
    let mut lists = CURRENCIES.iter();
    let has = |codes: &str| codes.split_ascii_whitespace().any(|listed| listed == code);
    lists.find(|(_, codes)| has(codes)).map(|(decimals, _)| *decimals)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_is_listed_once_and_those_of_another_form_or_without_decimals_are_none() {
        let mut codes: Vec<&str> = CURRENCIES
            .iter()
            .flat_map(|(_, codes)| codes.split_ascii_whitespace())
            .collect();
        let listed = codes.len();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), listed);
        assert_eq!(listed, 165);
        for (code, digits) in [("JPY", 0), ("EUR", 2), ("KWD", 3), ("CLF", 4)] {
            assert_eq!(listed_decimals(code), Some(digits), "{code}");
        }
        for code in ["", "eur", "EURO", "XXZ", "XAU", "XXX", "BGN", "EUR USD", " "] {
            assert!(!is_currency(code), "`{code}`");
        }
    }
}
