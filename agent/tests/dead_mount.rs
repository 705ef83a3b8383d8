//! A file system whose server never answers, as NFS is when its server is gone: nothing else is measured later for it.
//!
//! It is a FUSE mount whose other end a shell holds open without ever reading from it. Mounting it needs root;
//! without that the test says so.

mod support;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use support::{Relay, config, takes_all, times};
use tandem_agent::{Agent, DiskOptions, World};

/// The mount, gone when dropped.
struct Dead {
    shell: Child,
    point: PathBuf,
}

impl Dead {
    /// Mounts it; `Err` says why it cannot be here.
    fn mount(point: &Path) -> Result<Self, String> {
        std::fs::create_dir_all(point).map_err(|error| error.to_string())?;
        let script = "exec 3<>/dev/fuse || exit 1; \
             mount -i -t fuse -o fd=3,rootmode=40000,user_id=0,group_id=0 dead \"$0\" || exit 1; \
             echo mounted; read forever";
        let mut shell = Command::new("sh")
            .args(["-c", script])
            .arg(point)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| error.to_string())?;
        let mut said = String::new();
        let out = shell.stdout.take().ok_or("no output")?;
        let read = BufReader::new(out).read_line(&mut said);
        let dead = Self {
            shell,
            point: point.to_owned(),
        };
        match read {
            Ok(_) if said == "mounted\n" => Ok(dead),
            _ => Err("a FUSE file system cannot be mounted here".to_owned()),
        }
    }
}

impl Drop for Dead {
    fn drop(&mut self) {
        // Without its other end every call to it returns.
        let _ = self.shell.kill();
        let _ = self.shell.wait();
        let _ = Command::new("umount")
            .arg("-l")
            .arg(&self.point)
            .stderr(Stdio::null())
            .status();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_file_system_costs_its_own_lines_alone() {
    const INTERVAL_NS: i64 = 250_000_000;
    let dir = tempfile::tempdir().unwrap();
    let dead = match Dead::mount(&dir.path().join("dead")) {
        Ok(dead) => dead,
        Err(why) => {
            println!("SKIPPED: {why}");
            return;
        }
    };
    let relay = Relay::start(takes_all());
    let mut config = config(&[&relay], &dir.path().join("data"));
    config.interval = Duration::from_nanos(INTERVAL_NS.unsigned_abs());
    config.collectors.disk = Some(DiskOptions {
        // What this machine has mounted elsewhere is of no interest here.
        mount_points: vec!["/".to_owned(), dead.point.display().to_string()],
        ..DiskOptions::default()
    });
    let agent = Agent::start(config, World::default()).unwrap();
    let of = |relay: &Relay, name: &str| -> Vec<String> {
        let lines = relay.taken();
        lines
            .into_iter()
            .filter(|line| line.starts_with(name))
            .collect()
    };
    relay.wait("memory and the living file system", |relay| {
        of(relay, "mem,").len() >= 12 && of(relay, "disk,").len() >= 4
    });
    let moments: Vec<i64> = times(&of(&relay, "mem,")).into_iter().collect();
    let late = moments
        .windows(2)
        .filter(|pair| pair[1] - pair[0] > 2 * INTERVAL_NS)
        .count();
    // One may be late on a machine that is busy; each would be if it waited for the dead one.
    assert!(late <= 1, "{moments:?}");
    let disks = of(&relay, "disk,");
    assert!(
        disks
            .iter()
            .all(|line| line.contains("path=/ ") || line.contains("path=/,")),
        "{disks:?}"
    );
    assert!(agent.accounts().gather_errors >= 1, "it is told once");
    drop(dead);
    let accounts = agent.stop().await;
    assert!(accounts.is_balanced(), "{accounts}");
}
