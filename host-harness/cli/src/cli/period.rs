//! Spans of time in the days of a time zone, as `--month`, `--since` and `--until` ask for them.

use std::str::FromStr;

use clap::Args;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};
use serde::Serialize;

use super::failure::Failure;

/// The days that a command is about.
#[derive(Debug, Args)]
pub(super) struct PeriodArguments {
    /// Only this month, as in `--month 2026-11`
    #[arg(long, value_name = "YYYY-MM", conflicts_with_all = ["since", "until"])]
    month: Option<Month>,
    /// Only from then on: a day, as in `--since 2026-11-15`, or a time, as in `2026-11-15T08:00` or `2026-11-15T08:00Z`
    #[arg(long, value_name = "TIME")]
    since: Option<Time>,
    /// Only up to and including a day, or before a time
    #[arg(long, value_name = "TIME")]
    until: Option<Time>,
    /// The time zone of days and times that do not say their own, as in `Europe/Athens`
    #[arg(long, value_name = "NAME", default_value = "UTC")]
    time_zone: String,
}

/// A month of a year.
#[derive(Clone, Copy, Debug)]
struct Month(Date);

impl FromStr for Month {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let no_month = || "a month is a year and a number, as in `2026-11`".to_owned();
        let (year, month) = text.split_once('-').ok_or_else(no_month)?;
        if year.len() != 4 || month.len() != 2 {
            return Err(no_month());
        }
        let (year, month) = (year.parse().ok(), month.parse().ok());
        let first = year
            .zip(month)
            .and_then(|(year, month)| Date::new(year, month, 1).ok());
        first.map(Self).ok_or_else(no_month)
    }
}

/// A day, or a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Time {
    Day(Date),
    /// A time of the time zone's clocks.
    Local(DateTime),
    Instant(Timestamp),
}

impl FromStr for Time {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(instant) = text.parse() {
            return Ok(Self::Instant(instant));
        }
        if let Ok(day) = Date::strptime("%Y-%m-%d", text) {
            return Ok(Self::Day(day));
        }
        let local = text.parse().map(Self::Local);
        local.map_err(|_| {
            "give a day, as in 2026-11-29, or a time, as in 2026-11-29T08:00 or 2026-11-29T08:00Z".to_owned()
        })
    }
}

impl Time {
    /// The first millisecond, where a day begins in a time zone.
    fn begin_ms(self, zone: &TimeZone) -> Result<i64, jiff::Error> {
        match self {
            Self::Instant(instant) => Ok(instant.as_millisecond()),
            Self::Local(time) => Ok(time.to_zoned(zone.clone())?.timestamp().as_millisecond()),
            Self::Day(day) => Self::Local(day.at(0, 0, 0, 0)).begin_ms(zone),
        }
    }

    /// The first millisecond after it: of a day, when the next one begins; of a time, the time itself.
    fn end_ms(self, zone: &TimeZone) -> Result<i64, jiff::Error> {
        match self {
            Self::Local(_) | Self::Instant(_) => self.begin_ms(zone),
            Self::Day(day) => Self::Day(day.checked_add(1.day())?).begin_ms(zone),
        }
    }
}

/// An object of a list, with the day of its time.
#[derive(Serialize)]
pub(super) struct OnDay<'a, T> {
    date: String,
    #[serde(flatten)]
    of: &'a T,
}

/// A span of time, with the time zone of its days.
pub(super) struct Period {
    /// Its first millisecond. `None`: it has no beginning.
    pub(super) since_ms: Option<i64>,
    /// The first millisecond after it. `None`: it has no end.
    pub(super) until_ms: Option<i64>,
    zone: TimeZone,
}

impl PeriodArguments {
    /// All days, in a time zone.
    #[cfg(test)]
    pub(super) fn of_all_time(time_zone: &str) -> Self {
        Self {
            month: None,
            since: None,
            until: None,
            time_zone: time_zone.to_owned(),
        }
    }

    pub(super) fn period(&self) -> Result<Period, Failure> {
        let zone = match self.time_zone.as_str() {
            "UTC" => TimeZone::UTC,
            name => TimeZone::get(name).map_err(|_| {
                Failure::usage(format!("`{name}` is no time zone that this machine knows"))
                    .hint("name one of the IANA database, as in `Europe/Athens`; it is read from /usr/share/zoneinfo")
            })?,
        };
        let (since, until) = match self.month {
            Some(Month(first)) => (Some(Time::Day(first)), Some(Time::Day(first.last_of_month()))),
            None => (self.since, self.until),
        };
        let too_far = |_| Failure::usage("the date is too far away");
        let since_ms = since
            .map(|time| time.begin_ms(&zone))
            .transpose()
            .map_err(too_far)?;
        let until_ms = until
            .map(|time| time.end_ms(&zone))
            .transpose()
            .map_err(too_far)?;
        if since_ms
            .zip(until_ms)
            .is_some_and(|(since, until)| until <= since)
        {
            return Err(Failure::usage("`--until` is not after `--since`"));
        }
        Ok(Period {
            since_ms,
            until_ms,
            zone,
        })
    }
}

impl Period {
    /// The day of a time, as in `2026-11-27`.
    pub(super) fn day(&self, at_ms: i64) -> String {
        Timestamp::from_millisecond(at_ms).map_or_else(
            |_| at_ms.to_string(),
            |time| time.to_zoned(self.zone.clone()).date().to_string(),
        )
    }

