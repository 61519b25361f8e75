//! `mail seller`: who sells at an instance, as e-mails say it.

use bss_model::Seller;
use clap::Args;
use host_harness::{Host, view};

use super::exit_status::ExitStatus;
use super::failure::Outcome;
use super::input::operator;
use super::{output, show};

#[derive(Debug, Args)]
pub(super) struct SellerArguments {
    /// The instance's name. Without further options, its seller is shown
    instance: String,
    /// The seller's name
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// The postal address, a line each, as in `--address 'Main Street 1' --address '12345 Town'`
    #[arg(long, value_name = "LINE")]
    address: Vec<String>,
    /// The e-mail address of the support. Here and below, an empty text removes what is there
    #[arg(long, value_name = "ADDRESS")]
    support_email: Option<String>,
    /// The phone number of the support
    #[arg(long, value_name = "NUMBER")]
    support_phone: Option<String>,
    /// The https address of a picture at the head of e-mails
    #[arg(long, value_name = "URL")]
    logo: Option<String>,
    /// The e-mail address to which customers' answers go
    #[arg(long, value_name = "ADDRESS")]
    reply_to: Option<String>,
    /// An e-mail address that gets a copy of each e-mail, product key included, which the customer does not see
    #[arg(long, value_name = "ADDRESS")]
    bcc: Option<String>,
    /// Have e-mails name no seller
    #[arg(long, conflicts_with_all = ["name", "address", "support_email", "support_phone", "logo", "reply_to", "bcc"])]
    none: bool,
}

impl SellerArguments {
    /// The seller with what is given. `None`: nothing is.
    fn changed(self, before: Option<Seller>) -> Option<Seller> {
        let before = before.unwrap_or_default();
        let mut after = before.clone();
        let mut is_given = false;
        let mut set = |field: &mut Option<String>, given: Option<String>| {
            is_given |= given.is_some();
            if let Some(text) = given {
                *field = Some(text).filter(|text| !text.is_empty());
            }
        };
        set(&mut after.support_email, self.support_email);
        set(&mut after.support_phone, self.support_phone);
        set(&mut after.logo_url, self.logo);
        set(&mut after.reply_to, self.reply_to);
        set(&mut after.bcc, self.bcc);
        if let Some(name) = self.name {
            (after.name, is_given) = (name, true);
        }
        if !self.address.is_empty() {
            let lines = self.address.into_iter().filter(|line| !line.is_empty());
            (after.address, is_given) = (lines.collect(), true);
        }
        is_given.then_some(after)
    }
}

pub(super) async fn run(host: &Host, asked: SellerArguments, json: bool) -> Outcome {
    let instance = host.named_instance(&asked.instance).await?;
    let record = host.record();
    if asked.none {
        record.save_seller(instance.id, None, &operator()).await?;
    } else if let Some(seller) = asked.changed(record.seller(instance.id).await?) {
        record
            .save_seller(instance.id, Some(&seller), &operator())
            .await?;
    }
    let seller = record.seller(instance.id).await?;
    let view = view::Seller::new(&instance.name, instance.id, seller.as_ref());
    match json {
        true => show::json(&view)?,
        false => show_seller(&view),
    }
    Ok(ExitStatus::Done)
}

fn show_seller(seller: &view::Seller) {
    let Some(name) = &seller.name else {
        output::line(format!("e-mails of `{}` name no seller", seller.instance));
        return;
    };
    let mut table = show::table(&["Seller", name]);
    let address = seller.address.join(", ");
    for (what, value) in [
        ("Address", Some(&address).filter(|address| !address.is_empty())),
        ("Support e-mail", seller.support_email.as_ref()),
        ("Support phone", seller.support_phone.as_ref()),
        ("Logo", seller.logo_url.as_ref()),
        ("Reply-To", seller.reply_to.as_ref()),
        ("Blind copy", seller.bcc.as_ref()),
    ] {
        if let Some(value) = value {
            table.add_row([what, value]);
        }
    }
    output::table(&table);
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        seller: SellerArguments,
    }

    fn changed(arguments: &[&str], before: &Seller) -> Option<Seller> {
        let line = [&["mail seller", "esd"], arguments].concat();
        Line::parse_from(line).seller.changed(Some(before.clone()))
    }

    #[test]
    fn what_is_not_given_stays_and_an_empty_text_removes() {
        let before = Seller {
            name: "Shop".to_owned(),
            address: vec!["Street 1".to_owned()],
            bcc: Some("copy@shop.example".to_owned()),
            ..Seller::default()
        };
        assert_eq!(changed(&[], &before), None);
        let renamed = changed(&["--name", "Store"], &before).unwrap();
        assert_eq!((renamed.name.as_str(), &renamed.bcc), ("Store", &before.bcc));
        let removed = changed(&["--bcc", "", "--address", ""], &before).unwrap();
        assert_eq!((removed.bcc, removed.address), (None, vec![]));
        assert_eq!(removed.name, before.name);
    }
}
