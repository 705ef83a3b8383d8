//! Where the newest chunk of each series lies: a small array for each 32 ids.
//!
//! Ids are dense and those that are written together are mostly neighbours, so a page costs about
//! five bytes a series, and a memtable with few series has few pages.

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use tandem_model::SeriesId;

/// Bits of an id that say where in its page.
const PAGE_BITS: u32 = 5;
const PAGE_IDS: usize = 1 << PAGE_BITS;
/// No chunk.
pub(super) const NONE: u32 = u32::MAX;

type Page = [u32; PAGE_IDS];

/// See the module's head.
#[derive(Debug, Default)]
pub(super) struct Heads {
    pages: HashMap<u32, Box<Page>, FixedState>,
}

impl Heads {
    /// The address of the series' newest chunk, or [`NONE`].
    pub(super) fn get(&self, series: SeriesId) -> u32 {
        let page = self.pages.get(&(series.0 >> PAGE_BITS));
        page.map_or(NONE, |page| page[place(series)])
    }

    /// The same, to be changed.
    pub(super) fn get_mut(&mut self, series: SeriesId) -> &mut u32 {
        let page = self.pages.entry(series.0 >> PAGE_BITS);
        &mut page.or_insert_with(|| Box::new([NONE; PAGE_IDS]))[place(series)]
    }

    /// The series that have chunks, in no order.
    pub(super) fn series(&self) -> impl Iterator<Item = SeriesId> {
        self.pages.iter().flat_map(|(number, page)| {
            let taken = (0_u32..).zip(page.iter()).filter(|(_, at)| **at != NONE);
            taken.map(move |(at, _)| SeriesId(number << PAGE_BITS | at))
        })
    }

    /// Bytes taken from the allocator.
    pub(super) fn bytes(&self) -> usize {
        // A slot is key, pointer and a byte of control; `capacity` leaves out the eighth of the
        // slots that stays free.
        let slots = self.pages.capacity() * 8 / 7;
        slots * (size_of::<(u32, Box<Page>)>() + 1) + self.pages.len() * size_of::<Page>()
    }
}

const fn place(series: SeriesId) -> usize {
    series.0 as usize & (PAGE_IDS - 1)
}
