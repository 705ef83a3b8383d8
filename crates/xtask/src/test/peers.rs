//! Debian's own programs, unchanged, against a store: `curl` over TLS, collectd to the listener for it, and a Prometheus
//! that writes to the store and reads from it.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, ensure};

use super::{
    Bench, Tally,
    appliance::{self, Store},
    process::{self, Running, free_addresses, get, on_path},
};

/// A call of a small program.
const CALL_MAX: Duration = Duration::from_secs(20);
/// Until something that happens every second has happened.
const PATIENCE: Duration = Duration::from_secs(40);
/// Where Debian has daemons, which is not on every path.
const COLLECTD: &str = "/usr/sbin/collectd";

/// One program's part; `Err` says what did not hold.
type Check = fn(&mut Bench<'_>, &Path) -> anyhow::Result<()>;

/// A check, and the programs that it needs, each with its package.
type Part = (&'static str, &'static [(&'static str, &'static str)], Check);

const PARTS: [Part; 3] = [
    (
        "curl over TLS",
        &[("curl", "curl"), ("openssl", "openssl")],
        curl,
    ),
    ("collectd", &[(COLLECTD, "collectd-core")], collectd),
    ("Prometheus", &[("prometheus", "prometheus")], prometheus),
];

pub(super) fn run(bench: &mut Bench<'_>) -> anyhow::Result<Tally> {
    let scratch = appliance::scratch(bench.root)?.join("peers");
    let mut tally = Tally::default();
    for (name, programs, check) in PARTS {
        let missing = programs
            .iter()
            .find(|(program, _)| !Path::new(program).is_file() && !on_path(program));
        if let Some((program, package)) = missing {
            tally.add(bench.missing(&format!("{program} is not installed (package {package})")));
            continue;
        }
        let home = scratch.join(name.replace(' ', "-"));
        let _ = fs::remove_dir_all(&home);
        fs::create_dir_all(&home).with_context(|| format!("create {}", home.display()))?;
        match check(bench, &home) {
            Ok(()) => {
                println!("ok  {name}");
                tally.pass(1);
            }
            Err(why) => {
                println!("not ok  {name}: {why:#}");
                tally.fail(format!("{name}: {why:#}"));
            }
        }
    }
    Ok(tally)
}

/// Whether a query of the store is answered with something that holds `wanted`.
fn holds(api: SocketAddr, database: &str, query: &str, wanted: &str) -> bool {
    let query = query.replace(' ', "%20").replace('"', "%22");
    let answer = get(api, &format!("/query?db={database}&q={query}"));
    answer.is_some_and(|(_, body)| body.contains(wanted))
}

/// A certificate for 127.0.0.1 that signs itself, and its key, in one file.
fn certificate(home: &Path, name: &str) -> anyhow::Result<PathBuf> {
    let (certificate, key) = (home.join(name), home.join("key.pem"));
    let mut command = Command::new("openssl");
    command.args(["req", "-x509", "-newkey", "ec", "-nodes", "-days", "2"]);
    command.args(["-pkeyopt", "ec_paramgen_curve:prime256v1"]);
    command.args([
        "-subj",
        "/CN=store",
        "-addext",
        "subjectAltName=IP:127.0.0.1",
    ]);
    command
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&certificate);
    let done = process::run(&mut command, CALL_MAX, |_, _| {})?;
    ensure!(done.success, "openssl: {}", done.err);
    let both = fs::read_to_string(&certificate)? + &fs::read_to_string(&key)?;
    fs::write(&certificate, both)?;
    Ok(certificate)
}

fn curl(bench: &mut Bench<'_>, home: &Path) -> anyhow::Result<()> {
    let certificate_path = certificate(home, "server.pem")?;
    let config = format!(
        "[store]\nhttps-enabled = true\nhttps-certificate = \"{}\"\n",
        certificate_path.display()
    );
    let mut store = Store::configured(bench.root, "tls", &config, false)?;
    let base = format!("https://{}", store.api);
    let call = |ca: &Path, rest: &[&str]| {
        let mut command = Command::new("curl");
        command
            .args([
                "--silent",
                "--show-error",
                "--fail-with-body",
                "--max-time",
                "10",
            ])
            .arg("--cacert")
            .arg(ca)
            .args(rest);
        process::run(&mut command, CALL_MAX, |_, _| {})
    };
    let ping = format!("{base}/ping");
    let answers = |ca: &Path| call(ca, &[&ping]).is_ok_and(|done| done.success);
    let first = home.join("first.pem");
    fs::copy(&certificate_path, &first)?;
    store
        .running
        .await_that("it answers over TLS", PATIENCE, || answers(&first))?;

    let target = format!("{base}/write?db=telegraf");
    let written = call(&first, &["--data-binary", "m v=1 1", &target])?;
    ensure!(written.success, "write: {}", written.err);
    let target = format!("{base}/query?db=telegraf");
    let asked = call(
        &first,
        &["-G", "--data-urlencode", "q=SELECT v FROM m", &target],
    )?;
    ensure!(
        asked.out.contains("[\"1970-01-01T00:00:00.000000001Z\",1]"),
        "query: {}{}",
        asked.out,
        asked.err
    );
    for version in ["--tlsv1.3", "--tls-max"] {
        let arguments = match version {
            "--tls-max" => vec!["--tls-max", "1.2", &ping],
            _ => vec![version, &ping],
        };
        let done = call(&first, &arguments)?;
        ensure!(done.success, "{version}: {}", done.err);
    }
    // Plain text is told so.
    let plain = format!("http://{}/ping", store.api);
    let told = call(&first, &["--http0.9", &plain])?;
    ensure!(
        told.out
            .contains("Client sent an HTTP request to an HTTPS server."),
        "plain text: {told:?}"
    );

    // A renewed certificate is taken without a restart; the old one is no longer shown.
    let renewed = certificate(home, "renewed.pem")?;
    ensure!(!answers(&renewed), "a stranger's certificate was believed");
    fs::copy(&renewed, home.join("second.pem"))?;
    fs::rename(&renewed, &certificate_path)?;
    store.running.hang_up();
    let second = home.join("second.pem");
    store
        .running
        .await_that("the renewed certificate is shown", PATIENCE, || {
            answers(&second)
        })?;
    ensure!(!answers(&first), "the old certificate is still shown");
    Ok(())
}

