//! The log as its users see it. How records become durable together is in `commit`.

use std::path::Path;
use std::sync::{Arc, PoisonError};

use tandem_vfs::Vfs;

use crate::commit::Shared;
use crate::frame::{self, FrameHeader};
use crate::group::Ticket;
use crate::{Error, LogStats, Options, Reader, Recovery, Sequence, UserError, Visitor, recovery};

/// An open log. Clones are the same log; its directory stays locked until the last clone and the
/// last reader are gone. Records that were staged and never committed are lost then.
#[derive(Clone, Debug)]
pub struct Log {
    shared: Arc<Shared>,
}

impl Log {
    /// Opens the log in `dir`, which is made if missing, and hands every record that survived to
    /// `visit`, in order. On `Ok` all of them are durable, as is the directory.
    ///
    /// The directory is locked ([`Vfs::lock_dir`]): it must not be one that the caller has locked already.
    ///
    /// # Errors
    /// [`Error::Locked`] when someone has it open; [`Error::Visit`] with the visitor's error;
    /// [`Error::Version`] and [`Error::Twins`] when the files ask for a decision; [`Error::Io`].
    /// Damage is no error: see [`Recovery::corruptions`].
    pub fn open(
        vfs: Arc<dyn Vfs>,
        dir: &Path,
        options: Options,
        visit: &mut Visitor<'_>,
    ) -> Result<(Log, Recovery), Error> {
        let lock = recovery::prepare_dir(&*vfs, dir)?;
        let recovered = recovery::recover(&*vfs, dir, &options, visit)?;
        let recovery = recovered.recovery.clone();
        let shared = Shared::new(vfs, dir.to_owned(), options, lock, recovered);
        let log = Log {
            shared: Arc::new(shared),
        };
        Ok((log, recovery))
    }

    /// Stages one record made of `parts`, end to end. It is not durable before [`Log::commit`].
    ///
    /// Cheap, unless `pending_bytes_max` is reached: then it writes what is staged, or waits for the one who does.
    ///
    /// # Errors
    /// [`Error::TooLarge`], [`Error::Failed`], and at `pending_bytes_max` whatever `commit` gives. Nothing was staged.
    pub fn append(&self, parts: &[&[u8]]) -> Result<Ticket, Error> {
        let bytes = parts.iter().map(|part| part.len()).sum();
        let length = self.shared.record_length(bytes)?;
        let record_crc = frame::record_crc(parts);
        let mut state = self.shared.room()?;
        let header = FrameHeader {
            length,
            sequence: state.next_sequence,
            durable_end: state.next_sequence,
            previous_crc: 0,
            record_crc,
        };
        state.pending.extend_from_slice(&header.encode(0));
        for part in parts {
            state.pending.extend_from_slice(part);
        }
        Ok(self.shared.staged(&mut state))
    }

    /// As [`Log::append`], with a record that `encode` puts behind what the buffer holds. It is told the number that
    /// the record will have, and must only add to the buffer. No other record is staged meanwhile.
    ///
    /// A number that is not above the one before means that records staged since have failed and
    /// their numbers are given out again: an encoder whose records build on one another checks this.
    ///
    /// # Errors
    /// [`Error::Encode`] with the encoder's own, and those of `append`. Nothing was staged. [`Error::Broken`] when
    /// the encoder removed what was not its own: all that was staged is lost.
    pub fn append_with(
        &self,
        encode: impl FnOnce(Sequence, &mut Vec<u8>) -> Result<(), UserError>,
    ) -> Result<Ticket, Error> {
        let mut state = self.shared.room()?;
        let sequence = state.next_sequence;
        let start = state.pending.len();
        let body = start + frame::HEADER_BYTES;
        state.pending.resize(body, 0);
        if let Err(e) = encode(sequence, &mut state.pending) {
            state.pending.truncate(start);
            return Err(Error::Encode { source: e.into() });
        }
        let Some(record) = state.pending.get(body..) else {
            let broken = self.shared.broken();
            let pending_first = state.pending_first;
            state.rewind(pending_first, &broken);
            self.shared.settled.notify_all();
            return Err(broken);
        };
        let record_crc = frame::record_crc(&[record]);
        let length = match self.shared.record_length(record.len()) {
            Ok(length) => length,
            Err(e) => {
                state.pending.truncate(start);
                return Err(e);
            }
        };
        let header = FrameHeader {
            length,
            sequence,
            durable_end: sequence,
            previous_crc: 0,
            record_crc,
        };
        if let Some(place) = state.pending.get_mut(start..body) {
            place.copy_from_slice(&header.encode(0));
        }
        Ok(self.shared.staged(&mut state))
    }

    /// Returns when the record is durable, and with it all before it. Whoever comes first writes for all that wait.
    ///
    /// # Errors
    /// Why the group of this record failed: it is not acknowledged, and may or may not be found after a crash.
    /// After [`Error::Io`] the log goes on (unless that was a sync; then every later call gives [`Error::Failed`]).
    pub fn commit(&self, ticket: &Ticket) -> Result<(), Error> {
        self.shared.settle(self.shared.lock(), &ticket.group)
    }

