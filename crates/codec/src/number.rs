//! Numbers: `i64`, `u64` and `f64`.
//!
//! ```text
//! chunk metadata   0x00                          no page is in pco
//!                  0x01 pco header, pco chunk metadata (wrapped format, pco 1.x)
//! page             0x01 value                    every value; the count may not be 0
//!                  0x02 value × count            plain
//!                  0x03 pco page
//! value            i64, u64  zigzag of the difference to the value before (first: to 0), wrapping
//!                  f64       8 bytes
//! ```
//!
//! Of pco only the modes that [`Effort`]'s settings choose are accepted back: no dictionary, and
//! lookback windows up to [`LOOKBACK_WINDOW_LOG_MAX`]. Both would let a few bytes ask for hundreds
//! of megabytes.

use pco::metadata::DeltaEncoding;
use pco::wrapped::{ChunkCompressor, ChunkDecompressor, FileCompressor, FileDecompressor};
use pco::{ChunkConfig, DecompressorScratch, PagingSpec};

use crate::{CodecError, Effort, Input, write_zigzag};

/// Binary logarithm of the widest lookback window that is accepted, in values.
pub const LOOKBACK_WINDOW_LOG_MAX: u32 = 15;

/// Below this many values in a whole chunk pco's metadata costs more than it saves.
const PCO_VALUES_MIN: usize = 48;

const META_NONE: u8 = 0x00;
const META_PCO: u8 = 0x01;
const CONSTANT: u8 = 0x01;
pub(crate) const PLAIN: u8 = 0x02;
pub(crate) const PCO: u8 = 0x03;

/// pco's number for its dictionary mode: the low four bits of chunk metadata.
const PCO_MODE_DICTIONARY: u8 = 4;

/// A type of number.
pub trait Number: private::Sealed + pco::data_types::Number + Default {
    /// True when both are the same bits.
    fn same(self, other: Self) -> bool;
    #[doc(hidden)]
    fn write_plain(self, before: Self, out: &mut Vec<u8>);
    #[doc(hidden)]
    fn read_plain(before: Self, input: &mut Input<'_>) -> Result<Self, CodecError>;
}

mod private {
    pub trait Sealed {}
    impl Sealed for i64 {}
    impl Sealed for u64 {}
    impl Sealed for f64 {}
}

impl Number for i64 {
    fn same(self, other: Self) -> bool {
        self == other
    }
    fn write_plain(self, before: Self, out: &mut Vec<u8>) {
        write_zigzag(self.wrapping_sub(before), out);
    }
    fn read_plain(before: Self, input: &mut Input<'_>) -> Result<Self, CodecError> {
        Ok(before.wrapping_add(input.zigzag()?))
    }
}

impl Number for u64 {
    fn same(self, other: Self) -> bool {
        self == other
    }
    fn write_plain(self, before: Self, out: &mut Vec<u8>) {
        write_zigzag(self.wrapping_sub(before).cast_signed(), out);
    }
    fn read_plain(before: Self, input: &mut Input<'_>) -> Result<Self, CodecError> {
        Ok(before.wrapping_add(input.zigzag()?.cast_unsigned()))
    }
}

impl Number for f64 {
    fn same(self, other: Self) -> bool {
        self.to_bits() == other.to_bits()
    }
    fn write_plain(self, _: Self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_le_bytes());
    }
    fn read_plain(_: Self, input: &mut Input<'_>) -> Result<Self, CodecError> {
        input.array().map(Self::from_le_bytes)
    }
}

/// Encodes the pages of one chunk.
#[derive(Debug)]
pub struct Encoder<'a, T> {
    pages: Vec<(&'a [T], Form)>,
    pco: Option<ChunkCompressor>,
}

/// How a page is encoded; pco pages with their place among pco's.
#[derive(Clone, Copy, Debug)]
enum Form {
    Constant,
    Plain,
    Pco(usize),
}