fn collectd(bench: &mut Bench<'_>, home: &Path) -> anyhow::Result<()> {
    let auth = home.join("auth");
    fs::write(&auth, "alice: correct horse\n")?;
    let levels = ["None", "Sign", "Encrypt"];
    let ports: [SocketAddr; 3] = free_addresses()?;
    let (mut config, mut servers) = (String::from("[store]\n"), String::new());
    for (level, port) in levels.into_iter().zip(ports) {
        let word = level.to_lowercase();
        config += &format!(
            "[[store.collectd]]\nbind-address = \"{port}\"\ndatabase = \"c_{word}\"\nsecurity-level = \"{word}\"\n\
             auth-file = \"{}\"\nbatch-timeout = \"100ms\"\n",
            auth.display()
        );
        servers += &format!(
            "<Server \"{}\" \"{}\">\nSecurityLevel {level}\nUsername \"alice\"\nPassword \"correct horse\"\n</Server>\n",
            port.ip(),
            port.port()
        );
    }
    let mut store = Store::configured(bench.root, "collectd", &config, true)?;
    let text = format!(
        "Hostname \"tandem-test\"\nFQDNLookup false\nInterval 1\nBaseDir \"{home}\"\nPIDFile \"{home}/pid\"\n\
         TypesDB \"/usr/share/collectd/types.db\"\nLoadPlugin load\nLoadPlugin memory\nLoadPlugin network\n\
         <Plugin network>\n{servers}</Plugin>\n",
        home = home.display()
    );
    let path = home.join("collectd.conf");
    fs::write(&path, text)?;
    let mut command = Command::new(COLLECTD);
    command.arg("-f").arg("-C").arg(&path);
    let _collectd = Running::start(&mut command, &home.join("collectd.log"))?;
    let api = store.api;
    for level in levels {
        let database = format!("c_{}", level.to_lowercase());
        let query = "SELECT last(value) FROM load_shortterm GROUP BY host, type";
        let wanted = "\"tags\":{\"host\":\"tandem-test\",\"type\":\"load\"}";
        let what = format!("load came with security level {level}");
        store
            .running
            .await_that(&what, PATIENCE, || holds(api, &database, query, wanted))?;
        let query = "SELECT last(value) FROM memory_value GROUP BY type_instance";
        ensure!(holds(api, &database, query, "\"free\""), "no free memory");
    }
    Ok(())
}

fn prometheus(bench: &mut Bench<'_>, home: &Path) -> anyhow::Result<()> {
    let mut store = Store::configured(
        bench.root,
        "prometheus",
        "[store]\ndatabase = \"prom\"\n",
        true,
    )?;
    let api = store.api;
    // A metric that only the store knows.
    let line = "only_here,__name__=only_here,place=store value=42";
    let body = home.join("line");
    fs::write(&body, line)?;
    let mut command = Command::new("curl");
    command
        .args(["--silent", "--fail", "--data-binary"])
        .arg(format!("@{}", body.display()))
        .arg(format!("http://{api}/write?db=prom"));
    let written = process::run(&mut command, CALL_MAX, |_, _| {})?;
    ensure!(written.success, "write: {}", written.err);

    let [listen] = free_addresses()?;
    let config = format!(
        "global:\n  scrape_interval: 1s\nscrape_configs:\n- job_name: self\n  static_configs:\n  - targets: ['{api}']\n\
         remote_write:\n- url: http://{api}/api/v1/prom/write?db=prom\n  queue_config:\n    batch_send_deadline: 1s\n\
         remote_read:\n- url: http://{api}/api/v1/prom/read?db=prom\n  read_recent: true\n"
    );
    let path = home.join("prometheus.yml");
    fs::write(&path, config)?;
    let mut command = Command::new("prometheus");
    command
        .arg(format!("--config.file={}", path.display()))
        .arg(format!(
            "--storage.tsdb.path={}",
            home.join("data").display()
        ))
        .arg(format!("--web.listen-address={listen}"));
    let mut running = Running::start(&mut command, &home.join("prometheus.log"))?;
    running.await_that("it is ready", PATIENCE, || {
        get(listen, "/-/ready").is_some_and(|(status, _)| status == 200)
    })?;
    store
        .running
        .await_that("what it scraped is in the store", PATIENCE, || {
            holds(
                api,
                "prom",
                "SELECT last(value) FROM tandem_store_uptime_seconds GROUP BY job",
                "\"tags\":{\"job\":\"self\"}",
            )
        })?;
    running.await_that(
        "it answers with what only the store knows",
        PATIENCE,
        || {
            get(listen, "/api/v1/query?query=only_here").is_some_and(|(_, body)| {
                body.contains("\"place\":\"store\"") && body.contains("\"42\"")
            })
        },
    )
}
