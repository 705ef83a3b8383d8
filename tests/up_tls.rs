//! `tandem up` with TLS on every listener: its roles find one another, although the certificate is for a
//! name that is not theirs, and nobody gets anything in plain text.

mod common;

use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use common::{await_some, await_true, http, process::Process};
use tandem_http::{Call, Client, ClientConfig, ClientTls, ClientTlsConfig, Url};

const LIMIT: Duration = Duration::from_secs(30);

/// The addresses in the table that it prints: relay, primary, its page, backup, its page.
fn addresses(table: &str) -> Option<[SocketAddr; 5]> {
    let words = table
        .split_whitespace()
        .filter_map(|word| word.strip_prefix("https://"));
    let addresses: Vec<SocketAddr> = words.filter_map(|word| word.parse().ok()).collect();
    addresses.try_into().ok()
}

#[test]
fn every_role_speaks_tls() {
    let home = tempfile::tempdir().expect("a directory");
    let names = vec!["monitoringserver".to_owned()];
    let own = rcgen::generate_simple_self_signed(names).expect("a certificate");
    let pem = home.path().join("server.pem");
    fs::write(&pem, own.cert.pem() + &own.signing_key.serialize_pem()).expect("write");
    let store = format!(
        "https-enabled = true\nhttps-certificate = \"{0}\"\n",
        pem.display()
    );
    let config = home.path().join("tandem.toml");
    let text = format!(
        "[store]\n{store}[backup]\n{store}[relay]\nhttps-certificate = \"{}\"\n",
        pem.display()
    );
    fs::write(&config, text).expect("write");
    let config = config.display().to_string();
    let mut arguments = vec!["up", "--config", &config];
    for option in [
        "--http",
        "--admin",
        "--backup-http",
        "--backup-admin",
        "--relay-http",
    ] {
        arguments.extend([option, "127.0.0.1:0"]);
    }
    let mut tandem = Process::start(&arguments, home.path(), "up");
    let [relay, primary, page, backup, _] = await_some("a table of what runs where", LIMIT, || {
        tandem.assert_alive();
        addresses(&tandem.out())
    });

    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let insecure = ClientTlsConfig {
        insecure_skip_verify: true,
        ..ClientTlsConfig::default()
    };
    let client = Client::new(ClientConfig {
        tls: ClientTls::load(insecure).expect("TLS"),
        ..ClientConfig::default()
    });
    let get = |addr: SocketAddr, target: &str| {
        let url = Url::parse(&format!("https://{addr}")).expect("a URL");
        let answer = runtime.block_on(client.send(&url, Call::get(target)));
        answer.map(|answer| String::from_utf8_lossy(&answer.body.into_bytes()).into_owned())
    };
    for store in [primary, page, backup] {
        await_true("what the agent has measured", LIMIT, || {
            let found = get(store, "/query?db=telegraf&q=SHOW%20MEASUREMENTS");
            found.is_ok_and(|text| text.contains("\"cpu\"") && text.contains("\"system\""))
        });
    }
    // The page asks the relay and the other store in its own name.
    await_true("all parts of the appliance", LIMIT, || {
        let found = get(primary, "/appliance").unwrap_or_default();
        found.contains(&relay.to_string()) && found.contains(&backup.to_string())
    });
    for addr in [relay, primary, page, backup] {
        // Go's server says that much to who has the wrong port.
        if let Ok(plain) = http::get(addr, "/ping") {
            let refusal = "Client sent an HTTP request to an HTTPS server.\n".to_owned();
            assert_eq!(plain, (400, refusal), "{addr}");
        }
    }
}
