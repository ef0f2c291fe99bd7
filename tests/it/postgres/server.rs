//! A PostgreSQL server for the tests of this process, and a database for each of them.

use std::fs;
use std::io;
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use payrecond::store::postgres::migrate_schema;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _};
use tokio::sync::OnceCell;

use crate::until::eventually;

/// The database that every test's is copied from.
const TEMPLATE: &str = "template_of_tests";

static SHARED: OnceCell<Option<PostgresServer>> = OnceCell::const_new();
static DATABASES: AtomicU32 = AtomicU32::new(0);

/// Who connects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum As {
    /// The superuser.
    Admin,
    /// The owner of the schema, as `payrecond migrate` should be run.
    Owner,
    /// Has the rights of `payrecond_daemon`.
    Daemon,
    /// Has the rights of `payrecond_app`, and finds the tables without their schema.
    App,
}

impl As {
    fn user(self) -> &'static str {
        match self {
            Self::Admin => "postgres",
            Self::Owner => "shop_owner",
            Self::Daemon => "shop_daemon",
            Self::App => "shop_app",
        }
    }
}

/// A migrated database of one test's own; None where the machine has no PostgreSQL.
pub async fn database() -> Option<TestDatabase> {
    let server = shared().await?;
    Some(server.create(Some(TEMPLATE)).await)
}

/// A database without a schema, owned by `Owner`.
pub async fn empty_database() -> Option<TestDatabase> {
    let server = shared().await?;
    Some(server.create(None).await)
}

async fn shared() -> Option<&'static PostgresServer> {
    let start = async || {
        let server = PostgresServer::start(&[])?;
        server.prepare().await;
        Some(server)
    };
    SHARED.get_or_init(start).await.as_ref()
}

/// A database that goes with the value.
pub struct TestDatabase {
    pub name: String,
    server: &'static PostgresServer,
}

impl TestDatabase {
    /// The address of the database for a role, without a password.
    pub fn url(&self, role: As) -> String {
        self.server.url(role, &self.name)
    }

    pub async fn connect(&self, role: As) -> PgConnection {
        PgConnection::connect(&self.url(role)).await.unwrap()
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let drop = format!("DROP DATABASE {} WITH (FORCE)", self.name);
        let url = self.server.url(As::Admin, "postgres");
        // A runtime of its own: this may be within another.
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            runtime.unwrap().block_on(async {
                let mut admin = PgConnection::connect(&url).await?;
                sqlx::raw_sql(AssertSqlSafe(drop)).execute(&mut admin).await
            })
        });
        let _ = dropping.join();
    }
}

/// A server that ends with this process, however that ends.
pub struct PostgresServer {
    port: u16,
    /// Its input is the server's life: at its end the server stops and its folder goes.
    keeper: Child,
}

impl PostgresServer {
    /// Starts a server with further settings (`name=value`); None where the machine has none.
    pub fn start(settings: &[&str]) -> Option<Self> {
        let Some(binaries) = binaries() else {
            assert!(std::env::var_os("CI").is_none(), "CI needs postgresql");
            eprintln!("PostgreSQL is missing here: its tests are skipped");
            return None;
        };
        let folder = make_folder();
        let init = as_other_user(&binaries.join("initdb"))
            .args(["--username=postgres", "--auth=trust", "--no-sync"])
            .args(["--encoding=UTF8", "--locale=C.UTF-8", "--pgdata"])
            .arg(folder.join("data"))
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(
            init.status.success(),
            "{}",
            String::from_utf8_lossy(&init.stderr)
        );
        let port = free_port();
        let keeper = keep(&binaries, &folder, port, settings);
        Some(Self { port, keeper })
    }

    pub fn url(&self, role: As, database: &str) -> String {
        format!(
            "postgres://{}@127.0.0.1:{}/{database}",
            role.user(),
            self.port
        )
    }

