//! `status`: how the host is, for a person and for monitoring.

use host_harness::{Host, view};

use super::failure::Outcome;
use super::{alerts, output, show};

pub(super) async fn run(host: &Host, json: bool) -> Outcome {
    let status = host.status().await?;
    if json {
        show::json(&status)?;
    } else {
        show_status(&status);
    }
    Ok(alerts::end(status.open_alerts))
}

fn show_status(status: &view::Status) {
    let mut table = show::table(&["What", "State"]);
    for (what, state) in [
        ("Workers", status.workers.to_string()),
        (
            "Licenses to be bought or looked up",
            status.open_licenses.to_string(),
        ),
        (
            "The oldest of them was ordered",
            status
                .oldest_open_license_at_ms
                .map(show::time)
                .unwrap_or_default(),
        ),
        ("Returns under way", status.open_returns.to_string()),
        ("E-mails to be sent", status.waiting_mails.to_string()),
        ("E-mails held back", status.held_mails.to_string()),
        (
            "Certificates that expire within 30 days",
            status.expiring_certificates.to_string(),
        ),
        (
            "Free on the disk",
            format!("{} MB", status.disk_free_bytes / 1_000_000),
        ),
        ("Open alerts", status.open_alerts.to_string()),
    ] {
        table.add_row([what, &state]);
    }
    output::table(&table);
}
