//! Samples that come in, as lines.

use std::borrow::Cow;

use tandem_http::BodyError;
use tandem_model::{MAX_TIME_NS, MIN_TIME_NS, SeriesKey};
use tandem_store::{BodyRoom, Store};

use super::super::encoding::DecodeError;
use super::{FIELD, NAME_LABEL, NO_NAME, unsnap, wire};

/// Bytes of a line behind its key, at most: field, float, time, blanks.
const TAIL_BYTES_MAX: usize = 400;
/// Of most of them.
const TAIL_BYTES: usize = 48;
const MS_NS: i64 = 1_000_000;

/// Makes lines of a `WriteRequest`, their times in nanoseconds, and returns the room that they take.
pub(in crate::api) fn lines(
    store: &Store,
    sent: &[u8],
    bytes_max: usize,
    out: &mut Vec<u8>,
) -> Result<BodyRoom, DecodeError> {
    let opened = snap::raw::decompress_len(sent).unwrap_or(0).min(bytes_max);
    let room = store.room_for_body(opened).map_err(DecodeError::Room)?;
    let request = unsnap(sent, bytes_max)?;
    // A label comes once and stands in every line.
    let needed = needed(&request)?;
    drop(room);
    if needed > bytes_max {
        return Err(DecodeError::Body(BodyError::TooLarge { bytes_max }));
    }
    let room = store
        .room_for_body(needed.saturating_add(request.len()))
        .map_err(DecodeError::Room)?;
    out.clear();
    out.reserve(needed);
    each_series(&request, |series| write_series(series, bytes_max, out))?;
    Ok(room)
}

/// How many bytes the lines of a request will take, about.
fn needed(request: &[u8]) -> Result<usize, DecodeError> {
    let mut bytes = 0_usize;
    each_series(request, |series| {
        let (mut labels, mut samples) = (0_usize, 0_usize);
        wire::each(series, |number, value| {
            match number {
                1 => labels = labels.saturating_add(value.bytes().len()),
                2 => samples += 1,
                _ => {}
            }
            Ok::<(), wire::Broken>(())
        })?;
        bytes = bytes.saturating_add((labels.saturating_add(TAIL_BYTES)).saturating_mul(samples));
        Ok(())
    })?;
    Ok(bytes)
}

fn each_series<'a>(
    request: &'a [u8],
    mut take: impl FnMut(&'a [u8]) -> Result<(), DecodeError>,
) -> Result<(), DecodeError> {
    wire::each(request, |number, value| match number {
        1 => take(value.bytes()),
        _ => Ok(()),
    })
}

fn write_series(series: &[u8], bytes_max: usize, out: &mut Vec<u8>) -> Result<(), DecodeError> {
    let key = key(series)?;
    wire::each(series, |number, value| {
        if number != 2 {
            return Ok(());
        }
        let (mut float, mut time_ms) = (0.0, 0);
        wire::each(value.bytes(), |number, value| {
            match number {
                1 => float = value.double(),
                2 => time_ms = value.integer(),
                _ => {}
            }
            Ok::<(), wire::Broken>(())
        })?;
        if !float.is_finite() {
            return Ok(());
        }
        let time_ns = time_ms
            .checked_mul(MS_NS)
            .filter(|time| (MIN_TIME_NS..=MAX_TIME_NS).contains(time));
        let time_ns = time_ns.ok_or_else(|| {
            DecodeError::Broken(format!("time outside range {MIN_TIME_NS} - {MAX_TIME_NS}"))
        })?;
        if out.len() + key.len() + TAIL_BYTES_MAX > bytes_max {
            return Err(DecodeError::Body(BodyError::TooLarge { bytes_max }));
        }
        out.extend_from_slice(&key);
        out.push(b' ');
        out.extend_from_slice(FIELD.as_bytes());
        out.push(b'=');
        crate::output::write_plain_float(out, float);
        out.push(b' ');
        out.extend_from_slice(itoa::Buffer::new().format(time_ns).as_bytes());
        out.push(b'\n');
        Ok(())
    })
}