    /// A connection of the superuser, once the server takes any.
    async fn admin(&self) -> PgConnection {
        let url = self.url(As::Admin, "postgres");
        eventually(async || PgConnection::connect(&url).await.ok()).await
    }

    /// The roles and the database that is copied.
    async fn prepare(&self) {
        let mut admin = self.admin().await;
        let roles = "CREATE ROLE shop_owner LOGIN CREATEROLE; CREATE ROLE shop_daemon LOGIN;
                     CREATE ROLE shop_app LOGIN; ALTER ROLE shop_app SET search_path = payrecond";
        sqlx::raw_sql(roles).execute(&mut admin).await.unwrap();
        self.create_named(&mut admin, TEMPLATE, None).await;
        let mut owner = PgConnection::connect(&self.url(As::Owner, TEMPLATE))
            .await
            .unwrap();
        migrate_schema(&mut owner).await.unwrap();
        let grant = "GRANT payrecond_daemon TO shop_daemon; GRANT payrecond_app TO shop_app";
        sqlx::raw_sql(grant).execute(&mut owner).await.unwrap();
        owner.close().await.unwrap();
        admin.close().await.unwrap();
    }

    async fn create(&'static self, template: Option<&str>) -> TestDatabase {
        let name = format!("test_{}", DATABASES.fetch_add(1, Ordering::Relaxed));
        let mut admin = self.admin().await;
        self.create_named(&mut admin, &name, template).await;
        admin.close().await.unwrap();
        TestDatabase { name, server: self }
    }

    async fn create_named(&self, admin: &mut PgConnection, name: &str, template: Option<&str>) {
        let template = template.unwrap_or("template0");
        let create = format!("CREATE DATABASE {name} OWNER shop_owner TEMPLATE {template}");
        sqlx::raw_sql(AssertSqlSafe(create))
            .execute(admin)
            .await
            .unwrap();
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}

/// Where the server's programs are: named, in the path, or where Debian puts them.
fn binaries() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("PAYRECOND_TEST_POSTGRES") {
        return Some(PathBuf::from(named));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let in_path = std::env::split_paths(&path).find(|folder| folder.join("initdb").exists());
    in_path.or_else(|| {
        let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
        let folders = versions.filter_map(|entry| Some(entry.ok()?.path().join("bin")));
        folders
            .filter(|folder| folder.join("initdb").exists())
            .max()
    })
}

/// Root may not run the server, so it is another user's then.
fn as_other_user(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid=postgres", "--regid=postgres", "--clear-groups"])
        .arg(program);
    command
}

fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

fn make_folder() -> PathBuf {
    let folder = tempfile::Builder::new()
        .prefix("payrecond-postgres-")
        .tempdir()
        .unwrap()
        .keep();
    if is_root() {
        let given = Command::new("chown").arg("postgres:").arg(&folder).status();
        assert!(
            given.unwrap().success(),
            "the folder goes to the user postgres"
        );
    }
    folder
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// A shell that runs the server until its own input ends, and then leaves nothing.
fn keep(binaries: &Path, folder: &Path, port: u16, settings: &[&str]) -> Child {
    let script = "folder=$1; shift
        \"$@\" >\"$folder/log\" 2>&1 &
        cat >/dev/null
        kill -INT $!
        wait $!
        rm -rf \"$folder\"";
    let mut command = as_other_user(Path::new("/bin/sh"));
    command.args(["-c", script, "sh"]).arg(folder);
    command
        .arg(binaries.join("postgres"))
        .arg("-D")
        .arg(folder.join("data"));
    let port = format!("port={port}");
    let sockets = format!("unix_socket_directories={}", folder.display());
    let usual = [
        port.as_str(),
        sockets.as_str(),
        "listen_addresses=127.0.0.1",
        "fsync=off",
        "shared_buffers=32MB",
        "max_connections=200",
    ];
    for setting in usual.iter().chain(settings) {
        command.args(["-c", setting]);
    }
    let spawned: io::Result<Child> = command.stdin(Stdio::piped()).spawn();
    spawned.unwrap()
}