impl<'a, T: Number> Encoder<'a, T> {
    /// Learns the chunk whose pages hold `counts` values each, which together are `values`: at
    /// most 2^24 of them. Panics when they are not.
    #[must_use]
    pub fn new(values: &'a [T], counts: &[usize], effort: Effort) -> Self {
        let pages = split(values, counts);
        let forms = pages.iter().map(|page| match *page {
            [first, rest @ ..] if rest.iter().all(|v| v.same(*first)) => Form::Constant,
            [] => Form::Plain,
            _ => Form::Pco(0),
        });
        Self::with_forms(pages.iter().copied().zip(forms).collect(), effort)
    }

    /// As [`Encoder::new`], but pages of equal values are no special case.
    pub(crate) fn of_pages(pages: Vec<&'a [T]>, effort: Effort) -> Self {
        let pages = pages.into_iter().map(|page| (page, Form::Pco(0)));
        Self::with_forms(pages.collect(), effort)
    }

    fn with_forms(mut pages: Vec<(&'a [T], Form)>, effort: Effort) -> Self {
        let for_pco = pages
            .iter()
            .filter(|(_, form)| matches!(form, Form::Pco(_)));
        let lens: Vec<usize> = for_pco.map(|(page, _)| page.len()).collect();
        let total: usize = lens.iter().sum();
        let mut pco = None;
        if total >= PCO_VALUES_MIN {
            let mut learnt: Vec<T> = Vec::with_capacity(total);
            for (page, form) in &pages {
                if let Form::Pco(_) = form {
                    learnt.extend_from_slice(page);
                }
            }
            let config = ChunkConfig::default()
                .with_compression_level(effort.pco_level())
                .with_paging_spec(PagingSpec::Exact(lens));
            pco = FileCompressor::default()
                .chunk_compressor(&learnt, &config)
                .ok();
        }
        let mut places = 0..;
        for (_, form) in &mut pages {
            if let Form::Pco(_) = form {
                *form = match (&pco, places.next()) {
                    (Some(_), Some(place)) => Form::Pco(place),
                    _ => Form::Plain,
                };
            }
        }
        Self { pages, pco }
    }

    /// Appends the chunk's metadata.
    pub fn write_meta(&self, out: &mut Vec<u8>) {
        match &self.pco {
            None => out.push(META_NONE),
            Some(chunk) => {
                out.push(META_PCO);
                FileCompressor::default()
                    .write_header(&mut *out)
                    .and_then(|out| chunk.write_meta(out))
                    .expect("a Vec takes all that is written to it");
            }
        }
    }

    /// Appends page `page`. Panics when there is none.
    pub fn write_page(&mut self, page: usize, out: &mut Vec<u8>) {
        let (values, form) = self.pages[page];
        match (form, &mut self.pco) {
            (Form::Pco(place), Some(pco)) => {
                out.push(PCO);
                pco.write_page(place, &mut *out)
                    .expect("a Vec takes all that is written to it");
            }
            (Form::Constant, _) => {
                out.push(CONSTANT);
                values[0].write_plain(T::default(), out);
            }
            _ => {
                out.push(PLAIN);
                let mut before = T::default();
                for &value in values {
                    value.write_plain(before, out);
                    before = value;
                }
            }
        }
    }
}

/// Cuts `values` into pages of `counts`. Panics when they do not fit.
pub(crate) fn split<'a, T>(mut values: &'a [T], counts: &[usize]) -> Vec<&'a [T]> {
    let mut pages = Vec::with_capacity(counts.len());
    for &count in counts {
        let (page, rest) = values.split_at(count);
        pages.push(page);
        values = rest;
    }
    assert!(values.is_empty(), "values that belong to no page");
    pages
}

/// Working memory of decoding (about 12 KiB); one for each thread.
#[derive(Debug, Default)]
pub struct Scratch(DecompressorScratch);

/// Decodes the pages of one chunk, in any order, from any thread.
#[derive(Debug)]
pub struct Decoder<T: Number> {
    pco: Option<ChunkDecompressor<T>>,
}

