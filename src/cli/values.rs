//! Values that begin with a hyphen, such as ids of chats and notes (`-1001234567890:17`, `-5 refund`).

use std::ffi::OsString;

use clap::error::ErrorKind;
use clap::{Arg, ArgMatches, Command, Error, FromArgMatches as _};

use super::{Arguments, command};

/// Parses the arguments. The text after an option is its value, whatever it begins with, unless it
/// is the name of another option: then the value is missing.
pub(super) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Arguments, Error> {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let mut command = command().mut_subcommands(with_any_values);
    let matches = command.try_get_matches_from_mut(&arguments)?;
    if let Some((name, matches)) = matches.subcommand()
        && let Some(subcommand) = command.find_subcommand_mut(name)
    {
        require_values(subcommand, matches)?;
        refuse_unknown_options(subcommand, matches, &arguments)?;
    }
    Arguments::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
}

fn with_any_values(command: Command) -> Command {
    command.mut_args(|argument| {
        let takes_values = argument.get_action().takes_values();
        argument.allow_hyphen_values(takes_values)
    })
}

/// Fails if the value of an option is the name of another one.
fn require_values(command: &mut Command, matches: &ArgMatches) -> Result<(), Error> {
    let options: Vec<String> = command
        .get_arguments()
        .filter_map(|argument| Some(format!("--{}", argument.get_long()?)))
        .collect();
    let is_option = |value: &OsString| options.iter().any(|option| **value == **option);
    let without = command.get_arguments().find(|argument| {
        argument.get_long().is_some() && given(argument, matches).iter().any(is_option)
    });
    let Some(argument) = without else {
        return Ok(());
    };
    let words = format!("a value is required for '{argument}' but none was supplied");
    Err(command.error(ErrorKind::InvalidValue, words))
}

/// Fails if an unknown option was taken for a value, such as the reference of an invoice. After a
/// lone `--` every argument is a value.
fn refuse_unknown_options(
    command: &mut Command,
    matches: &ArgMatches,
    arguments: &[OsString],
) -> Result<(), Error> {
    let escaped: Vec<&OsString> = arguments.iter().skip_while(|word| *word != "--").collect();
    let looks_like_an_option = |value: &OsString| {
        let word = value.to_string_lossy();
        let name = word.strip_prefix("--").unwrap_or_default();
        name.starts_with(|c: char| c.is_ascii_alphabetic()) && !escaped.contains(&value)
    };
    let unknown = command
        .get_positionals()
        .flat_map(|argument| given(argument, matches))
        .find(looks_like_an_option);
    let Some(unknown) = unknown else {
        return Ok(());
    };
    let word = unknown.to_string_lossy().into_owned();
    let nearest = nearest_option(command, &word);
    let hint = nearest.map_or_else(String::new, |option| format!("; did you mean '{option}'?"));
    let words = format!(
        "unexpected argument '{word}' found{hint}\n\n  To pass it as a value, write it after '--': -- {word}"
    );
    Err(command.error(ErrorKind::UnknownArgument, words))
}

fn nearest_option(command: &Command, word: &str) -> Option<String> {
    let options = command
        .get_arguments()
        .filter_map(|argument| Some(format!("--{}", argument.get_long()?)));
    options
        .map(|option| (strsim::damerau_levenshtein(word, &option), option))
        .filter(|(distance, option)| *distance <= 1 + option.len() / 5)
        .min()
        .map(|(_, option)| option)
}

/// The values of an argument, as typed.
fn given(argument: &Arg, matches: &ArgMatches) -> Vec<OsString> {
    let id = argument.get_id().as_str();
    let values = matches.try_get_raw(id).ok().flatten();
    values.into_iter().flatten().map(Into::into).collect()
}
