//! Small queries are answered on the thread that read them.
//!
//! To wake another thread and to be woken by it takes longer than what most panels of a dashboard ask for. So a
//! `SELECT` is begun at once, and if it is done within [`TIME_MAX`], from what is in memory, and its answer fits into
//! one piece, that is it. Else it is begun anew on a thread of its own, where it may take its time and notices
//! that its client goes away; queries that look like it are not tried here for a while.
//!
//! What always holds: this thread, which has other requests, waits for no disk and is not held up for long; and
//! nothing that changes anything is run twice.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use tandem_influxql::ast::{Query, Statement};
use tandem_query::{Context, Patience};
use tandem_store::in_memory;
use tokio::sync::oneshot;

use super::query::run;
use crate::{
    auth::Identity,
    output::{Opening, Outlet, Output, Style},
    statements::Runner,
};

/// How long a query may take.
const TIME_MAX: Duration = Duration::from_millis(1);
/// Looks of queries that are told apart.
const LOOKS: usize = 4_096;
/// So many queries of a look are not tried after one that was tried in vain.
const NOT_TRIED: u8 = 100;
/// The same where something had to be read first: then it is in memory.
const NOT_TRIED_COLD: u8 = 2;

/// Which queries are not worth trying.
#[derive(Debug)]
pub(super) struct AtOnce {
    /// For each look how many queries are still not to be tried.
    not_tried: Box<[AtomicU8]>,
}

/// What a query looks like, as a place in the list.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look(usize);

/// A query that may be small, and what to answer it with.
pub(super) struct Small<'a> {
    pub(super) runner: &'a Runner,
    pub(super) query: &'a Query,
    pub(super) context: &'a Context,
    pub(super) identity: &'a Identity,
    pub(super) style: Style,
    pub(super) gzip: bool,
}

impl Default for AtOnce {
    fn default() -> Self {
        Self {
            not_tried: (0..LOOKS).map(|_| AtomicU8::new(0)).collect(),
        }
    }
}

impl AtOnce {
    /// Whether to try a query, and what it looks like.
    pub(super) fn look(&self, query: &Query, text: &str, style: &Style) -> Option<Look> {
        let may_be_small = |statement: &Statement| match statement {
            Statement::Select(_) => statement.is_read_only(),
            Statement::ShowDatabases | Statement::ShowRetentionPolicies { .. } => true,
            // Others ask the index about every series.
            _ => false,
        };
        // What is chunked leaves in pieces.
        if !query.statements.iter().all(may_be_small) || style.chunk_rows.is_some() {
            return None;
        }
        let look = Look::of(text);
        let left = &self.not_tried[look.0];
        let is_out = left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1))
            .is_ok();
        (!is_out).then_some(look)
    }

    /// Runs a query of this look; `None` when it has to be run elsewhere. Else its answer, and how long
    /// that was before gzip.
    pub(super) fn run(&self, look: Look, small: &Small<'_>) -> Option<(Bytes, u64)> {
        let Small {
            runner,
            query,
            context,
            identity,
            style,
            gzip,
        } = *small;
        let patience = Arc::new(Patience::new(TIME_MAX));
        let context = Context {
            patience: Some(Arc::clone(&patience)),
            ..context.clone()
        };
        let (opening, mut opened) = oneshot::channel();
        let gone = Arc::new(AtomicBool::new(false));
        let outlet = Outlet::new(opening, gzip, Duration::ZERO, gone).in_one_piece();
        let output = Output::new(style, outlet);
        let (bytes, is_cold) = in_memory(|| run(runner, query, Ok(&context), identity, output));
        match (bytes, opened.try_recv()) {
            (Ok(bytes), Ok(Opening::Whole(answer))) if !is_cold && !patience.has_ended() => {
                Some((answer, bytes))
            }
            _ => {
                let left = if is_cold { NOT_TRIED_COLD } else { NOT_TRIED };
                self.not_tried[look.0].store(left, Ordering::Relaxed);
                None
            }
        }
    }
}

impl Look {
    /// Queries of one panel differ in their numbers, mostly those of time.
    fn of(text: &str) -> Self {
        let bytes = text.bytes().filter(|byte| !byte.is_ascii_digit());
        // FNV-1a.
        let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        Self((hash >> 32) as usize % LOOKS)
    }
}

#[cfg(test)]
mod tests {
    use tandem_influxql::{Params, parse_query};

    use super::*;
    use crate::output::{Epoch, Format};

    const STYLE: Style = Style {
        format: Format::Json,
        pretty: false,
        epoch: Epoch::Rfc3339,
        chunk_rows: None,
        rows_max: None,
    };

    fn is_tried(at_once: &AtOnce, text: &str, style: Style) -> bool {
        let query = parse_query(text, &Params::new()).unwrap();
        at_once.look(&query, text, &style).is_some()
    }

    #[test]
    fn what_only_reads_is_tried_until_it_was_in_vain() {
        let at_once = AtOnce::default();
        let text = "SELECT v FROM m WHERE time > 17s";
        assert!(is_tried(&at_once, text, STYLE));
        at_once.not_tried[Look::of(text).0].store(2, Ordering::Relaxed);
        let later = "SELECT v FROM m WHERE time > 99s";
        assert!(!is_tried(&at_once, later, STYLE) && !is_tried(&at_once, later, STYLE));
        assert!(is_tried(&at_once, later, STYLE));
        for text in [
            "DROP MEASUREMENT m",
            "SELECT v FROM m; DELETE FROM m",
            "SELECT v INTO n FROM m",
            "KILL QUERY 1",
            "SHOW SERIES",
        ] {
            assert!(!is_tried(&at_once, text, STYLE), "{text}");
        }
        let chunked = Style {
            chunk_rows: Some(10),
            ..STYLE
        };
        assert!(!is_tried(&at_once, text, chunked));
    }
}
