//! A directory of segments, good, damaged and forged: the log opens or says why not, what it visits comes in order
//! and again at the next open, a reader and a look from outside see the same, and it takes more records.
#![no_main]

mod memory;

use std::path::Path;
use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use memory::Memory;
use tandem_seglog::{Cursor, Error, Log, Options, Recovery, Sequence, fuzzing, peek};
use tandem_vfs::Vfs;

const DIR: &str = "/log";
const SEGMENTS_MAX: usize = 5;
const RECORD_BYTES_MAX: u32 = 100;
const NUMBER_END: Sequence = 1 << 62;

type Record = (Sequence, Vec<u8>);

fuzz_target!(|data: &[u8]| {
    let fs = Arc::new(Memory::default());
    Author::new(&fs).write(data);
    let options = Options {
        segment_bytes_max: 400,
        record_bytes_max: RECORD_BYTES_MAX,
        // Some runs keep files to be written again.
        spare_segments_max: data.len() % 2,
        ..Options::default()
    };
    let mut seen = Vec::new();
    let looked = peek(&*fs, Path::new(DIR), &options, &mut |sequence, record| {
        seen.push((sequence, record.to_vec()));
        Ok(())
    });
    match open(&fs, &options) {
        Ok((log, recovery, records)) => {
            assert!(looked.is_ok());
            assert_eq!(seen, records);
            go_on(&fs, &options, log, &recovery, &records);
        }
        Err(Error::Version { .. } | Error::Twins { .. }) => assert!(looked.is_err()),
        Err(error) => panic!("a file system without faults, and {error}"),
    }
    if fs.exists(&Path::new(DIR).join("cursor"))
        && let Ok(mut cursor) = Cursor::open(&*fs, &Path::new(DIR).join("cursor"))
    {
        cursor
            .store_with(7, b"there")
            .expect("a file system without faults");
        drop(cursor);
        let cursor = Cursor::open(&*fs, &Path::new(DIR).join("cursor"));
        assert_eq!(cursor.expect("what was stored").value(), 7);
    }
});

fn open(fs: &Arc<Memory>, options: &Options) -> Result<(Log, Recovery, Vec<Record>), Error> {
    let mut records: Vec<Record> = Vec::new();
    let vfs: Arc<dyn Vfs> = Arc::clone(fs) as _;
    let (log, recovery) = Log::open(vfs, Path::new(DIR), options.clone(), &mut |n, record| {
        assert!(records.last().is_none_or(|(last, _)| *last < n), "order");
        records.push((n, record.to_vec()));
        Ok(())
    })?;
    assert_eq!(recovery.records, records.len() as u64);
    assert!(
        records
            .last()
            .is_none_or(|(last, _)| *last < log.next_sequence())
    );
    Ok((log, recovery, records))
}

fn go_on(fs: &Arc<Memory>, options: &Options, log: Log, recovery: &Recovery, records: &[Record]) {
    let mut reader = log.reader(0);
    let mut read = Vec::new();
    let mut holes = 0;
    loop {
        match reader.next() {
            Ok(Some(record)) => read.push(record),
            Ok(None) => break,
            Err(Error::Corrupt { .. }) => holes += 1,
            Err(error) => panic!("a file system without faults, and {error}"),
        }
        assert!(holes < 1_000, "each place is told once");
    }
    assert_eq!(read, records, "{recovery:?}");
    if log.next_sequence() >= NUMBER_END {
        // No log comes here by itself.
        return;
    }
    let ticket = log
        .append(&[b"more"])
        .expect("a file system without faults");
    log.commit(&ticket).expect("a file system without faults");
    let mut expected = records.to_vec();
    expected.push((ticket.sequence(), b"more".to_vec()));
    drop((log, reader));
    let (_, again, found) = open(fs, options).expect("what opened opens");
    assert_eq!(found, expected, "{recovery:?} and then {again:?}");
    assert_eq!(again.torn_tail, None);
}

/// Writes what the input says.
struct Author<'a> {
    fs: &'a Memory,
    segments: usize,
    index: u64,
    salt: u32,
    bytes: Vec<u8>,
    /// The number of the next frame, and what it refers to.
    next: Sequence,
    crc: u32,
    /// A frame that was written before.
    before: Vec<u8>,
}

