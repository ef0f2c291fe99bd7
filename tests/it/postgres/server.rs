//! A PostgreSQL server for the tests of this process, and a database for each of them.

use std::fs;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use payrecond::store::postgres::migrate_schema;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _};
use tokio::sync::OnceCell;

use crate::free_port::free_port;
use crate::until::eventually;

/// The database that every test's is copied from.
const TEMPLATE: &str = "template_of_tests";

static SHARED: OnceCell<Option<Arc<PostgresServer>>> = OnceCell::const_new();
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

/// A migrated database on a server of its own, which the test may kill, restart and copy.
pub async fn database_alone() -> Option<TestDatabase> {
    let server = start_prepared().await?;
    Some(server.create(Some(TEMPLATE)).await)
}

async fn shared() -> Option<Arc<PostgresServer>> {
    SHARED.get_or_init(start_prepared).await.clone()
}

async fn start_prepared() -> Option<Arc<PostgresServer>> {
    let server = PostgresServer::start(&[])?;
    server.prepare().await;
    Some(Arc::new(server))
}

/// A database that goes with the value.
pub struct TestDatabase {
    pub name: String,
    pub server: Arc<PostgresServer>,
}

impl TestDatabase {
    /// The address of the database for a role, without a password.
    pub fn url(&self, role: As) -> String {
        self.server.url(role, &self.name)
    }

    /// The same, reached through a line.
    pub fn url_by(&self, role: As, line: SocketAddr) -> String {
        format!("postgres://{}@{line}/{}", role.user(), self.name)
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
    folder: PathBuf,
    /// Each line of its input starts the server again that was killed; at the input's end the server
    /// stops and its folder goes.
    keeper: Mutex<Child>,
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
        Some(Self::on(folder, &binaries, settings))
    }

    /// A standby of this server, which follows it at once and is read-only until it is promoted.
    pub fn standby(&self) -> Self {
        let binaries = binaries().expect("the primary has them");
        let folder = make_folder();
        let copy = as_other_user(&binaries.join("pg_basebackup"))
            .args(["--no-sync", "--checkpoint=fast", "--write-recovery-conf"])
            .arg("--dbname")
            .arg(format!(
                "{}?application_name=standby",
                self.url(As::Admin, "postgres")
            ))
            .arg("--pgdata")
            .arg(folder.join("data"))
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&copy.stderr);
        assert!(copy.status.success(), "{error}");
        Self::on(folder, &binaries, &[])
    }

    fn on(folder: PathBuf, binaries: &Path, settings: &[&str]) -> Self {
        let port = free_port();
        let keeper = Mutex::new(keep(binaries, &folder, port, settings));
        Self {
            port,
            folder,
            keeper,
        }
    }

    pub fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }

    /// Kills every process of the server at once, as by a power failure without loss of what was written.
    pub fn kill(&self) {
        let file = fs::read_to_string(self.folder.join("data/postmaster.pid")).unwrap();
        let postmaster = file.lines().next().unwrap();
        let signal = |name: &str, pids: &[String]| {
            let sent = Command::new("kill").args(["-s", name]).args(pids).output();
            sent.unwrap();
        };
        // So that it starts no process while they are listed.
        signal("STOP", &[postmaster.to_owned()]);
        let mut all = children_of(postmaster);
        all.push(postmaster.to_owned());
        signal("KILL", &all);
    }

    /// Starts it again after `kill`.
    pub fn start_again(&self) {
        let mut keeper = self.keeper.lock().unwrap();
        keeper.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
    }

    /// Kills it and starts it again.
    pub async fn restart(&self) {
        self.kill();
        self.start_again();
        self.admin().await.close().await.unwrap();
    }

    pub fn url(&self, role: As, database: &str) -> String {
        format!(
            "postgres://{}@127.0.0.1:{}/{database}",
            role.user(),
            self.port
        )
    }

    /// A connection of the superuser, once the server takes any.
    pub async fn admin(&self) -> PgConnection {
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

    async fn create(self: &Arc<Self>, template: Option<&str>) -> TestDatabase {
        let name = format!("test_{}", DATABASES.fetch_add(1, Ordering::Relaxed));
        let mut admin = self.admin().await;
        self.create_named(&mut admin, &name, template).await;
        admin.close().await.unwrap();
        TestDatabase {
            name,
            server: Arc::clone(self),
        }
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
        let mut keeper = self.keeper.lock().unwrap();
        drop(keeper.stdin.take());
        let _ = keeper.wait();
    }
}

/// Where the server's programs are: named, in the path, or where Debian puts them.
fn binaries() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("PAYRECOND_TEST_POSTGRES") {
        return Some(PathBuf::from(named));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_complete = |folder: &PathBuf| {
        ["initdb", "pg_basebackup"]
            .iter()
            .all(|name| folder.join(name).exists())
    };
    let in_path = std::env::split_paths(&path).find(is_complete);
    in_path.or_else(|| {
        let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
        let folders = versions.filter_map(|entry| Some(entry.ok()?.path().join("bin")));
        folders.filter(is_complete).max()
    })
}

fn children_of(parent: &str) -> Vec<String> {
    let processes = fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap());
    let is_child = |pid: &String| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // After the name, which may hold anything: the state, then the parent.
        let fields = stat.rsplit(')').next().unwrap_or_default();
        fields.split_whitespace().nth(1) == Some(parent)
    };
    let pids = processes.map(|entry| entry.file_name().into_string().unwrap_or_default());
    pids.filter(|pid| pid.parse::<u32>().is_ok() && is_child(pid))
        .collect()
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

/// A shell that runs the server until its own input ends, and then leaves nothing.
/// Each line of the input runs it again.
fn keep(binaries: &Path, folder: &Path, port: u16, settings: &[&str]) -> Child {
    let script = "folder=$1; shift
        \"$@\" >>\"$folder/log\" 2>&1 &
        while read -r _; do
            wait $!
            \"$@\" >>\"$folder/log\" 2>&1 &
        done
        kill -INT $! 2>/dev/null
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
