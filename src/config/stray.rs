//! Environment variables that look like settings but are not: `PAYRECOND_LOG_LEVEL` lacks an
//! underscore and would be ignored silently.

use super::key::key_variable;
use super::source::{self, VARIABLE_PREFIX};
use super::{Config, Environment, settings, shape};

/// Prefix of all our variables.
const PREFIX: &str = "PAYRECOND_";
/// Variables that are not settings. The last two are for databases and servers that need them.
const OTHERS: [&str; 3] = [
    "PAYRECOND_CONFIG",
    "PAYRECOND_DATABASE_PASSWORD",
    "PAYRECOND_NATS_CREDS",
];

/// One warning for each variable with our prefix that is unknown, with the nearest known name. Values
/// are not shown. (An unknown `PAYRECOND__…` is an error of its own.)
pub fn stray_variables(config: &Config, env: &Environment) -> Vec<String> {
    let others = OTHERS.map(str::to_owned).into_iter();
    let keys = config
        .accounts
        .iter()
        .map(|account| key_variable(&account.name));
    let known: Vec<String> = others.chain(keys).collect();
    env.with_prefix(PREFIX)
        .map(|(rest, _)| format!("{PREFIX}{rest}"))
        .filter(|name| !name.starts_with(VARIABLE_PREFIX) && !known.contains(name))
        .map(|name| words(&name, &known))
        .collect()
}

fn words(name: &str, known: &[String]) -> String {
    let variables = setting_variables();
    let names = known.iter().chain(&variables);
    let name_squeezed = squeezed(name);
    let distance = |other: &&String| {
        let other = squeezed(other);
        let goes_on = other.starts_with(&name_squeezed);
        (
            !goes_on,
            strsim::damerau_levenshtein(&name_squeezed, &other),
        )
    };
    let nearest = names.min_by_key(distance).map_or("", String::as_str);
    format!("unknown environment variable {name} ignored: did you mean {nearest}?")
}

/// The variables of all settings.
fn setting_variables() -> Vec<String> {
    let template = source::parse_toml(None, &settings::example()).map(|layer| layer.0);
    let paths = shape::paths(&template.unwrap_or_default());
    let variable =
        |path: Vec<String>| format!("{VARIABLE_PREFIX}{}", path.join("__").to_uppercase());
    paths.into_iter().map(variable).collect()
}

/// Without the differences that are most easily overlooked.
fn squeezed(name: &str) -> String {
    let words = name.split('_').filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("_").to_uppercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warnings(text: &str, names: &[&str]) -> Vec<String> {
        let env = names.iter().map(|&name| (name, "secret-value")).collect();
        let config = Config::parse(text, &Environment::default()).unwrap();
        stray_variables(&config, &env)
    }

    #[test]
    fn an_unknown_variable_is_reported_with_the_nearest_name() {
        for (name, nearest) in [
            ("PAYRECOND_LOG_LEVEL", "PAYRECOND__LOG__LEVEL"),
            ("PAYRECOND_DATABASE_PATH", "PAYRECOND__DATABASE__PATH"),
            ("PAYRECOND_DATABASE__PATH", "PAYRECOND__DATABASE__PATH"),
            (
                "PAYRECOND_ACCOUNT_0_BASE_URL",
                "PAYRECOND__ACCOUNT__0__BASE_URL",
            ),
            ("PAYRECOND_CONFG", "PAYRECOND_CONFIG"),
            ("PAYRECOND_API_KEY", "PAYRECOND_API_KEY_DEFAULT"),
            ("PAYRECOND_API_KEY_DEFUALT", "PAYRECOND_API_KEY_DEFAULT"),
        ] {
            let reported = warnings("", &[name]);
            let expected =
                format!("unknown environment variable {name} ignored: did you mean {nearest}?");
            assert_eq!(reported, [expected]);
        }
    }

    #[test]
    fn a_known_variable_is_not_reported() {
        let accounts = "[[account]]\nname = 'shop-1'\n[[account]]\nname = 'default'\n";
        let known = [
            "PAYRECOND_CONFIG",
            "PAYRECOND_API_KEY_SHOP_1",
            "PAYRECOND_API_KEY_DEFAULT",
            "PAYRECOND_DATABASE_PASSWORD",
            "PAYRECOND_NATS_CREDS",
            "PAYRECOND__LOG__LEVEL",
            "PAYRECONDLOG",
        ];
        assert_eq!(warnings(accounts, &known), Vec::<String>::new());
    }
}
