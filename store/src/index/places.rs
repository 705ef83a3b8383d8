//! What the index knows of a series by its id: where its record lies, and the layout of its last line.
//!
//! Ids are dense when they are given out, and never given out twice; those of old series go when
//! their rows do. So they lie in pages, and a page without a series costs nothing.

use std::sync::atomic::{AtomicU32, Ordering};

use tandem_model::SeriesId;

/// Ids of a page.
const PAGE_IDS: u32 = 1 << 10;
/// No record; no layout.
const NONE: u32 = u32::MAX;

#[derive(Debug)]
struct Page {
    taken: u32,
    records: [u32; PAGE_IDS as usize],
    layouts: [AtomicU32; PAGE_IDS as usize],
}

impl Page {
    fn new() -> Box<Self> {
        Box::new(Self {
            taken: 0,
            records: [NONE; PAGE_IDS as usize],
            layouts: [const { AtomicU32::new(NONE) }; PAGE_IDS as usize],
        })
    }
}

/// See the module's head.
#[derive(Debug, Default)]
pub(super) struct Places {
    pages: Vec<Option<Box<Page>>>,
    len: u32,
    taken: usize,
}

impl Places {
    /// One more than the highest id that was given out.
    pub(super) const fn len(&self) -> u32 {
        self.len
    }

    /// How many ids have a record.
    pub(super) const fn taken(&self) -> usize {
        self.taken
    }

    /// Takes ids up to `len`, without records.
    pub(super) fn pad_to(&mut self, len: u32) {
        self.len = self.len.max(len);
    }

    /// Gives ids from `len` on back, none of which may have a record.
    pub(super) fn truncate(&mut self, len: u32) {
        self.len = self.len.min(len);
        self.pages.truncate(len.div_ceil(PAGE_IDS) as usize);
    }

    /// Notes the record of an id, which becomes the highest one if it is.
    pub(super) fn set(&mut self, id: SeriesId, record: u32) {
        self.pad_to(id.0 + 1);
        let page = (id.0 / PAGE_IDS) as usize;
        if self.pages.len() <= page {
            self.pages.resize_with(page + 1, || None);
        }
        let page = self.pages[page].get_or_insert_with(Page::new);
        let place = &mut page.records[(id.0 % PAGE_IDS) as usize];
        if *place == NONE {
            page.taken += 1;
            self.taken += 1;
        }
        *place = record;
    }

    /// Forgets an id's record and layout.
    pub(super) fn clear(&mut self, id: SeriesId) {
        let Some(slot) = self.pages.get_mut((id.0 / PAGE_IDS) as usize) else {
            return;
        };
        let Some(page) = slot else {
            return;
        };
        let at = (id.0 % PAGE_IDS) as usize;
        if page.records[at] != NONE {
            page.records[at] = NONE;
            page.layouts[at].store(NONE, Ordering::Relaxed);
            page.taken -= 1;
            self.taken -= 1;
            if page.taken == 0 {
                *slot = None;
            }
        }
    }

    fn page(&self, id: SeriesId) -> Option<&Page> {
        self.pages.get((id.0 / PAGE_IDS) as usize)?.as_deref()
    }

    /// The record of an id.
    pub(super) fn get(&self, id: SeriesId) -> Option<u32> {
        let record = self.page(id)?.records[(id.0 % PAGE_IDS) as usize];
        (record != NONE).then_some(record)
    }

    pub(super) fn layout(&self, id: SeriesId) -> Option<u32> {
        let layout = &self.page(id)?.layouts[(id.0 % PAGE_IDS) as usize];
        let layout = layout.load(Ordering::Relaxed);
        (layout != NONE).then_some(layout)
    }

    pub(super) fn set_layout(&self, id: SeriesId, layout: u32) {
        if let Some(page) = self.page(id) {
            page.layouts[(id.0 % PAGE_IDS) as usize].store(layout, Ordering::Relaxed);
        }
    }

    /// The ids in `first..end` that have a record, ascending.
    pub(super) fn taken_in(&self, first: u32, end: u32) -> impl Iterator<Item = SeriesId> {
        let pages = first / PAGE_IDS..end.div_ceil(PAGE_IDS);
        pages
            .filter_map(|number| Some((number, self.pages.get(number as usize)?.as_ref()?)))
            .flat_map(|(number, page)| {
                let ids = (number * PAGE_IDS..).zip(page.records.iter());
                ids.filter(|(_, record)| **record != NONE)
                    .map(|(id, _)| SeriesId(id))
            })
            .filter(move |id| (first..end).contains(&id.0))
    }

    /// How many ids in `first..end` have a record.
    pub(super) fn count_in(&self, first: u32, end: u32) -> usize {
        let inside = |number: u32| first <= number * PAGE_IDS && (number + 1) * PAGE_IDS <= end;
        let pages = first / PAGE_IDS..end.div_ceil(PAGE_IDS);
        pages
            .map(|number| match self.pages.get(number as usize) {
                Some(Some(page)) if inside(number) => page.taken as usize,
                Some(Some(_)) => {
                    let (start, stop) = (number * PAGE_IDS, (number + 1) * PAGE_IDS);
                    self.taken_in(first.max(start), end.min(stop)).count()
                }
                _ => 0,
            })
            .sum()
    }

    /// Bytes taken from the allocator.
    pub(super) fn heap_bytes(&self) -> usize {
        let pages = self.pages.iter().flatten().count();
        pages * size_of::<Page>() + self.pages.capacity() * size_of::<Option<Box<Page>>>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_without_a_series_cost_nothing() {
        let mut places = Places::default();
        for id in 0..5_000 {
            places.set(SeriesId(id), id * 2);
            places.set_layout(SeriesId(id), 3);
        }
        let full = places.heap_bytes();
        for id in 100..5_000 {
            places.clear(SeriesId(id));
            places.clear(SeriesId(id));
        }
        assert!(places.heap_bytes() < full / 4);
        assert_eq!((places.len(), places.taken()), (5_000, 100));
        assert_eq!(places.get(SeriesId(99)), Some(198));
        assert_eq!(places.layout(SeriesId(99)), Some(3));
        assert_eq!(places.get(SeriesId(100)), None);
        assert_eq!(places.taken_in(90, 3_000).count(), 10);
        assert_eq!(
            (places.count_in(90, 3_000), places.count_in(0, 5_000)),
            (10, 100)
        );
        places.truncate(101);
        places.pad_to(4_000_000_000);
        places.set(SeriesId(4_000_000_000), 1);
        assert_eq!(places.layout(SeriesId(4_000_000_000)), None);
        assert_eq!(places.taken(), 101);
    }
}
