//! What the fuzz target in `fuzz` calls.

use crate::entry::names;
use crate::record::{Edit, Op};

/// Takes any bytes for a record. Panics unless they are refused, or make edits that are written as the same bytes.
pub fn record(bytes: &[u8]) {
    let Ok(op) = Op::decode(bytes) else {
        return;
    };
    assert_eq!(op.encode(), bytes);
    for edit in &op.edits {
        if let Edit::Put(key, _) | Edit::Remove(key) = edit {
            assert!(names(key).is_ok(), "a key that was taken has names");
        }
    }
}
