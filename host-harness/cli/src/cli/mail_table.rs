//! E-mails as a table, for people.

use host_harness::view;

use super::output::Table;
use super::show;

/// A table of e-mails: what became of each, to whom, and about which license.
pub(super) fn table(mails: &[view::Mail]) -> Table {
    let mut table = show::table(&[
        "E-mail", "State", "To", "Customer", "Instance", "License", "Problem",
    ]);
    for mail in mails {
        let state = match (mail.state.as_str(), mail.attempts) {
            ("sent", _) => format!("sent {}", mail.sent_at_ms.map(show::time).unwrap_or_default()),
            ("pending", 1..) => format!("due {}", mail.due_at_ms.map(show::time).unwrap_or_default()),
            (state, _) => state.to_owned(),
        };
        let customer = &mail.parties.customer;
        let problem = mail.problem.as_ref();
        table.add_row([
            show::short(mail.id),
            state,
            mail.contact.email.clone(),
            show::party(&customer.name, &customer.id),
            mail.parties.instance.clone(),
            show::short(mail.asset_id),
            problem.map_or_else(String::new, |problem| problem.message.clone()),
        ]);
    }
    table
}
