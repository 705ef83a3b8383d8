//! The tags that every line of this agent bears.

use crate::batch::Tags;
use crate::config::{Config, Hostname};
use crate::roots::Roots;

/// The global tags and `host`, which wins over a global tag of that key.
pub(crate) fn tags(config: &Config) -> Tags {
    let host = match &config.hostname {
        Hostname::Host => Some(of_host(&config.roots)),
        Hostname::Is(name) => Some(name.clone()),
        Hostname::Omit => None,
    };
    let global = config
        .global_tags
        .iter()
        .filter(|(key, _)| host.is_none() || key != "host")
        .cloned();
    global
        .chain(host.clone().map(|name| ("host".to_owned(), name)))
        .collect()
}

/// The name of this host.
pub(crate) fn of_host(roots: &Roots) -> String {
    if roots.etc_is_foreign()
        && let Ok(text) = std::fs::read_to_string(roots.etc("hostname"))
        && let Some(name) = text.lines().map(str::trim).find(|line| !line.is_empty())
    {
        return name.to_owned();
    }
    let uname = rustix::system::uname();
    uname.nodename().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(hostname: Hostname, global: &[(&str, &str)]) -> Config {
        let mut config = Config::new(Vec::new(), "/no/such".into());
        config.hostname = hostname;
        config.global_tags = global
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        config
    }

    #[test]
    fn the_host_is_named_once() {
        let tags = tags(&config(
            Hostname::Is("web1".into()),
            &[("host", "x"), ("dc", "y")],
        ));
        let expected = [("dc", "y"), ("host", "web1")].map(|(k, v)| (k.to_owned(), v.to_owned()));
        assert_eq!(*tags, expected);
    }

    #[test]
    fn it_can_be_left_out_or_be_global() {
        assert_eq!(tags(&config(Hostname::Omit, &[])).len(), 0);
        let tags = tags(&config(Hostname::Omit, &[("host", "x")]));
        assert_eq!(tags[0].1, "x");
    }

    #[test]
    fn a_container_tells_its_hosts_name() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("hostname"), "\n node7 \nx\n").unwrap();
        let etc = dir.path().to_path_buf();
        let roots = Roots::from_lookup(|name| (name == "HOST_ETC").then(|| etc.clone().into()));
        assert_eq!(of_host(&roots), "node7");
        assert!(!of_host(&Roots::default()).is_empty());
    }
}
