//! `tandem agent` becomes `tandem-agent` where that lies beside it, and `tandem-agent` has `tandem` read its settings.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const WHOLE: &str = env!("CARGO_BIN_EXE_tandem");
const AGENT: &str = env!("CARGO_BIN_EXE_tandem-agent");
const PATIENCE: Duration = Duration::from_secs(60);

/// An agent that is ended with its handle.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts `program`; what it runs as once it says that it is ready.
fn becomes(program: &Path, arguments: &[&str], home: &Path) -> PathBuf {
    let log = home.join("log");
    let file = fs::File::create(&log).unwrap();
    let child = Command::new(program)
        .args(arguments)
        .args(["--relay", "http://127.0.0.1:1", "--data-dir", "data"])
        .current_dir(home)
        .stdin(Stdio::null())
        .stdout(file.try_clone().unwrap())
        .stderr(file)
        .spawn()
        .unwrap();
    let mut running = Running(child);
    let deadline = Instant::now() + PATIENCE;
    loop {
        let said = fs::read_to_string(&log).unwrap();
        if said.contains("ready") {
            return fs::read_link(format!("/proc/{}/exe", running.0.id())).unwrap();
        }
        let ended = running.0.try_wait().unwrap();
        assert!(
            ended.is_none() && Instant::now() < deadline,
            "{ended:?}: {said}"
        );
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn an_agent_runs_in_its_own_program_whoever_is_started() {
    let home = tempfile::tempdir().unwrap();
    let agent = fs::canonicalize(AGENT).unwrap();
    assert_eq!(becomes(Path::new(WHOLE), &["agent"], home.path()), agent);
    assert_eq!(becomes(Path::new(AGENT), &[], home.path()), agent);
}

#[test]
fn each_goes_without_the_other_as_far_as_it_can() {
    let home = tempfile::tempdir().unwrap();
    let alone = home.path().join("tandem");
    if fs::hard_link(WHOLE, &alone).is_err() {
        fs::copy(WHOLE, &alone).unwrap();
    }
    assert_eq!(becomes(&alone, &["agent"], home.path()), alone);
    let other = home.path().join("other");
    fs::create_dir(&other).unwrap();
    let lone = other.join("tandem-agent");
    if fs::hard_link(AGENT, &lone).is_err() {
        fs::copy(AGENT, &lone).unwrap();
    }
    let output = Command::new(&lone).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && said.contains("start "),
        "{said}"
    );
}

#[test]
fn a_telegraf_conf_is_tried_as_telegraf_tries_it() {
    let home = tempfile::tempdir().unwrap();
    let text = "[agent]\nhostname = \"web1\"\nmetric_batch_size = 1000\n\
        [[outputs.influxdb]]\nname_suffix = \"_x\"\n\
        [[inputs.mem]]\nname_prefix = \"t_\"\nfieldpass = [\"total\"]\n[inputs.mem.tags]\nrack = \"r1\"\n\
        [[inputs.kernel]]\nnamedrop = [\"*\"]\n";
    fs::write(home.path().join("telegraf.conf"), text).unwrap();
    for (program, first) in [(WHOLE, Some("agent")), (AGENT, None)] {
        let output = Command::new(program)
            .args(first)
            .args(["--test", "--telegraf-config", "telegraf.conf"])
            .current_dir(home.path())
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{said}");
        let why = "telegraf.conf: agent.metric_batch_size is not used because ";
        assert_eq!(said.matches(why).count(), 1, "{said}");
        let lines = String::from_utf8(output.stdout).unwrap();
        let begin = "> t_mem_x,host=web1,rack=r1 total=";
        let is_it = lines.starts_with(begin) && lines.lines().count() == 1;
        assert!(is_it, "{lines}");
    }
}
