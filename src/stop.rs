//! The signals: Ctrl-C and SIGTERM end a run, SIGHUP has the configuration read again.

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::cli::Cli;
use crate::config::Config;

/// Waits for Ctrl-C or SIGTERM.
#[derive(Debug)]
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    /// From here on the signals do not end the process by themselves.
    pub(crate) fn listen() -> anyhow::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt()).context("listen for Ctrl-C")?,
            terminate: signal(SignalKind::terminate()).context("listen for SIGTERM")?,
            hangup: signal(SignalKind::hangup()).context("listen for SIGHUP")?,
        })
    }

    /// Completes with the first signal that ends the run. At a SIGHUP the configuration is read
    /// and checked, so that a mistake shows before the restart that makes it take effect; `reload` exchanges what it
    /// can when it is good, which is what `taken` tells.
    pub(crate) async fn received_or(&mut self, cli: &Cli, reload: impl Fn(&Config), taken: &str) {
        self.received_with(|| Config::load(cli), reload, taken)
            .await;
    }

    /// The same for whoever reads the configuration in a way of its own.
    pub(crate) async fn received_with(
        &mut self,
        load: impl Fn() -> anyhow::Result<Config>,
        reload: impl Fn(&Config),
        taken: &str,
    ) {
        loop {
            tokio::select! {
                _ = self.interrupt.recv() => break,
                _ = self.terminate.recv() => break,
                _ = self.hangup.recv() => match load() {
                    Ok(config) => {
                        reload(&config);
                        if let Err(error) = crate::logging::reload(&config.log) {
                            tracing::error!("the log's filter was not taken: {error:#}");
                        }
                        tracing::info!(
                            "the configuration is good; taken now: {taken} and the log's filter; the rest takes effect at the next start"
                        );
                    }
                    Err(error) => tracing::error!("the configuration was not taken: {error:#}"),
                },
            }
        }
        tracing::info!("stopping");
    }
}
