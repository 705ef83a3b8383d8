//! Changes of a good file.

/// Bytes that one change puts in or takes out, at most.
const CHANGE_BYTES_MAX: usize = 32;

/// `sample` with the changes that `input` lists: a kind, a place in two bytes, a length, and the bytes
/// that are put there.
pub(super) fn patched(sample: &[u8], mut input: &[u8]) -> Vec<u8> {
    let mut bytes = sample.to_vec();
    while let [kind, low, high, len, rest @ ..] = input {
        let at = usize::from(u16::from_le_bytes([*low, *high])) % (bytes.len() + 1);
        let len = usize::from(*len) % CHANGE_BYTES_MAX;
        let (given, behind) = rest.split_at(len.min(rest.len()));
        let end = (at + len).min(bytes.len());
        match kind % 4 {
            0 => {
                let there = &mut bytes[at..end];
                for (old, new) in there.iter_mut().zip(given) {
                    *old = *new;
                }
            }
            1 => {
                let there = &mut bytes[at..end];
                for (old, new) in there.iter_mut().zip(given) {
                    *old ^= *new;
                }
            }
            2 => drop(bytes.splice(at..at, given.iter().copied())),
            _ => {
                // Takes no bytes of the input.
                bytes.drain(at..end);
                input = rest;
                continue;
            }
        }
        input = behind;
    }
    bytes
}
