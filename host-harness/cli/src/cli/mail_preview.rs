//! `mail preview`: e-mails as they would be sent now, for a look at them.

use std::path::{Path, PathBuf};

use clap::Args;
use host_harness::Host;
use host_harness::mail::MailPreview;
use host_harness::view;

use super::exit_status::ExitStatus;
use super::failure::{Outcome, unwritable};
use super::files::write_whole;
use super::input::operator;
use super::typed_ids::TypedOrder;
use super::{output, show};

#[derive(Debug, Args)]
pub(super) struct PreviewArguments {
    /// The id of an order, or the shop's key, for the e-mails about its licenses; or the id of an asset
    #[arg(value_name = "ORDER|ASSET")]
    about: TypedOrder,
    /// Another language than the customer's, BCP 47
    #[arg(long, value_name = "LANGUAGE")]
    language: Option<String>,
    /// Show product keys and activation links unmasked, which is put on record
    #[arg(long)]
    show_keys: bool,
    /// Write the HTML into this file instead of to the standard output; of several e-mails, each into one with its number, as in
    /// `mail-2.html`
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(super) async fn run(host: &Host, asked: &PreviewArguments, json: bool) -> Outcome {
    let actor = operator();
    let keys = show::keys(asked.show_keys, &actor);
    let about = asked.about.or_asset(host).await?;
    let previews = host.preview_mails(about, asked.language.as_deref(), keys).await?;
    for (nth, preview) in previews.iter().enumerate() {
        if let Some(out) = &asked.out {
            let file = numbered(out, nth);
            let written = write_whole(&file, preview.html.as_bytes());
            written.map_err(|error| unwritable(&file, &error))?;
            output::note(format!("the e-mail was written to `{}`", file.display()));
        }
        tell(preview);
    }
    if json {
        show::json(&previews.iter().map(view::MailPreview::from).collect::<Vec<_>>())?;
    } else if asked.out.is_none() {
        previews
            .iter()
            .for_each(|preview| output::page(&preview.html, false));
    }
    Ok(ExitStatus::Done)
}

/// Says beside the text whom it would go to.
fn tell(preview: &MailPreview) {
    let to = preview.to.as_deref();
    let to = to.unwrap_or("nobody, because the order has no address");
    output::note(format!("to {to}: {}", preview.subject));
    if let Some(problem) = &preview.problem {
        output::note(format!("warning: {}", problem.message));
    }
}

/// The file of the first e-mail is the one that was named.
fn numbered(file: &Path, nth: usize) -> PathBuf {
    if nth == 0 {
        return file.to_owned();
    }
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    let extension = file.extension().unwrap_or_default().to_string_lossy();
    let dot = if extension.is_empty() { "" } else { "." };
    file.with_file_name(format!("{stem}-{}{dot}{extension}", nth + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_e_mails_have_files_of_their_own() {
        for (file, nth, expected) in [
            ("a/mail.html", 0, "a/mail.html"),
            ("a/mail.html", 1, "a/mail-2.html"),
            ("mail", 2, "mail-3"),
        ] {
            assert_eq!(numbered(Path::new(file), nth), Path::new(expected));
        }
    }
}
