//! Charts, as SVG that a page has in it: what they show stands in a table beside them, too.

use std::fmt::Write as _;

use bss_model::PurchaseDay;
use bss_model::clock::rfc3339;
use minijinja::Value;

/// The size of a chart, in its own units.
const WIDTH: u32 = 480;
const HEIGHT: u32 = 150;
/// The room for the scale on the left, and for the days below.
const LEFT: u32 = 62;
const BELOW: u32 = 18;
const ABOVE: u32 = 8;

/// The height that is drawn in.
const DRAWN: u32 = HEIGHT - BELOW - ABOVE;

/// Bars of what became of the attempts of each day: licensed at the bottom, then what is not settled, then refused.
pub(crate) fn outcomes(days: &[PurchaseDay], name: &str) -> Value {
    let most = days
        .iter()
        .map(|day| day.licensed + day.refused + day.unsettled)
        .max()
        .unwrap_or_default();
    let top = round_up(most);
    let mut svg = begun(name, top, |count| count.to_string(), days);
    for (index, day) in days.iter().enumerate() {
        let (left, width) = place(index, days.len());
        let mut below = 0;
        for (count, class) in [
            (day.licensed, "good"),
            (day.unsettled, "wait"),
            (day.refused, "bad"),
        ] {
            let from = height(below, top);
            below += count;
            let to = height(below, top);
            if to > from {
                let y = ABOVE + DRAWN - to;
                // Writing to a string can't fail.
                let _ = write!(
                    svg,
                    "<rect class=\"{class}\" x=\"{left}\" y=\"{y}\" width=\"{width}\" height=\"{}\"/>",
                    to - from
                );
            }
        }
    }
    ended(svg)
}

/// Bars of how long vendors took on each day: the median, and above it the time that 19 of 20 took at most.
pub(crate) fn latency(days: &[PurchaseDay], name: &str) -> Value {
    let ms = |time: Option<i64>| time.unwrap_or_default().unsigned_abs();
    let most = days
        .iter()
        .map(|day| ms(day.slow_ms).max(ms(day.median_ms)))
        .max()
        .unwrap_or_default();
    let top = round_up(most);
    let mut svg = begun(name, top, duration, days);
    for (index, day) in days.iter().enumerate() {
        let (left, width) = place(index, days.len());
        for (time, class) in [(day.slow_ms, "slow"), (day.median_ms, "bar")] {
            let height = height(ms(time), top);
            let y = ABOVE + DRAWN - height;
            if height > 0 {
                // Writing to a string can't fail.
                let _ = write!(
                    svg,
                    "<rect class=\"{class}\" x=\"{left}\" y=\"{y}\" width=\"{width}\" height=\"{height}\"/>"
                );
            }
        }
    }
    ended(svg)
}

/// A chart with its scale and its first and last day.
fn begun(name: &str, top: u64, written: fn(u64) -> String, days: &[PurchaseDay]) -> String {
    let mut svg = format!(
        "<svg role=\"img\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" aria-label=\"{}\">",
        escaped(name)
    );
    for (value, y) in [(top, ABOVE), (top / 2, ABOVE + DRAWN / 2), (0, ABOVE + DRAWN)] {
        // Writing to a string can't fail.
        let _ = write!(
            svg,
            "<line class=\"axis\" x1=\"{LEFT}\" x2=\"{WIDTH}\" y1=\"{y}\" y2=\"{y}\"/><text class=\"faint\" text-anchor=\"end\" \
             x=\"{}\" y=\"{}\">{}</text>",
            LEFT - 5,
            y + 4,
            written(value)
        );
    }
    if let [first, .., last] = days {
        for (day, x, anchor) in [(first, LEFT, "start"), (last, WIDTH, "end")] {
            let date: String = rfc3339(day.at_ms).chars().take(10).collect();
            let _ = write!(
                svg,
                "<text class=\"faint\" data-day=\"{date}\" text-anchor=\"{anchor}\" x=\"{x}\" y=\"{}\">{date}</text>",
                HEIGHT - 4
            );
        }
    }
    svg
}