    /// Makes everything staged so far durable.
    ///
    /// # Errors
    /// As [`Log::commit`].
    pub fn commit_all(&self) -> Result<(), Error> {
        self.shared.settle_all()
    }

    /// Writes what is staged and begins a new segment, unless the last one is empty. Then
    /// [`Log::cut_below`] the next sequence frees everything before.
    ///
    /// # Errors
    /// As [`Log::commit`].
    pub fn rotate(&self) -> Result<(), Error> {
        self.shared.rotate()
    }

    /// Removes the segments all of whose records are below `sequence`, oldest first, never the last one, or keeps their
    /// files as spares ([`Options::spare_segments_max`]). On `Ok` they are gone for good; after a crash a segment may be back only if all younger ones are there too.
    ///
    /// # Errors
    /// [`Error::Io`]; the segments not yet removed stay, and a later call tries again.
    /// [`Error::Failed`] once a sync has failed.
    pub fn cut_below(&self, sequence: Sequence) -> Result<(), Error> {
        let shared = &*self.shared;
        let _cutting = shared
            .cutting
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        loop {
            let mut state = shared.lock();
            state.check(&shared.dir)?;
            let Some(second) = state.segments.get(1) else {
                return Ok(());
            };
            if second.previous_end > sequence {
                return Ok(());
            }
            let Some(segment) = state.segments.pop_front() else {
                return Ok(());
            };
            drop(state);
            let path = segment.id.path(&shared.dir);
            let spare = shared
                .keeps(&path)
                .then(|| segment.id.spare_path(&shared.dir));
            let gone = match &spare {
                Some(spare) => shared.vfs.rename(&path, spare),
                None => shared.vfs.remove_file(&path),
            };
            let spare = match gone {
                Ok(()) => spare,
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => None,
                Err(e) => {
                    shared.lock().segments.push_front(segment);
                    return Err(Error::io("remove", &path, e));
                }
            };
            // One by one: were two removals open at once, the younger alone might survive a crash.
            if let Err(e) = shared.vfs.sync_dir(&shared.dir) {
                let error = Error::io("sync", &shared.dir, e);
                let mut state = shared.lock();
                state.segments.push_front(segment);
                shared.stop(&mut state, &error);
                return Err(error);
            }
            // Only now, when a crash cannot bring its old name back.
            if let Some(spare) = spare {
                shared.spares.add(spare);
            }
        }
    }

    /// Ends all doubt: what was staged is written, and a record that failed is not found after a restart. To be asked
    /// before something is promised elsewhere that builds on its failure.
    ///
    /// # Errors
    /// As [`Log::commit`] for what is staged. [`Error::Failed`] once a sync has failed, since what was under way then may be
    /// found or not; [`Error::Io`] where the end cannot be cut for now.
    pub fn settle_end(&self) -> Result<(), Error> {
        self.shared.clean()
    }

    /// Gives the disk back what is kept to be written again: removes the spare files, and cuts the file of the last
    /// segment to what the log holds of it. Segments that are cut later are kept as before.
    ///
    /// # Errors
    /// As [`Log::commit`], since what is staged is written; otherwise [`Error::Io`], and nothing is lost.
    pub fn release_spares(&self) -> Result<(), Error> {
        let shared = &*self.shared;
        while let Some(spare) = shared.spares.take() {
            if let Err(e) = shared.vfs.remove_file(&spare)
                && e.kind() != std::io::ErrorKind::NotFound
            {
                let error = Error::io("remove", &spare, e);
                shared.spares.add(spare);
                return Err(error);
            }
        }
        shared.trim()
    }

    /// How many files are kept to be written again.
    #[must_use]
    pub fn spares(&self) -> usize {
        self.shared.spares.count()
    }

    /// Follows the records from `from` on (or the first there is, if later), those already durable and those to come.
    #[must_use]
    pub fn reader(&self, from: Sequence) -> Reader {
        Reader::new(Arc::clone(&self.shared), from)
    }

    /// All records below this are durable.
    #[must_use]
    pub fn durable_end(&self) -> Sequence {
        self.shared.lock().durable_end
    }

    /// The number that the next staged record gets.
    #[must_use]
    pub fn next_sequence(&self) -> Sequence {
        self.shared.lock().next_sequence
    }

    /// The first record that is still there has this number, or a later one.
    #[must_use]
    pub fn first_sequence(&self) -> Sequence {
        let state = self.shared.lock();
        state.segments.front().map_or(0, |s| s.first_sequence)
    }

    /// Bytes in the segments, staged ones not included.
    #[must_use]
    pub fn bytes_total(&self) -> u64 {
        self.shared.lock().segments.iter().map(|s| s.bytes).sum()
    }

    /// What the log has done since it was opened.
    #[must_use]
    pub fn stats(&self) -> LogStats {
        self.shared.counters.read()
    }

    /// How many segments there are; at least one.
    #[must_use]
    pub fn segments(&self) -> usize {
        self.shared.lock().segments.len()
    }

    /// Why the log stopped for good, if it did.
    ///
    /// # Errors
    /// [`Error::Failed`] after a failed sync.
    pub fn check(&self) -> Result<(), Error> {
        self.shared.lock().check(&self.shared.dir)
    }
}