    /// Each object of a list with the day of its time.
    pub(super) fn on_days<'a, T>(&self, of: &'a [T], at_ms: impl Fn(&T) -> i64) -> Vec<OnDay<'a, T>> {
        let on_day = |of: &'a T| OnDay {
            date: self.day(at_ms(of)),
            of,
        };
        of.iter().map(on_day).collect()
    }

    /// The first millisecond of a time or a day, as a text has it: in a form (strftime(3)), or as `--since` takes it.
    pub(super) fn read_time(&self, text: &str, form: Option<&str>) -> Option<i64> {
        let time = match form {
            None => text.parse().ok()?,
            Some(form) => match DateTime::strptime(form, text) {
                Ok(time) => Time::Local(time),
                Err(_) => Time::Day(Date::strptime(form, text).ok()?),
            },
        };
        time.begin_ms(&self.zone).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(month: Option<&str>, days: [Option<&str>; 2], zone: &str) -> PeriodArguments {
        let [since, until] = days.map(|day| day.map(|day| day.parse().unwrap()));
        PeriodArguments {
            month: month.map(|month| month.parse().unwrap()),
            since,
            until,
            time_zone: zone.to_owned(),
        }
    }

    fn span(arguments: &PeriodArguments) -> [Option<String>; 2] {
        let Ok(period) = arguments.period() else {
            panic!("it is a period");
        };
        [period.since_ms, period.until_ms]
            .map(|ms| ms.map(|ms| Timestamp::from_millisecond(ms).unwrap().to_string()))
    }

    #[test]
    fn a_month_is_all_of_its_days_in_its_time_zone() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(
            span(&arguments(Some("2026-02"), [None, None], "UTC")),
            [some("2026-02-01T00:00:00Z"), some("2026-03-01T00:00:00Z")]
        );
        assert_eq!(
            span(&arguments(None, [Some("2026-12-31"), Some("2026-12-31")], "UTC")),
            [some("2026-12-31T00:00:00Z"), some("2027-01-01T00:00:00Z")]
        );
        assert_eq!(
            span(&arguments(None, [None, Some("2026-01-01")], "UTC")),
            [None, some("2026-01-02T00:00:00Z")]
        );
        let backwards = arguments(None, [Some("2026-12-31"), Some("2026-12-30")], "UTC");
        assert!(backwards.period().is_err());
        assert!(arguments(None, [None, None], "Nowhere/At all").period().is_err());
    }

    #[test]
    fn an_instant_is_itself_whatever_the_time_zone_and_a_time_without_one_is_the_time_zones() {
        let instants = [Some("2026-10-25T01:00+02:00"), Some("2026-10-25T00:00Z")];
        assert_eq!(
            span(&arguments(None, instants, "Asia/Tokyo")).map(Option::unwrap),
            ["2026-10-24T23:00:00Z", "2026-10-25T00:00:00Z"]
        );
        let local = [Some("2026-11-29T08:00"), Some("2026-11-29 09:30")];
        assert_eq!(
            span(&arguments(None, local, "Asia/Tokyo")).map(Option::unwrap),
            ["2026-11-28T23:00:00Z", "2026-11-29T00:30:00Z"]
        );
        for wrong in ["", "yesterday", "2026-13-01", "2026-11-29T25:00", "9999-12-31T"] {
            assert!(wrong.parse::<Time>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_month_with_a_changed_clock_and_the_day_of_a_time_are_the_time_zones() {
        let berlin = arguments(Some("2026-10"), [None, None], "Europe/Berlin");
        assert_eq!(
            span(&berlin).map(Option::unwrap),
            ["2026-09-30T22:00:00Z", "2026-10-31T23:00:00Z"]
        );
        let Ok(period) = berlin.period() else {
            panic!("it is a period");
        };
        assert_eq!(period.day(period.since_ms.unwrap()), "2026-10-01");
        assert_eq!(period.day(period.since_ms.unwrap() - 1), "2026-09-30");
    }

    #[test]
    fn a_time_is_read_in_the_time_zone_unless_it_says_its_own() {
        let Ok(period) = arguments(None, [None, None], "Europe/Athens").period() else {
            panic!("it is a period");
        };
        let read = |text: &str, form: Option<&str>| {
            let time = Timestamp::from_millisecond(period.read_time(text, form)?);
            time.ok().map(|time| time.to_string())
        };
        for (text, form, expected) in [
            ("2026-11-30", None, Some("2026-11-29T22:00:00Z")),
            ("2026-11-30 23:59:59", None, Some("2026-11-30T21:59:59Z")),
            ("2026-11-30T23:59:59Z", None, Some("2026-11-30T23:59:59Z")),
            ("30.11.2026", Some("%d.%m.%Y"), Some("2026-11-29T22:00:00Z")),
            (
                "30.11.2026 01:00",
                Some("%d.%m.%Y %H:%M"),
                Some("2026-11-29T23:00:00Z"),
            ),
            ("30.11.2026", None, None),
            ("11/30/2026", Some("%d/%m/%Y"), None),
        ] {
            assert_eq!(read(text, form).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_month_is_refused() {
        for text in [
            "",
            "2026",
            "2026-13",
            "2026-00",
            "2026-1",
            "26-11",
            "2026-11-01",
            "2026-xx",
        ] {
            assert!(text.parse::<Month>().is_err(), "{text}");
        }
    }
}