/// A time on a scale, in a unit that keeps it short.
fn duration(ms: u64) -> String {
    match ms {
        0 => "0".to_owned(),
        ms if ms.is_multiple_of(1000) => format!("{} s", ms / 1000),
        ms => format!("{ms} ms"),
    }
}

fn ended(mut svg: String) -> Value {
    svg.push_str("</svg>");
    Value::from_safe_string(svg)
}

/// Where a bar stands, and how wide it is.
fn place(index: usize, bars: usize) -> (u32, u32) {
    let (index, bars) = (
        u32::try_from(index).unwrap_or(0),
        u32::try_from(bars).unwrap_or(1).max(1),
    );
    let each = (WIDTH - LEFT) / bars;
    (LEFT + index * each + 1, each.saturating_sub(2).max(1))
}

/// How high a value is drawn. What is more than nothing is seen.
fn height(value: u64, top: u64) -> u32 {
    let drawn = value.saturating_mul(u64::from(DRAWN)) / top.max(1);
    let drawn = u32::try_from(drawn).unwrap_or(DRAWN).min(DRAWN);
    drawn.max(u32::from(value > 0))
}

/// The next number that is easy to read on a scale: 2, 4, 10, 20, 40, 100, …
fn round_up(value: u64) -> u64 {
    let mut power = 1_u64;
    loop {
        for step in [2, 4, 10] {
            let top = power.saturating_mul(step);
            if top >= value || top == u64::MAX {
                return top;
            }
        }
        power = power.saturating_mul(10);
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn days() -> Vec<PurchaseDay> {
        let day = |number: i64, licensed, refused, unsettled| PurchaseDay {
            at_ms: number * 86_400_000,
            licensed,
            refused,
            unsettled,
            median_ms: Some(120),
            slow_ms: Some(340),
        };
        vec![day(0, 90, 1, 0), day(1, 0, 0, 0), day(2, 10, 10, 10)]
    }

    #[test]
    fn what_happened_once_is_seen_and_what_did_not_is_not_drawn() {
        let chart = outcomes(&days(), "a \"name\"").to_string();
        assert_eq!(chart.matches("class=\"good\"").count(), 2);
        assert_eq!(chart.matches("class=\"bad\"").count(), 2);
        assert_eq!(chart.matches("class=\"wait\"").count(), 1);
        assert!(
            chart.contains(">100<") && chart.contains(">1970-01-03<") && chart.contains("a &quot;name&quot;")
        );
        assert!(!chart.contains("height=\"0\""), "{chart}");
        let empty = outcomes(&[PurchaseDay::empty(0)], "").to_string();
        assert!(!empty.contains("<rect"));
    }

    #[test]
    fn a_scale_ends_at_a_number_that_is_easy_to_read() {
        for (value, top) in [
            (0, 2),
            (2, 2),
            (3, 4),
            (5, 10),
            (91, 100),
            (101, 200),
            (u64::MAX, u64::MAX),
        ] {
            assert_eq!(round_up(value), top, "{value}");
        }
    }

    #[test]
    fn slow_days_are_higher_than_quick_ones() {
        let chart = latency(&days(), "").to_string();
        assert!(chart.contains(">400 ms<"), "{chart}");
        assert!(chart.contains(">200 ms<") && chart.contains(">0<"), "{chart}");
        assert_eq!(chart.matches("class=\"bar\"").count(), 3);
        assert_eq!(chart.matches("class=\"slow\"").count(), 3);
    }

    #[test]
    fn a_long_time_on_a_scale_is_in_seconds() {
        assert_eq!(
            [0, 500, 1000, 2000, 40_000].map(duration),
            ["0", "500 ms", "1 s", "2 s", "40 s"]
        );
    }
}
