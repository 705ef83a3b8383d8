//! Where the host's own files are seen: `/proc`, `/sys` and so on, or the `HOST_*` directories of
//! an agent that runs in a container and has the host mounted beside it.
//!
//! The names of the variables are those that Telegraf's users already set
//! (`shirou/gopsutil internal/common/common.go`, `influxdata/telegraf docs/FAQ.md`).

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The directories that collectors read under.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roots {
    proc: PathBuf,
    sys: PathBuf,
    etc: PathBuf,
    var: PathBuf,
    run: PathBuf,
    dev: PathBuf,
    mountinfo_dir: Option<PathBuf>,
    mount_prefix: Option<PathBuf>,
    proc_is_foreign: bool,
    etc_is_foreign: bool,
}

impl Default for Roots {
    /// The directories of this process's own view.
    fn default() -> Self {
        Self::from_lookup(|_| None)
    }
}

impl Roots {
    /// Reads `HOST_PROC`, `HOST_SYS`, `HOST_ETC`, `HOST_VAR`, `HOST_RUN`, `HOST_DEV`,
    /// `HOST_PROC_MOUNTINFO` and `HOST_MOUNT_PREFIX` from the environment.
    #[must_use]
    pub fn from_env() -> Self {
        Self::from_lookup(|name| std::env::var_os(name))
    }

    /// The same from any source of variables; an empty value counts as not set.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<OsString>) -> Self {
        let get = |name: &str| {
            lookup(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        let or = |name: &str, default: &str| get(name).unwrap_or_else(|| PathBuf::from(default));
        Self {
            proc: or("HOST_PROC", "/proc"),
            sys: or("HOST_SYS", "/sys"),
            etc: or("HOST_ETC", "/etc"),
            var: or("HOST_VAR", "/var"),
            run: or("HOST_RUN", "/run"),
            dev: or("HOST_DEV", "/dev"),
            mountinfo_dir: get("HOST_PROC_MOUNTINFO")
                .and_then(|file| file.parent().map(Path::to_path_buf)),
            mount_prefix: get("HOST_MOUNT_PREFIX"),
            proc_is_foreign: get("HOST_PROC").is_some(),
            etc_is_foreign: get("HOST_ETC").is_some(),
        }
    }

    /// The same layout under `directory`, as this process's own view.
    #[cfg(test)]
    pub(crate) fn under(directory: &Path) -> Self {
        Self {
            proc: directory.join("proc"),
            sys: directory.join("sys"),
            etc: directory.join("etc"),
            var: directory.join("var"),
            run: directory.join("run"),
            dev: directory.join("dev"),
            ..Self::default()
        }
    }

    /// The same, with the host's name taken from its `/etc`.
    #[cfg(test)]
    pub(crate) fn with_foreign_etc(self) -> Self {
        Self {
            etc_is_foreign: true,
            ..self
        }
    }

    /// A path under `/proc`.
    #[must_use]
    pub fn proc(&self, path: impl AsRef<Path>) -> PathBuf {
        self.proc.join(path)
    }

    /// A path under `/sys`.
    #[must_use]
    pub fn sys(&self, path: impl AsRef<Path>) -> PathBuf {
        self.sys.join(path)
    }

    /// A path under `/etc`.
    #[must_use]
    pub fn etc(&self, path: impl AsRef<Path>) -> PathBuf {
        self.etc.join(path)
    }

    /// A path under `/var`.
    #[must_use]
    pub fn var(&self, path: impl AsRef<Path>) -> PathBuf {
        self.var.join(path)
    }

    /// A path under `/run`.
    #[must_use]
    pub fn run(&self, path: impl AsRef<Path>) -> PathBuf {
        self.run.join(path)
    }

    /// A path under `/dev`.
    #[must_use]
    pub fn dev(&self, path: impl AsRef<Path>) -> PathBuf {
        self.dev.join(path)
    }

    /// The directory of `HOST_PROC_MOUNTINFO`, which then is the only one asked for mounts.
    #[must_use]
    pub fn mountinfo_dir(&self) -> Option<&Path> {
        self.mountinfo_dir.as_deref()
    }

    /// Where the host's file systems are mounted in this process's view.
    #[must_use]
    pub fn mount_prefix(&self) -> Option<&Path> {
        self.mount_prefix.as_deref()
    }

    /// True when `/proc` is another view than this process's own, so that `self`, and with it
    /// `net`, is the wrong process and 1 is the right one.
    #[must_use]
    pub fn proc_is_foreign(&self) -> bool {
        self.proc_is_foreign
    }

    /// True when `/etc` is the host's and not this process's own.
    #[must_use]
    pub fn etc_is_foreign(&self) -> bool {
        self.etc_is_foreign
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_variables_the_own_view_is_read() {
        let roots = Roots::default();
        assert_eq!(roots.proc("stat"), Path::new("/proc/stat"));
        assert_eq!(roots.sys("block"), Path::new("/sys/block"));
        assert_eq!(roots.etc("hostname"), Path::new("/etc/hostname"));
        assert_eq!(roots.var("run/utmp"), Path::new("/var/run/utmp"));
        assert_eq!(roots.run("udev"), Path::new("/run/udev"));
        assert_eq!(roots.dev("sda"), Path::new("/dev/sda"));
        assert_eq!(roots.mount_prefix(), None);
        assert!(!roots.proc_is_foreign());
    }

    #[test]
    fn variables_move_each_directory() {
        let roots = Roots::from_lookup(|name| match name {
            "HOST_MOUNT_PREFIX" => Some("/hostfs".into()),
            "HOST_PROC_MOUNTINFO" => Some("/hostfs/proc/7/mountinfo".into()),
            "HOST_SYS" => Some(OsString::new()),
            other => Some(format!("/hostfs/{}", other.to_lowercase()).into()),
        });
        assert_eq!(roots.proc("stat"), Path::new("/hostfs/host_proc/stat"));
        assert_eq!(roots.var("x"), Path::new("/hostfs/host_var/x"));
        assert_eq!(roots.sys("x"), Path::new("/sys/x"), "empty is not set");
        assert_eq!(roots.mount_prefix(), Some(Path::new("/hostfs")));
        assert_eq!(roots.mountinfo_dir(), Some(Path::new("/hostfs/proc/7")));
        assert!(roots.proc_is_foreign());
    }
}
