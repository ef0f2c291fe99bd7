//! A database named by the file and overridden by the environment: commands that are started without
//! the variable use another database than the daemon.

use std::path::{Path, PathBuf};

use super::Config;
use super::source::Layer;

/// The path of the database in the file, if another one is in force.
pub(super) fn path_in_file(file: &Layer, in_force: &Path) -> Option<PathBuf> {
    let table = file.0.get("database")?.clone().into_table().ok()?;
    let path = PathBuf::from(table.get("path")?.clone().into_string().ok()?);
    (path != in_force).then_some(path)
}

/// A warning if the file names another database than the one in force.
pub fn overridden_database(config: &Config) -> Option<String> {
    let in_file = config.database.overridden.as_ref()?;
    let source = config.source.as_ref();
    let file = source.map_or("the configuration".into(), |path| {
        path.display().to_string()
    });
    Some(format!(
        "PAYRECOND__DATABASE__PATH = {} overrides database.path = {} of {file}: commands run without the variable use the other database; set it in one place",
        config.database.path.display(),
        in_file.display()
    ))
}
