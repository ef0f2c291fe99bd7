//! PostgreSQL, for several daemons on one database.

mod schema;

pub use schema::{
    MIGRATIONS, SchemaMigrated, migrate_schema, migrate_schema_by, require_usable_schema,
};