/// The beginning of a series' lines: its measurement and its tags.
fn key(series: &[u8]) -> Result<Vec<u8>, DecodeError> {
    let mut labels: Vec<(&[u8], &[u8])> = Vec::new();
    wire::each(series, |number, value| {
        if number == 1 {
            let (mut name, mut text): (&[u8], &[u8]) = (b"", b"");
            wire::each(value.bytes(), |number, value| {
                match number {
                    1 => name = value.bytes(),
                    2 => text = value.bytes(),
                    _ => {}
                }
                Ok::<(), wire::Broken>(())
            })?;
            labels.push((name, text));
        }
        Ok::<(), wire::Broken>(())
    })?;
    // Of labels of one name the last one counts.
    labels.reverse();
    labels.sort_by_key(|(name, _)| *name);
    labels.dedup_by_key(|(name, _)| *name);
    let labels: Vec<(Text<'_>, Text<'_>)> = labels
        .into_iter()
        .map(|(name, text)| (carried(name), carried(text)))
        .collect();
    let measurement = labels
        .iter()
        .find(|(name, text)| **name == *NAME_LABEL.as_bytes() && !text.is_empty())
        .map_or(NO_NAME, |(_, text)| text);
    let mut tags: Vec<(&[u8], &[u8])> = labels
        .iter()
        .map(|(name, text)| (&**name, &**text))
        .collect();
    let key = SeriesKey::new(measurement, &mut tags)
        .map_err(|error| DecodeError::Broken(error.to_string()))?;
    Ok(key.as_bytes().to_vec())
}

type Text<'a> = Cow<'a, [u8]>;

/// A text as the key of a line can carry it: a newline would end the line, so it becomes `\n`, and a
/// backslash at the end would take the next character with it, so it goes. One odd label must not
/// cost the batch that it comes in.
fn carried(text: &[u8]) -> Text<'_> {
    let mut text = text;
    while let [start @ .., b'\\'] = text {
        text = start;
    }
    if !text.contains(&b'\n') {
        return Cow::Borrowed(text);
    }
    let mut out = Vec::with_capacity(text.len() + 8);
    for &byte in text {
        match byte {
            b'\n' => out.extend_from_slice(b"\\n"),
            byte => out.push(byte),
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(name: &str, value: &str) -> Vec<u8> {
        let mut out = Vec::new();
        wire::put_bytes(&mut out, 1, name.as_bytes());
        wire::put_bytes(&mut out, 2, value.as_bytes());
        out
    }

    fn series(labels: &[(&str, &str)], samples: &[(f64, i64)]) -> Vec<u8> {
        let mut out = Vec::new();
        for (name, value) in labels {
            wire::put_bytes(&mut out, 1, &label(name, value));
        }
        for (value, time_ms) in samples {
            let mut sample = Vec::new();
            wire::put_double(&mut sample, 1, *value);
            wire::put_integer(&mut sample, 2, *time_ms);
            wire::put_bytes(&mut out, 2, &sample);
        }
        out
    }

    fn text(series: &[u8], bytes_max: usize) -> Result<String, DecodeError> {
        let mut out = Vec::new();
        write_series(series, bytes_max, &mut out)?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn names_and_labels_become_keys() {
        let found = text(
            &series(
                &[
                    ("job", "a b"),
                    ("__name__", "up,x"),
                    ("none", ""),
                    ("job", "c=d"),
                ],
                &[(1.5, 2), (f64::NAN, 3), (f64::INFINITY, 4), (-0.25, -5)],
            ),
            10_000,
        );
        assert_eq!(
            found.unwrap(),
            "up\\,x,__name__=up\\,x,job=c\\=d value=1.5 2000000\n\
             up\\,x,__name__=up\\,x,job=c\\=d value=-0.25 -5000000\n"
        );
        let found = text(&series(&[("a", "b")], &[(0.0, 0)]), 10_000);
        assert_eq!(found.unwrap(), "prom_metric_not_specified,a=b value=0 0\n");
    }

    #[test]
    fn what_no_line_can_carry_is_changed() {
        let odd = [
            ("a", "b\nc"),
            ("d", "e\\\\"),
            ("f\\", "g"),
            ("__name__", ""),
        ];
        assert_eq!(
            text(&series(&odd, &[(1.0, 1)]), 10_000).unwrap(),
            "prom_metric_not_specified,a=b\\nc,d=e,f=g value=1 1000000\n"
        );
    }

    #[test]
    fn times_out_of_range_are_refused() {
        for time_ms in [i64::MAX, i64::MIN, 9_223_372_036_855] {
            let found = text(&series(&[("a", "b")], &[(1.0, time_ms)]), 10_000);
            assert!(matches!(found, Err(DecodeError::Broken(_))), "{found:?}");
        }
    }

    #[test]
    fn long_labels_of_many_samples_are_bounded() {
        let long = "x".repeat(1000);
        let many = series(&[("a", &long)], &[(1.0, 1); 100]);
        assert!(many.len() < 4000);
        assert!(matches!(
            text(&many, 50_000),
            Err(DecodeError::Body(BodyError::TooLarge { .. }))
        ));
        let mut request = Vec::new();
        wire::put_bytes(&mut request, 1, &many);
        assert!(needed(&request).unwrap() > 100_000);
    }
}
