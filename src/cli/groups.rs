//! The help of the program: its commands in groups.

use std::fmt::Write as _;

use clap::{Command, CommandFactory as _};

use super::Arguments;

/// All commands, by purpose.
const GROUPS: &[(&str, &[&str])] = &[
    ("Run", &["init", "migrate", "check", "run"]),
    (
        "Invoices",
        &["add", "list", "show", "why", "nudge", "resolve"],
    ),
    ("Events", &["feed", "publish"]),
    (
        "Operations",
        &["stats", "top", "audit", "backup", "restore", "copy"],
    ),
    ("Try it out", &["demo", "sandbox"]),
];

/// The command line, with the commands grouped in its help.
pub fn command() -> Command {
    let command = Arguments::command();
    let template = template(&command);
    command.help_template(template)
}

fn template(command: &Command) -> String {
    let styles = command.get_styles();
    let (header, literal) = (styles.get_header(), styles.get_literal());
    let names = command.get_subcommands().map(|one| one.get_name().len());
    let width = names.max().unwrap_or_default();
    // Writing to a String cannot fail.
    let mut groups = String::new();
    for (title, names) in GROUPS {
        let _ = writeln!(groups, "{header}{title}:{header:#}");
        for name in *names {
            let about = command.find_subcommand(name).and_then(Command::get_about);
            let about = about.map(ToString::to_string).unwrap_or_default();
            let _ = writeln!(groups, "  {literal}{name:<width$}{literal:#}  {about}");
        }
        groups.push('\n');
    }
    format!(
        "{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{groups}{header}Options:{header:#}\n\
         {{options}}{{after-help}}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_in_one_group_of_the_help() {
        let command = Arguments::command();
        let mut known: Vec<&str> = command
            .get_subcommands()
            .map(Command::get_name)
            .filter(|name| *name != "help")
            .collect();
        let mut grouped: Vec<&str> = GROUPS
            .iter()
            .flat_map(|(_, names)| *names)
            .copied()
            .collect();
        known.sort_unstable();
        grouped.sort_unstable();
        assert_eq!(grouped, known);
    }
}
