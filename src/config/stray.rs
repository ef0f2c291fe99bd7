//! Variables that look like ours and name nothing: `PAYRECOND_LOG_LEVEL` has an underscore too few, and
//! would be ignored without a word.

use super::key::key_variable;
use super::source::{self, VARIABLE_PREFIX};
use super::{Config, EXAMPLE, Environment, shape};

/// What the names of all our variables begin with.
const PREFIX: &str = "PAYRECOND_";
/// Variables that are no settings. The last two are for databases and servers that need them.
const OTHERS: [&str; 3] = [
    "PAYRECOND_CONFIG",
    "PAYRECOND_DATABASE_PASSWORD",
    "PAYRECOND_NATS_CREDS",
];

/// One warning for each variable that begins as ours do and names nothing, with the nearest name that
/// there is. Values are not told. (`PAYRECOND__…` that names no setting is an error of its own.)
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
    let settings = settings();
    let names = known.iter().chain(&settings);
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
    format!("variable {name} names nothing and is ignored: did you mean {nearest}?")
}

/// The variables of all settings.
fn settings() -> Vec<String> {
    let template = source::parse_toml(None, EXAMPLE).map(|layer| layer.0);
    let paths = shape::paths(&template.unwrap_or_default());
    let variable =
        |path: Vec<String>| format!("{VARIABLE_PREFIX}{}", path.join("__").to_uppercase());
    paths.into_iter().map(variable).collect()
}

/// Without the difference that is most easily overlooked.
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
    fn what_names_nothing_is_told_with_the_nearest_name() {
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
            let said = warnings("", &[name]);
            let expected =
                format!("variable {name} names nothing and is ignored: did you mean {nearest}?");
            assert_eq!(said, [expected]);
        }
    }

    #[test]
    fn what_names_something_is_not_told() {
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
