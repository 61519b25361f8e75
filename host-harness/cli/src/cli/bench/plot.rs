//! The figures of a run as a picture: every goal a bar, as long as the figure is good.
//!
//! Goals are of many kinds, so each bar is the share of its goal that was reached: where a figure should be at least
//! so much, the figure in parts of the goal, and where it should be at most so much, the goal in parts of the figure.
//! A bar that reaches the line has met its goal.

use plotters::backend::SVGBackend;
use plotters::coord::Shift;
use plotters::prelude::{
    Color, DrawingArea, IntoDrawingArea, IntoFont, PathElement, RGBColor, Rectangle, Text, TextStyle,
};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use serde_json::Value;

/// The picture's width, and what of it is beside the bars, in pixels.
const WIDTH: i32 = 960;
const MARGIN: i32 = 16;
const LABELS: i32 = 430;
const FIGURES: i32 = 210;
const ROW: i32 = 26;
const BAR: i32 = 14;
const HEAD: i32 = 64;
const FOOT: i32 = 16;

/// Bars that are longer end here, with a gap that says so.
const LONGEST: f64 = 2.0;

/// A color in a light and in a dark page; a browser chooses by what its user prefers.
struct Ink {
    light: RGBColor,
    dark: &'static str,
}

const TEXT: Ink = Ink {
    light: RGBColor(31, 35, 40),
    dark: "#E6EDF3",
};
const FAINT: Ink = Ink {
    light: RGBColor(89, 99, 110),
    dark: "#9198A1",
};
const MET: Ink = Ink {
    light: RGBColor(26, 127, 55),
    dark: "#3FB950",
};
const MISSED: Ink = Ink {
    light: RGBColor(188, 76, 0),
    dark: "#DB6D28",
};

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// A goal, as a run's JSON has it.
struct Bar {
    text: String,
    figure: String,
    /// Share of the goal that was reached; 1 meets it with nothing to spare.
    share: f64,
    is_met: bool,
}

/// The picture of what `bss-host bench --json` prints, as SVG. Goals that were not measured are left out.
///
/// # Errors
/// When it can't be drawn, in words.
pub(super) fn svg(figures: &Value) -> Result<String, String> {
    let bars = bars(figures);
    let height = HEAD + ROW * i32::try_from(bars.len()).unwrap_or_default() + FOOT;
    let mut drawn = String::new();
    {
        let size = (WIDTH.unsigned_abs(), height.unsigned_abs());
        let area = SVGBackend::with_string(&mut drawn, size).into_drawing_area();
        draw(&area, &bars, &subtitle(figures), height).map_err(|error| error.to_string())?;
        area.present().map_err(|error| error.to_string())?;
    }
    Ok(in_both_lights(&drawn))
}

fn bars(figures: &Value) -> Vec<Bar> {
    ["calls", "orders", "services"]
        .into_iter()
        .filter_map(|bench| figures[bench]["goals"].as_array())
        .flatten()
        .filter_map(bar)
        .collect()
}

fn bar(goal: &Value) -> Option<Bar> {
    let value = goal["value"].as_f64()?;
    let text = goal["goal"].as_str().or_else(|| goal["id"].as_str())?.to_owned();
    let (share, bound) = match (goal["min"].as_f64(), goal["max"].as_f64()) {
        (Some(min), _) => (value / min, format!("≥ {}", number(min))),
        // A figure of nothing, where nothing is allowed, meets its goal as well as can be.
        (_, Some(max)) => (
            if value <= 0.0 { LONGEST } else { max / value },
            format!("≤ {}", number(max)),
        ),
        _ => return None,
    };
    Some(Bar {
        text,
        figure: format!("{} ({bound})", number(value)),
        share,
        is_met: goal["met"].as_bool()?,
    })
}

