//! Results as CSV (RFC 4180), for spreadsheets and imports.

use super::failure::{Failure, machine_failure};
use super::output;

/// Writes a header and rows to the standard output.
pub(super) fn write<const COLUMNS: usize>(
    header: [&str; COLUMNS],
    rows: impl IntoIterator<Item = [String; COLUMNS]>,
) -> Result<(), Failure> {
    line(&header.map(str::to_owned))?;
    rows.into_iter().try_for_each(|row| line(&row.map(harmless)))
}

fn line(row: &[String]) -> Result<(), Failure> {
    let mut writer = csv::WriterBuilder::new().from_writer(Vec::new());
    writer.write_record(row).map_err(machine_failure)?;
    let bytes = writer.into_inner().map_err(machine_failure)?;
    output::line(String::from_utf8_lossy(&bytes).trim_end_matches('\n'));
    Ok(())
}

/// A cell that no spreadsheet takes for a formula: names come from shops and vendors. A number stays as it is.
fn harmless(cell: String) -> String {
    let is_number = cell
        .bytes()
        .all(|byte| byte.is_ascii_digit() || b"-.".contains(&byte));
    match cell.starts_with(['=', '+', '-', '@', '\t', '\r']) && !is_number {
        true => format!("'{cell}"),
        false => cell,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_no_formula_and_a_number_stays_one() {
        for formula in ["=1+1", "@SUM(A1)", "+49", "-x", "-1+1"] {
            assert_eq!(harmless(formula.to_owned()), format!("'{formula}"));
        }
        for plain in ["-249.00", "249.00", "Beispiel = GmbH", ""] {
            assert_eq!(harmless(plain.to_owned()), plain);
        }
    }
}