impl<'a> Author<'a> {
    fn new(fs: &'a Memory) -> Self {
        let mut author = Self {
            fs,
            segments: 0,
            index: 0,
            salt: 0x1111,
            bytes: Vec::new(),
            next: 1,
            crc: 0,
            before: Vec::new(),
        };
        author.begin(0, 0);
        author
    }

    fn write(mut self, mut input: &[u8]) {
        while let [what, how, rest @ ..] = input {
            let len = usize::from(*how & 0x3f).min(rest.len());
            let (text, behind) = rest.split_at(len);
            input = rest;
            match what % 12 {
                // A record that follows, alone or in the group of those before it.
                0..3 => {
                    self.frame(
                        self.next,
                        self.next.saturating_sub((how >> 6).into()),
                        self.crc,
                        text,
                    );
                    input = behind;
                }
                // One that does not follow.
                3 => {
                    let sequence = self
                        .next
                        .wrapping_add_signed(i64::from(how.cast_signed()) >> 3);
                    let crc = if how & 1 == 0 { self.crc } else { 0 };
                    self.frame(
                        sequence,
                        sequence.saturating_sub((how & 6).into()),
                        crc,
                        b"odd",
                    );
                }
                // Any bytes.
                4 => {
                    self.bytes.extend_from_slice(text);
                    input = behind;
                }
                5 => {
                    let len = self.bytes.len().saturating_sub((*how).into());
                    self.bytes.truncate(len);
                }
                6 => {
                    let at = self.bytes.len().saturating_sub(1 + usize::from(*how));
                    if let (Some(byte), Some(change)) = (self.bytes.get_mut(at), rest.first()) {
                        *byte ^= change;
                    }
                }
                7 => {
                    let before = self.before.clone();
                    self.bytes.extend_from_slice(&before);
                }
                8 => {
                    // A number from anywhere.
                    let word = rest.first_chunk().copied().unwrap_or([*how; 8]);
                    self.next = u64::from_le_bytes(word);
                }
                9 => self.fs.put(Path::new(DIR).join("cursor"), text.to_vec()),
                10 => {
                    // What an earlier segment of the file may have left.
                    let (bytes, _) =
                        fuzzing::frame(*how as u32, self.next, self.next, self.crc, text);
                    self.bytes.extend_from_slice(&bytes);
                }
                _ => {
                    self.end();
                    if self.segments == SEGMENTS_MAX {
                        return;
                    }
                    self.begin(*how, rest.first().copied().unwrap_or(0));
                }
            }
        }
        self.end();
    }

    fn frame(&mut self, sequence: Sequence, durable_end: Sequence, crc: u32, record: &[u8]) {
        let (bytes, crc) = fuzzing::frame(self.salt, sequence, durable_end, crc, record);
        self.bytes.extend_from_slice(&bytes);
        self.before = bytes;
        self.crc = crc;
        self.next = sequence.wrapping_add(1);
    }

    /// Begins a segment: the bits of `how` say what is odd about it.
    fn begin(&mut self, how: u8, by: u8) {
        let odd = |bit: u8| u64::from(by) * u64::from(how >> bit & 1);
        // Sometimes one is missing, or is there twice.
        self.index = match how & 0xf0 {
            0x50 => self.index + 2,
            0xa0 if self.index > 1 => self.index,
            _ => self.index + 1,
        };
        self.salt = self.salt.wrapping_mul(0x9e37_79b9) ^ u32::from(how);
        let first = self.next.wrapping_add(odd(0));
        let previous_end = self.next.wrapping_sub(odd(1)).wrapping_add(odd(2));
        let (bytes, crc) = fuzzing::segment_header(
            (self.index, self.salt),
            first,
            previous_end,
            RECORD_BYTES_MAX,
            how & 8 != 0,
        );
        self.bytes = bytes;
        self.crc = crc;
        self.next = first;
    }

    fn end(&mut self) {
        let name = fuzzing::segment_name(self.index, self.salt);
        let bytes = std::mem::take(&mut self.bytes);
        self.fs.put(Path::new(DIR).join(name), bytes);
        self.segments += 1;
    }
}