/// Formats a number with as many digits as say something.
fn number(value: f64) -> String {
    const MIB: f64 = 1024.0 * 1024.0;
    match value {
        _ if value >= MIB => format!("{:.1} Mi", value / MIB),
        _ if value.fract() == 0.0 || value >= 100.0 => format!("{value:.0}"),
        _ if value >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

fn subtitle(figures: &Value) -> String {
    let machine = &figures["machine"];
    let mut words = vec![format!(
        "{} build",
        figures["build"].as_str().unwrap_or("unknown")
    )];
    if let Some(processors) = machine["processors"].as_u64() {
        words.push(format!("{processors} processors"));
    }
    if let (Some(before), Some(after)) = (machine["loadBefore"].as_f64(), machine["loadAfter"].as_f64()) {
        words.push(format!("load {before:.1} before and {after:.1} after"));
    }
    words.push("a bar that reaches the line has met its goal".to_owned());
    words.join(" · ")
}

type DrawError<'a> =
    plotters::drawing::DrawingAreaErrorKind<<SVGBackend<'a> as plotters::prelude::DrawingBackend>::ErrorType>;

fn draw<'a>(area: &Area<'a>, bars: &[Bar], subtitle: &str, height: i32) -> Result<(), DrawError<'a>> {
    let left = MARGIN + LABELS;
    let scale = f64::from(WIDTH - MARGIN - FIGURES - left) / LONGEST;
    let at = |share: f64| left + (share * scale) as i32;
    area.draw(&Text::new(
        "Figures and goals",
        (MARGIN, 24),
        style(&TEXT, 22, HPos::Left),
    ))?;
    area.draw(&Text::new(subtitle, (MARGIN, 46), style(&FAINT, 15, HPos::Left)))?;
    for (row, bar) in (0_i32..).zip(bars) {
        let middle = HEAD + row * ROW + ROW / 2;
        let (top, bottom) = (middle - BAR / 2, middle + BAR / 2);
        let ink = if bar.is_met { &MET } else { &MISSED };
        area.draw(&Text::new(
            bar.text.as_str(),
            (left - 10, middle),
            style(&TEXT, 15, HPos::Right),
        ))?;
        let end = at(bar.share.min(LONGEST)).max(left + 1);
        area.draw(&Rectangle::new([(left, top), (end, bottom)], ink.light.filled()))?;
        let met = if bar.is_met { "met" } else { "missed" };
        let beyond = if bar.share > LONGEST { "…" } else { "" };
        let figure = format!("{beyond} {}: {met}", bar.figure);
        area.draw(&Text::new(
            figure,
            (at(LONGEST) + 8, middle),
            style(ink, 15, HPos::Left),
        ))?;
    }
    let goal = PathElement::new([(at(1.0), HEAD - 6), (at(1.0), height - FOOT + 4)], TEXT.light);
    area.draw(&goal)
}

fn style(ink: &Ink, size: i32, side: HPos) -> TextStyle<'static> {
    ("sans-serif", size)
        .into_font()
        .color(&ink.light)
        .pos(Pos::new(side, VPos::Center))
}

/// Adds the colors of a dark page to the drawn picture.
fn in_both_lights(drawn: &str) -> String {
    let mut rules = String::new();
    for Ink { light, dark } in [&TEXT, &FAINT, &MET, &MISSED] {
        let hex = format!("#{:02X}{:02X}{:02X}", light.0, light.1, light.2);
        rules.push_str(&format!(
            "[fill=\"{hex}\"]{{fill:{dark}}}[stroke=\"{hex}\"]{{stroke:{dark}}}"
        ));
    }
    let style = format!("<style>@media (prefers-color-scheme:dark){{{rules}}}</style>");
    match drawn.split_once('>') {
        Some((open, rest)) => format!("{open}>\n{style}{rest}"),
        None => drawn.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures() -> Value {
        let text = r#"{
            "build": "release",
            "machine": { "processors": 2, "loadBefore": 0.5, "loadAfter": 1.5 },
            "calls": { "goals": [
                { "id": "a", "goal": "at least & met", "min": 0.6, "value": 0.72, "met": true },
                { "id": "b", "goal": "at most and missed", "max": 5.0, "value": 10.0, "met": false },
                { "id": "c", "goal": "nothing of nothing", "max": 0.0, "value": 0.0, "met": true },
                { "id": "d", "goal": "not measured", "max": 5.0, "value": null, "met": null }
            ] }
        }"#;
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_bar_is_the_share_of_its_goal_and_what_was_not_measured_has_none() {
        let bars = bars(&figures());
        let shares: Vec<_> = bars.iter().map(|bar| (bar.share * 100.0).round()).collect();
        assert_eq!(shares, [120.0, 50.0, 200.0]);
        assert_eq!(bars[1].figure, "10 (≤ 5)");
    }

    #[test]
    fn the_picture_has_text_as_text_and_colors_for_both_lights() {
        let svg = svg(&figures()).unwrap();
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
        for text in [
            "at least &amp; met",
            "10 (≤ 5): missed",
            "2 processors",
            "prefers-color-scheme:dark",
        ] {
            assert!(svg.contains(text), "{text} in {svg}");
        }
        assert!(!svg.contains("not measured"));
        // Every color that is drawn with is changed for a dark page.
        for ink in [&TEXT, &FAINT, &MET, &MISSED] {
            let hex = format!("#{:02X}{:02X}{:02X}", ink.light.0, ink.light.1, ink.light.2);
            assert!(svg.matches(&hex).count() > 2, "{hex}");
        }
    }
}
