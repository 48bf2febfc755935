//! A real PostgreSQL, of which a test is the only user.

use std::{
    fs::File,
    io::{BufRead as _, BufReader, Write as _},
    net::{SocketAddr, TcpListener},
    os::unix::{fs::chown, process::CommandExt as _},
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use rustix::process::geteuid;
use tempfile::TempDir;

use crate::{Signal, eventually, instance, places};

/// Starting takes a second, and after a kill the log is read first.
const PATIENCE: Duration = Duration::from_secs(60);
/// The user and the database.
const USER: &str = "torchmesh";
/// Whom the server runs as when the test is root, which it refuses to be.
const NOBODY: u32 = 65_534;

/// A server with its files in a folder of its own.
#[derive(Debug)]
pub struct Postgres {
    /// Where it listens.
    pub addr: SocketAddr,
    child: Child,
    folder: TempDir,
}

impl Postgres {
    /// Starts one that is empty, and waits until it answers.
    pub async fn start() -> Self {
        let folder = TempDir::new().expect("a folder for PostgreSQL");
        if geteuid().is_root() {
            chown(folder.path(), Some(NOBODY), Some(NOBODY)).expect("the folder can be given away");
            copy_for_nobody(&folder);
        }
        let data = folder.path().join("data");
        let mut initdb = command("initdb", &folder);
        initdb.args(["--username", USER, "--auth", "trust", "--encoding", "UTF8", "--locale", "C", "--no-sync", "--pgdata"]).arg(&data);
        said(initdb.output().expect("initdb starts"), "initdb");
        let addr = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port");
        let mut postgres = Self { addr, child: spawn(addr, &folder), folder };
        postgres.ready().await;
        postgres
    }

    /// As the setting of the accounts has it.
    pub fn url(&self) -> String {
        format!("postgres://{USER}@{}/postgres", self.addr)
    }

    /// Runs SQL, and gives what came of it: fields with `|` between, in lines.
    pub fn ask(&self, sql: &str) -> String {
        let mut psql = command("psql", &self.folder);
        let output =
            psql.args(["--no-psqlrc", "--tuples-only", "--no-align", "--dbname"]).arg(self.url()).arg("--command").arg(sql).output();
        said(output.expect("psql starts"), "psql").trim().to_owned()
    }

    /// Copies everything into an empty server, as an operator does that backs up and restores.
    pub fn copy_to(&self, other: &Self) {
        let dump = self.folder.path().join("accounts.dump");
        let mut pg_dump = command("pg_dump", &self.folder);
        pg_dump.args(["--format=custom", "--file"]).arg(&dump).arg(self.url());
        said(pg_dump.output().expect("pg_dump starts"), "pg_dump");
        let mut pg_restore = command("pg_restore", &self.folder);
        pg_restore.args(["--exit-on-error", "--no-owner", "--dbname", &other.url()]).arg(&dump);
        said(pg_restore.output().expect("pg_restore starts"), "pg_restore");
    }

    /// Every row of every table, as text.
    pub fn everything(&self) -> String {
        let tables = self.ask("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'");
        tables.lines().map(|table| self.ask(&format!("SELECT '{table} ' || t::text FROM {table} t")) + "\n").collect()
    }

    /// Runs SQL that is refused, and gives why.
    pub fn refused(&self, sql: &str) -> String {
        let mut psql = command("psql", &self.folder);
        let output = psql.args(["--no-psqlrc", "--set", "ON_ERROR_STOP=1", "--dbname"]).arg(self.url()).arg("--command").arg(sql).output();
        let output = output.expect("psql starts");
        assert!(!output.status.success(), "{sql:?} was not refused");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    /// Begins a transaction with this query, whose locks are held until what comes back is dropped.
    pub fn hold(&self, sql: &str) -> Held {
        let mut psql = command("psql", &self.folder);
        psql.args(["--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1", "--dbname"]).arg(self.url());
        let mut child = psql.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("psql starts");
        let stdin = child.stdin.as_mut().expect("psql is written to");
        writeln!(stdin, "BEGIN; {sql}; SELECT 'held';").expect("psql listens");
        let lines = BufReader::new(child.stdout.take().expect("psql is read")).lines();
        assert!(lines.map_while(Result::ok).any(|line| line.contains("held")), "the locks are held");
        Held(child)
    }

    /// Copies the rows of a table into a new one like it, as `COPY` takes them and in transactions of so many; gives how long that took.
    pub fn copy(&self, from: &str, to: &str, at_once: usize) -> Duration {
        self.ask(&format!("CREATE TABLE {to} (LIKE {from} INCLUDING ALL)"));
        let rows = self.ask(&format!("COPY {from} TO STDOUT"));
        let rows: Vec<&str> = rows.lines().collect();
        let parts = rows.chunks(at_once).map(|rows| format!("COPY {to} FROM STDIN;\n{}\n\\.\n", rows.join("\n")));
        let script = self.folder.path().join("copy.sql");
        std::fs::write(&script, parts.collect::<String>()).expect("a script");
        let mut psql = command("psql", &self.folder);
        psql.args(["--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1", "--dbname"]).arg(self.url()).arg("--file").arg(script);
        let began = Instant::now();
        said(psql.output().expect("psql starts"), "psql");
        began.elapsed()
    }

    /// Waits until it answers. One that was killed leaves children, which go a moment later: until then, it does not start.
    async fn ready(&mut self) {
        let (addr, folder) = (self.addr, &self.folder);
        let child = &mut self.child;
        eventually("PostgreSQL answers", PATIENCE, async || {
            if child.try_wait().expect("it is our child").is_some() {
                *child = spawn(addr, folder);
            }
            let port = addr.port().to_string();
            let asked = command("pg_isready", folder).args(["--quiet", "--host", "127.0.0.1", "--port", &port]).status();
            asked.is_ok_and(|status| status.success()).then_some(())
        })
        .await;
    }

    /// Kills it, as a machine does that loses its power.
    pub fn kill(&mut self) {
        // It is our child and has not been waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts it again after [`Self::kill`], at the same address and with its files.
    pub async fn start_again(&mut self) {
        self.child = spawn(self.addr, &self.folder);
        self.ready().await;
    }
}

/// See [`Postgres::hold`].
#[derive(Debug)]
pub struct Held(Child);

impl Drop for Held {
    fn drop(&mut self) {
        // At the end of what it reads psql goes, and with it the transaction.
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // At once, its children included, which a kill would leave behind.
        if self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            instance::send(self.child.id(), Signal::QUIT);
            let _ = self.child.wait();
        }
    }
}

fn spawn(addr: SocketAddr, folder: &TempDir) -> Child {
    let log = File::options().create(true).append(true).open(folder.path().join("log")).expect("a log file");
    command("postgres", folder)
        .arg("-D")
        .arg(folder.path().join("data"))
        .arg("-k")
        .arg(folder.path())
        .args(["-p", &addr.port().to_string(), "-c", "listen_addresses=127.0.0.1", "-c", "max_connections=60"])
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("the log file twice"))
        .stderr(log)
        .spawn()
        .expect("PostgreSQL starts")
}

/// One of its programs, as somebody who may run it.
fn command(program: &str, folder: &TempDir) -> Command {
    let copied = folder.path().join(COPIED).join("bin");
    let programs = if copied.is_dir() { copied } else { programs() };
    let mut command = Command::new(programs.join(program));
    command.current_dir(folder.path()).env("LC_ALL", "C");
    if !programs.starts_with("/usr") {
        command.env("LD_LIBRARY_PATH", programs.with_file_name("lib"));
    }
    if geteuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}

/// Where the fetched programs are for a server that may not read the cache.
const COPIED: &str = "postgres";

/// Copies the programs that were fetched to where nobody may read them: the cache of root is root's.
fn copy_for_nobody(folder: &TempDir) {
    let fetched = fetched();
    if programs() == fetched.join("bin") {
        let copied = Command::new("cp").arg("-r").arg(fetched).arg(folder.path().join(COPIED)).output();
        said(copied.expect("cp starts"), "cp");
    }
}

/// What `make postgres` fetches.
fn fetched() -> PathBuf {
    places::cache().join("postgres-16.14")
}

fn said(output: Output, what: &str) -> String {
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    assert!(output.status.success(), "{what}: {text}");
    text
}

/// The folder of its programs: where the one on the path really is, where Debian puts them, or that of the tests. Panics with what to do when there is none.
fn programs() -> PathBuf {
    let beside = |postgres: PathBuf| Some(postgres.canonicalize().ok()?.parent()?.to_owned());
    let path = std::env::var_os("PATH").unwrap_or_default();
    let installed = std::env::split_paths(&path).map(|folder| folder.join("postgres")).filter_map(beside);
    let mut debians: Vec<PathBuf> =
        std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten().map(|version| version.path().join("bin")).collect();
    debians.sort();
    let own = fetched().join("bin");
    let complete = |folder: &PathBuf| {
        ["postgres", "initdb", "psql", "pg_isready", "pg_dump", "pg_restore"].iter().all(|name| folder.join(name).is_file())
    };
    let found = installed.chain(debians.into_iter().rev()).chain(std::iter::once(own)).find(complete);
    found.expect("there is no PostgreSQL; run `make test`, or `make postgres` before this test, or install one")
}
