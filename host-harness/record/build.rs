//! Lists the files of `migrations` for `src/migrations.rs`. sqlx has a macro for it, which compiles SQLite and sqlx a second
//! time, and does not notice a new file.

use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=migrations");
    let mut files = Vec::new();
    for entry in fs::read_dir("migrations")? {
        let name = entry?.file_name().into_string();
        files.push(name.map_err(|name| format!("{} is not UTF-8", name.display()))?);
    }
    files.sort();
    let mut list = String::from("[\n");
    for file in &files {
        let numbered = file.strip_suffix(".sql").and_then(|name| name.split_once('_'));
        let (number, name) = numbered.ok_or_else(|| format!("{file} is not named NUMBER_NAME.sql"))?;
        let number: i64 = number.parse()?;
        let path = format!("/migrations/{file}");
        writeln!(
            list,
            "({number}, {name:?}, include_str!(concat!(env!(\"CARGO_MANIFEST_DIR\"), {path:?}))),"
        )?;
    }
    list.push_str("]\n");
    fs::write(Path::new(&env::var("OUT_DIR")?).join("migrations.rs"), list)?;
    Ok(())
}