impl<T: Number> Decoder<T> {
    /// Reads a chunk's metadata.
    ///
    /// # Errors
    /// When the bytes are no such metadata.
    pub fn new(meta: &[u8]) -> Result<Self, CodecError> {
        let mut input = Input::new(meta, "metadata of numbers");
        match input.u8()? {
            META_NONE => {
                input.end()?;
                Ok(Self { pco: None })
            }
            META_PCO => {
                let (file, rest) = FileDecompressor::new(input.rest()).map_err(CodecError::Pco)?;
                if rest
                    .first()
                    .is_some_and(|byte| byte & 0xf == PCO_MODE_DICTIONARY)
                {
                    return Err(CodecError::Malformed("pco dictionary mode"));
                }
                let (chunk, rest) = file
                    .chunk_decompressor::<T, _>(rest)
                    .map_err(CodecError::Pco)?;
                if !rest.is_empty() {
                    return Err(CodecError::Malformed("bytes after pco metadata"));
                }
                if let DeltaEncoding::Lookback { config, .. } = chunk.meta().delta_encoding
                    && (config.window_n_log > LOOKBACK_WINDOW_LOG_MAX
                        || config.state_n_log > config.window_n_log)
                {
                    return Err(CodecError::Malformed("pco lookback window too wide"));
                }
                Ok(Self { pco: Some(chunk) })
            }
            id => Err(CodecError::UnknownEncoding {
                what: "metadata of numbers",
                id,
            }),
        }
    }

    /// About how much memory the decoder takes: most of it is pco's tables.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        let Some(chunk) = &self.pco else { return 0 };
        let vars = chunk.meta().per_latent_var.as_ref();
        let states = [vars.delta, Some(vars.primary), vars.secondary]
            .into_iter()
            .flatten()
            .map(|var| 1_usize << var.ans_size_log);
        // A state is a node of the table, a lower bound, and part of a bin.
        1024 + states.sum::<usize>() * 24
    }

    /// Appends the `count` values of a page to `out`, which is left as it was on an error.
    ///
    /// # Errors
    /// When the bytes are no such page of this chunk.
    pub fn read_page(
        &self,
        bytes: &[u8],
        count: usize,
        scratch: &mut Scratch,
        out: &mut Vec<T>,
    ) -> Result<(), CodecError> {
        let start = out.len();
        let result = self.read_page_into(bytes, count, scratch, out);
        if result.is_err() {
            out.truncate(start);
        }
        result
    }

    fn read_page_into(
        &self,
        bytes: &[u8],
        count: usize,
        scratch: &mut Scratch,
        out: &mut Vec<T>,
    ) -> Result<(), CodecError> {
        let mut input = Input::new(bytes, "page of numbers");
        match input.u8()? {
            CONSTANT => {
                if count == 0 {
                    return Err(CodecError::Malformed("value in an empty page"));
                }
                let value = T::read_plain(T::default(), &mut input)?;
                out.resize(out.len() + count, value);
                input.end()
            }
            PLAIN => {
                let mut before = T::default();
                for _ in 0..count {
                    before = T::read_plain(before, &mut input)?;
                    out.push(before);
                }
                input.end()
            }
            PCO => {
                let pco = self
                    .pco
                    .as_ref()
                    .ok_or(CodecError::Malformed("pco page without metadata"))?;
                let start = out.len();
                out.resize(start + count, T::default());
                let mut page = pco
                    .page_decompressor_with_scratch(input.rest(), count, &mut scratch.0)
                    .map_err(CodecError::Pco)?;
                let progress = page.read(&mut out[start..]).map_err(CodecError::Pco)?;
                if progress.finished && page.into_src().is_empty() {
                    Ok(())
                } else {
                    Err(CodecError::Malformed("bytes after a pco page"))
                }
            }
            id => Err(CodecError::UnknownEncoding {
                what: "numbers",
                id,
            }),
        }
    }
}

#[cfg(test)]
mod tests;
