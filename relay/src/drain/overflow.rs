//! Makes room in a full queue, where the operator chose that its oldest batches go.

use tokio::time::Instant;

use super::Drainer;
use crate::off_loop::off_loop;
use crate::queue::DROPPED_OLDEST;
use crate::window::State;

impl Drainer {
    /// Drops the oldest hints, as far as somebody who needs the room asks for it.
    pub(super) async fn drop_what_is_asked(&mut self) {
        let asked = self.backlog.bytes_to_drop();
        let now = Instant::now();
        let (mut bytes, mut index) = (0, 0);
        let mut indexes = Vec::new();
        let mut lost = Vec::new();
        while bytes < asked
            && let Some(item) = self.window.at(index)
        {
            // It is older than all behind it: they wait until it has landed, and can no longer come late.
            let (settle, is_wanted) = self.backlog.due(item.sequence);
            let may_come_late = item.ghost_until.is_some_and(|until| until > now);
            if may_come_late || !settle.is_past(now) {
                break;
            }
            match &item.state {
                State::Flying => break,
                State::Waiting(_) if !is_wanted => item.state = State::Done,
                State::Waiting(parcel) => {
                    bytes += item.bytes;
                    lost.push(parcel.rest());
                    indexes.push(index);
                }
                State::Done | State::Moved => {}
            }
            index += 1;
        }
        if lost.is_empty() {
            return;
        }
        let lines: Vec<u64> = lost.iter().map(|(head, _)| head.lines).collect();
        let backend = self.backend.clone();
        let recorded = off_loop(move || backend.queue.gaps.record_all(&lost, DROPPED_OLDEST));
        if let Err(error) = recorded.await {
            let what = "a loss cannot be recorded, so nothing is dropped";
            self.backend.report.trouble(what, &error);
            return;
        }
        for (index, lines) in indexes.into_iter().zip(lines) {
            if let Some(item) = self.window.at(index) {
                item.state = State::Done;
            }
            self.backend.report.dropped(lines);
        }
        self.window.pass(&mut self.passed);
        self.store().await;
        // Said after there is room: else more would be asked for meanwhile.
        self.backlog.dropped(bytes);
    }
}
