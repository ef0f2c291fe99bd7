//! Values that begin with a hyphen, such as ids of chats and notes (`-1001234567890:17`, `-5 refund`).

use std::ffi::OsString;

use clap::error::ErrorKind;
use clap::{Arg, ArgMatches, Command, CommandFactory as _, Error, FromArgMatches as _};

use super::Arguments;

/// Reads the arguments. What follows an option is its value, whatever it begins with, but for the name
/// of another option: there the value was left out.
pub(super) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Arguments, Error> {
    let mut command = Arguments::command().mut_subcommands(with_any_values);
    let matches = command.try_get_matches_from_mut(arguments)?;
    if let Some((name, matches)) = matches.subcommand()
        && let Some(subcommand) = command.find_subcommand_mut(name)
    {
        require_values(subcommand, matches)?;
    }
    Arguments::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
}

fn with_any_values(command: Command) -> Command {
    command.mut_args(|argument| {
        let takes_values = argument.get_action().takes_values();
        argument.allow_hyphen_values(takes_values)
    })
}

/// Fails where the value of an option is the name of another one.
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

/// The values of an argument, as they were typed.
fn given(argument: &Arg, matches: &ArgMatches) -> Vec<OsString> {
    let id = argument.get_id().as_str();
    let values = matches.try_get_raw(id).ok().flatten();
    values.into_iter().flatten().map(Into::into).collect()
}
