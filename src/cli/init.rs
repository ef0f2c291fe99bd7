//! `init`: writes a first configuration for one provider, and prints the next steps.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Args;
use clap::builder::PossibleValuesParser;

use super::Exit;
use super::output::Output;
use super::style::Style;
use crate::config::{Environment, default_key_file, key_variable, starter};
use crate::provider::kind::ProviderKind;
use crate::provider::registry::{PROVIDERS, provider_kind};

/// The file that is found without `--config`.
const FOUND_BY_ITSELF: &str = "payrecond.toml";

#[derive(Debug, Args)]
pub(super) struct InitArguments {
    /// The payment provider
    #[arg(long, value_name = "NAME", default_value = PROVIDERS[0].name,
          value_parser = PossibleValuesParser::new(PROVIDERS.iter().map(|kind| kind.name)))]
    provider: String,
    /// The file to write; must not exist
    #[arg(long, value_name = "FILE", default_value = FOUND_BY_ITSELF)]
    output: PathBuf,
}

pub(super) fn run(arguments: &InitArguments, environment: &Environment) -> anyhow::Result<Exit> {
    let Some(provider) = provider_kind(&arguments.provider) else {
        bail!("unknown provider {:?}", arguments.provider);
    };
    write_new(&arguments.output, &starter(provider))?;
    let mut output = Output::new(Style::of_stdout(environment));
    for line in next_steps(&arguments.output, provider) {
        output.line(line);
    }
    output.send()?;
    Ok(Exit::Done)
}

/// Writes a file that does not exist yet.
fn write_new(path: &Path, text: &str) -> anyhow::Result<()> {
    let shown = path.display();
    let mut file = match OpenOptions::new().write(true).create_new(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            bail!(
                "{shown} exists and is not overwritten; remove it, or name another file with --output; for a second account add an [[account]] to it (docs/configuration.md)"
            );
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let directory = path.parent().unwrap_or(path).display();
            bail!("the directory of {shown} does not exist; create it with `mkdir -p {directory}`");
        }
        Err(error) => bail!("{shown} could not be written: {error}"),
    };
    file.write_all(text.as_bytes())
        .with_context(|| format!("{shown} could not be written"))
}

fn next_steps(file: &Path, provider: &ProviderKind) -> Vec<String> {
    let program = if file == Path::new(FOUND_BY_ITSELF) {
        "payrecond".to_owned()
    } else {
        format!("payrecond --config {}", file.display())
    };
    let key_file = default_key_file(provider);
    let variable = key_variable("default");
    let needed = provider
        .settings
        .iter()
        .filter(|setting| !setting.unset.is_empty());
    let mut first = format!("  1. put the API key into {key_file}, or export {variable}=KEY");
    for setting in needed {
        let _ = write!(first, "; fill in {} under [account.settings]", setting.key);
    }
    vec![
        format!("wrote {} for {}", file.display(), provider.name),
        String::new(),
        "Next:".to_owned(),
        first,
        format!("  2. {program} migrate   creates the database"),
        format!("  3. {program} check     checks the configuration, the database and the API key"),
        format!("  4. {program} run       starts the daemon"),
        String::new(),
        "Without an API key: `payrecond sandbox` simulates the provider, `payrecond demo` shows payrecond at work."
            .to_owned(),
    ]
}
