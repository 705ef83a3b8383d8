//! Tells a service manager (systemd's `Type=notify`) what this process is at.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// Sends `state`, such as `READY=1`, to the socket that `NOTIFY_SOCKET` names; nothing where it names none.
pub(crate) fn notify(state: &str) {
    if let Some(name) = std::env::var_os("NOTIFY_SOCKET")
        && let Err(error) = send(name.as_encoded_bytes(), state)
    {
        tracing::debug!("the service manager was not told {state}: {error}");
    }
}

/// How often the service manager wants to hear `WATCHDOG=1`, else it takes this process for hung: half of what it
/// allows, so that one that comes late is no matter. Nothing where it does not watch.
pub(crate) fn watchdog_interval() -> Option<Duration> {
    let variable = |name: &str| std::env::var(name).ok();
    let (allowed, pid) = (variable("WATCHDOG_USEC"), variable("WATCHDOG_PID"));
    half_of_allowed(&allowed?, pid.as_deref(), std::process::id())
}

fn half_of_allowed(allowed_us: &str, watched: Option<&str>, own: u32) -> Option<Duration> {
    // Processes that this one was started by leave their variables behind.
    if watched.is_some_and(|pid| pid.parse() != Ok(own)) {
        return None;
    }
    let allowed_us: u64 = allowed_us.parse().ok().filter(|us| *us > 1)?;
    Some(Duration::from_micros(allowed_us / 2))
}

/// A name that begins with `@` is none in the file system.
fn send(name: &[u8], state: &str) -> std::io::Result<()> {
    let address = match name.split_first() {
        Some((b'@', name)) => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(std::path::Path::new(
            std::str::from_utf8(name).map_err(std::io::Error::other)?,
        ))?,
    };
    UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &address)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_watched_process_reports_twice_in_its_time() {
        let half = Some(Duration::from_secs(15));
        assert_eq!(half_of_allowed("30000000", None, 7), half);
        assert_eq!(half_of_allowed("30000000", Some("7"), 7), half);
        for (allowed, watched) in [("30000000", Some("8")), ("0", None), ("soon", None)] {
            assert_eq!(half_of_allowed(allowed, watched, 7), None, "{allowed}");
        }
    }

    #[test]
    fn both_kinds_of_names_are_reached() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        send(path.as_os_str().as_encoded_bytes(), "READY=1").unwrap();
        let mut text = [0; 16];
        let length = manager.recv(&mut text).unwrap();
        assert_eq!(&text[..length], b"READY=1");

        let name = format!("tandem-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let manager = UnixDatagram::bind_addr(&address).unwrap();
        send(format!("@{name}").as_bytes(), "STOPPING=1").unwrap();
        let length = manager.recv(&mut text).unwrap();
        assert_eq!(&text[..length], b"STOPPING=1");
        assert!(send(b"/no/such/socket", "READY=1").is_err());
    }
}
