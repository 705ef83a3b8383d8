//! A store whose disk fills up, on a real file system: a small tmpfs. Writes are refused before the
//! log is touched, reads and deletes go on, and with space back writing goes on too, without a
//! restart and without loss.
//!
//! It takes root and a kernel that lets it mount. Where it may not mount it counts as left out, with
//! the reason: for that it has a `main` of its own, which speaks as the test harness does.

mod common;

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
};

use common::{
    PATIENCE, await_true, http,
    loader::DATABASE,
    process::{Process, free_addresses},
};
use serde_json::json;

const DISK: &str = "32m";
/// Of something else on the disk, from the beginning.
const OTHER_BYTES: usize = 8 << 20;
/// Below this the store refuses writes.
const CONFIG: &str = "[store]\nfree-bytes-min = \"6MiB\"\nmemory-bytes-max = \"128MiB\"\nmemtable-bytes-max = \"4MiB\"\nwal-bytes-max = \"4MiB\"\n";

/// A mounted tmpfs, unmounted when dropped.
struct Disk(PathBuf);

impl Disk {
    fn mount(at: &Path) -> Result<Self, String> {
        fs::create_dir_all(at).expect("a directory");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={DISK}"), "tmpfs"]);
        let done = mount.arg(at).output().map_err(|e| e.to_string())?;
        if done.status.success() {
            Ok(Self(at.to_owned()))
        } else {
            Err(String::from_utf8_lossy(&done.stderr).trim().to_owned())
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily, because a process may still be ending.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn count(address: SocketAddr, measurement: &str) -> u64 {
    let query = format!("SELECT count(v) FROM {measurement}");
    let rows = http::rows(address, DATABASE, &query).expect("an answer");
    rows.first()
        .map_or(0, |row| row[1].as_u64().expect("a count"))
}

/// Points that hardly get smaller on disk.
fn batch(measurement: &str, number: u64) -> String {
    let mut state = number + 1;
    let line = |at: u64| {
        let mut text = String::new();
        for _ in 0..24 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(at | 1);
            text.push_str(&format!("{:08x}", (state >> 32) as u32));
        }
        let time_ns = 1_700_000_000_000_000_000 + (number * 100 + at) * 1_000_000;
        format!("{measurement},n={} v={at}i,s=\"{text}\" {time_ns}", at % 10)
    };
    (0..100).map(line).collect::<Vec<_>>().join("\n")
}

const NAME: &str =
    "a_full_disk_refuses_writes_answers_deletes_and_is_left_behind_without_a_restart";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--list") {
        println!("{NAME}: test");
        return;
    }
    let mut names = arguments
        .iter()
        .filter(|name| !name.starts_with('-'))
        .peekable();
    if names.peek().is_some() && !names.any(|name| NAME.contains(name.as_str())) {
        return;
    }
    let home = tempfile::tempdir().expect("a directory");
    let (outcome, counts) = match Disk::mount(&home.path().join("disk")) {
        Ok(disk) => {
            full_disk(home.path(), &disk);
            ("ok".to_owned(), "1 passed; 0 failed; 0 ignored")
        }
        Err(why) => (
            format!("ignored, cannot mount a tmpfs: {why}"),
            "0 passed; 0 failed; 1 ignored",
        ),
    };
    println!("\nrunning 1 test\ntest {NAME} ... {outcome}\n");
    println!("test result: ok. {counts}; 0 measured; 0 filtered out");
}

fn full_disk(home: &Path, disk: &Disk) {
    let config = home.join("tandem.toml");
    fs::write(&config, CONFIG).expect("a configuration");
    let [address] = free_addresses();
    let (http_address, data) = (address.to_string(), disk.0.join("data"));
    let arguments = [
        "store",
        "--config",
        config.to_str().expect("UTF-8"),
        "--data-dir",
        data.to_str().expect("UTF-8"),
        "--http",
        &http_address,
        "--admin",
        "off",
    ];
    let mut process = Process::start(&arguments, home, "store");
    process.await_ping(address);

    let other = disk.0.join("other");
    fs::write(&other, vec![0_u8; OTHER_BYTES]).expect("a file");

    // Fill it until it refuses.
    let mut acknowledged = 0;
    let mut refusal = None;
    for number in 0..2_000 {
        let measurement = if number % 2 == 0 { "kept" } else { "spare" };
        let answer = http::write(address, DATABASE, &batch(measurement, number));
        let (status, body) = answer.expect("an answer");
        if status == 204 {
            acknowledged += 100;
            continue;
        }
        refusal = Some((status, body));
        break;
    }
    let (status, body) = refusal.expect("a small disk fills up");
    assert_eq!(status, 503, "{body}");
    assert!(body.contains("no space left on device"), "{body}");
    assert!(acknowledged > 1_000, "{acknowledged}");

    // What was acknowledged is there, and reading goes on.
    assert_eq!(
        count(address, "kept") + count(address, "spare"),
        acknowledged
    );
    let kept = count(address, "kept");
    // Something else takes the rest of the disk: nothing at all is free.
    let filler = disk.0.join("filler");
    let mut bytes = 64 << 20;
    while bytes >= 4_096 {
        let have = fs::metadata(&filler).map_or(0, |m| m.len());
        let file = fs::File::options().create(true).append(true).open(&filler);
        let mut file = file.expect("a file");
        let piece = vec![0_u8; bytes];
        if std::io::Write::write_all(&mut file, &piece).is_err() {
            let now = fs::metadata(&filler).map_or(0, |m| m.len());
            if now == have {
                bytes /= 2;
            }
        }
    }
    let health = http::get(address, "/health").expect("an answer");
    assert_eq!(health.0, 503, "{}", health.1);
    assert_eq!(http::get(address, "/ping").expect("an answer").0, 204);
    assert_eq!(count(address, "kept"), kept);
    // Deleting works, and takes.
    assert!(http::statement(
        address,
        DATABASE,
        "DELETE FROM spare WHERE time < 1700000001s"
    ));
    assert!(http::statement(address, DATABASE, "DROP MEASUREMENT spare"));
    assert_eq!(count(address, "spare"), 0);
    assert_eq!(count(address, "kept"), kept);

    // Killed and started again on the full disk, it answers the same.
    process.kill();
    let mut process = Process::start(&arguments, home, "store");
    process.await_ping(address);
    assert_eq!((count(address, "kept"), count(address, "spare")), (kept, 0));

    // Space is back: writing goes on.
    fs::remove_file(&filler).expect("the filler");
    fs::remove_file(&other).expect("the other file");
    await_true("a write is taken again", PATIENCE, || {
        let written = http::write(address, DATABASE, &batch("after", 1));
        written.is_ok_and(|(status, _)| status == 204)
    });
    assert_eq!(count(address, "after"), 100);
    process.kill();
    let mut process = Process::start(&arguments, home, "store");
    process.await_ping(address);
    assert_eq!(
        json!([
            count(address, "kept"),
            count(address, "spare"),
            count(address, "after")
        ]),
        json!([kept, 0, 100])
    );
}
